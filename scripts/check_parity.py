"""Compares full-size models and tokenizers with open_clip's. Needs the extra `parity`.

    python scripts/check_parity.py --model RN50 [--pretrained openai]
    python scripts/check_parity.py --captions FILE.tsv [--tokenizer FOLDER]
    python scripts/check_parity.py --supported      # builds each of open_clip's named architectures, without weights

Models have the same weights, images and texts, in float32. Weights are random, or published ones where `--pretrained` names
an open_clip tag. Prints one JSON line with the largest difference of a feature, relative to the largest feature; `rounding`
is the same for open_clip's float32 features against its float64 ones. Then open_clip loads the model that
`cliptail_jax.pretrained.save` writes, and its weights must be the same bit for bit.

Tokenizers are compared on real captions, the file's column TEXT, with unusual characters added, and on texts that are too
long; CLIP's own, or a Hugging Face tokenizer. Prints one JSON line with the number of texts whose tokens differ.
"""

import argparse
import csv
import json
import tempfile
from itertools import cycle, islice
from pathlib import Path

import jax
import numpy as np
import open_clip
import torch
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer, default_bpe
from parity.pretrained_fixtures import build, draw_all, draw_images
from parity.supported import unsupported
from safetensors.torch import save_file

from cliptail_jax.input.huggingface_tokenizer import load_tokenizer
from cliptail_jax.input.tokenizer import load_clip_tokenizer
from cliptail_jax.models.open_clip import architecture_names, named_architecture, named_encoder
from cliptail_jax.pretrained.opened_model import OpenedModel
from cliptail_jax.pretrained.published_clip import WEIGHTS_FILES, load
from cliptail_jax.pretrained.save import save
from cliptail_jax.pretrained.source import CONFIG

BATCH = 4
CONTEXT = 77
CAPTIONS = 10_000
ODD = [
    "caf\u00e9 &amp; cr\u00e8me &lt;b&gt;",
    "\u65e5\u672c\u8a9e \ud55c\uad6d\uc5b4 mixed \u0645\u0631\u062d\u0628\u0627",
    "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "na\u00efve \u201cquotes\u201d \u2014 \u00e2\u20ac\u2122 \u00c3\u00a9",
    "A&amp;amp;B&nbsp;#1,234.5!!??",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", help="open_clip's name, such as ViT-B-32")
    parser.add_argument("--pretrained", help="open_clip's tag of published weights, such as openai")
    parser.add_argument("--captions", type=Path, help="a file with a column TEXT, to compare tokenizers on")
    parser.add_argument("--tokenizer", type=Path, help="the folder of a Hugging Face tokenizer; default: CLIP's own")
    parser.add_argument("--supported", action="store_true", help="print why an architecture cannot be built, if any")
    args = parser.parse_args()
    if args.supported:
        errors = {name: unsupported(named_architecture(name)) for name in architecture_names()}
        print(json.dumps({name: error for name, error in errors.items() if error}))
    elif args.captions:
        compare_tokenizers(args.captions, args.tokenizer)
    elif args.model:
        compare_models(args.model, args.pretrained)
    else:
        parser.error("give --model, --captions or --supported")


def compare_models(name: str, tag: str | None) -> None:
    config = open_clip.get_model_config(name)
    with tempfile.TemporaryDirectory() as folder:
        theirs = open_clip_model(name, tag, config, Path(folder))
        tensors = {key: value.contiguous() for key, value in theirs.state_dict().items()}
        save_file(tensors, Path(folder) / WEIGHTS_FILES[0])
        if "hf_model_name" in config["text_cfg"]:
            config["text_cfg"]["hf_model_name"] = folder  # which has its configuration: no network is needed
        (Path(folder) / CONFIG).write_text(json.dumps({"model_cfg": config}))
        ours = load(folder)
        check_saved(ours, theirs)
    images = draw_images(BATCH, ours.preprocess.size)
    tokens = random_tokens(open_clip.get_model_config(name)["text_cfg"])
    features = jax.jit(lambda m, i, t: (m.encode_image(i), m.encode_text(t)))(ours.model, images, tokens)
    references = encode(theirs, images, tokens)
    exact = encode(theirs.double(), images.astype(np.float64), tokens)
    parameters = sum(parameter.numel() for parameter in theirs.parameters())
    result = {"model": name, "weights": tag or "random", "parameters": parameters}
    for i, kind in enumerate(("image", "text")):
        result[kind] = relative_difference(features[i], references[i])
        result[f"{kind}_rounding"] = relative_difference(references[i], exact[i])
    print(json.dumps(result))


def encode(model: torch.nn.Module, images: np.ndarray, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """open_clip's image and text features."""
    with torch.no_grad():
        image_features = model.encode_image(torch.from_numpy(images).permute(0, 3, 1, 2), normalize=False)
        return image_features.numpy(), model.encode_text(torch.from_numpy(tokens), normalize=False).numpy()


def relative_difference(value: np.ndarray, reference: np.ndarray) -> float:
    """The largest difference, relative to the largest value."""
    return float(f"{np.abs(np.asarray(value) - reference).max() / np.abs(reference).max():.1e}")


def check_saved(ours: OpenedModel, theirs: torch.nn.Module) -> None:
    """Raise AssertionError unless open_clip loads what `save` writes, with the weights that were loaded."""
    with tempfile.TemporaryDirectory() as folder:
        save(ours.model, folder, ours.config, ours.preprocess)
        again = open_clip.create_model(f"local-dir:{folder}").state_dict()
    for name, value in theirs.state_dict().items():
        if not name.startswith("text_decoder."):
            torch.testing.assert_close(again[name], value, rtol=0, atol=0)


def open_clip_model(name: str, tag: str | None, config: dict, folder: Path) -> torch.nn.Module:
    """open_clip's model, with published weights or with random ones."""
    if tag:
        return open_clip.create_model(name, tag).eval()
    encoder = named_encoder(config["text_cfg"].get("hf_model_name", ""))
    model = build(config, encoder, folder).eval()
    shapes = {key: list(value.shape) for key, value in model.state_dict().items()}
    model.load_state_dict({key: torch.from_numpy(value) for key, value in draw_all(shapes).items()})
    return model


def random_tokens(text_config: dict) -> np.ndarray:
    """Token ids of captions of several lengths: the highest id at the end, then padding."""
    encoder = named_encoder(text_config.get("hf_model_name", ""))
    length = text_config.get("context_length", 77)
    size, pad = (encoder["vocab_size"], encoder["pad_token_id"]) if encoder else (text_config["vocab_size"], 0)
    ids = np.random.default_rng(0).integers(3, size - 1, (BATCH, length))
    for row, end in zip(ids, np.linspace(4, length - 1, BATCH, dtype=int)):
        row[end], row[end + 1 :] = size - 1, pad
    return ids


def compare_tokenizers(file: Path, folder: Path | None) -> None:
    with file.open(encoding="utf-8") as stream:
        captions = [row["TEXT"] for row in islice(csv.DictReader(stream, delimiter="\t"), CAPTIONS)]
    texts = [vary(i, captions, odd) for i, odd in zip(range(len(captions)), cycle(ODD))]
    if folder:
        theirs = HFTokenizer(str(folder), context_length=CONTEXT)
        ours = load_tokenizer(folder / "tokenizer.json", {"context_length": CONTEXT})
    else:
        theirs, ours = SimpleTokenizer(context_length=CONTEXT), load_clip_tokenizer(default_bpe(), CONTEXT)
    differ = (theirs(texts).numpy() != ours(texts)).any(1)
    print(json.dumps({"texts": len(texts), "characters": sum(map(len, texts)), "differ": int(np.sum(differ))}))


def vary(i: int, captions: list[str], odd: str) -> str:
    """The caption as it is, with odd text behind it or for its first space, in capitals, or with its successors."""
    caption = captions[i]
    variations = (caption, f"{caption} {odd}", caption.upper(), caption.replace(" ", odd, 1))
    return (*variations, " ".join(captions[i : i + 12]))[i // len(ODD) % 5]


if __name__ == "__main__":
    main()
