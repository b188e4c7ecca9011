"""The tiny members of open_clip's families whose truth is stored, written as published models are; equality of models."""

import json
import shutil
from pathlib import Path

import jax
import numpy as np
from flax import nnx
from safetensors.numpy import load_file, save_file

from tests.pretrained.seeded_weights import draw_all

DATA = Path(__file__).parents[1] / "data"
CASES = json.loads((DATA / "pretrained_parity.json").read_text())
TOKEN_IDS = json.loads((DATA / "pretrained_token_ids.json").read_text())
WORDS = "digit zero one two three four five seven latin capital letter a c e h k cat dogs"  # of glyphs' captions


def write_model(folder: Path, name: str) -> Path:
    """A folder with weights and configuration of the family `name`, and that of its text encoder."""
    case = CASES[name]
    folder.mkdir(parents=True, exist_ok=True)
    config = json.loads(json.dumps(case["config"]))
    if case["encoder"]:
        (folder / "config.json").write_text(json.dumps(case["encoder"]))
        config["text_cfg"]["hf_model_name"] = str(folder)
    save_file(draw_all(case["shapes"]), folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    return folder


def assert_same(ours: nnx.Module, theirs: nnx.Module) -> None:
    """All parameters and statistics of two models are equal, bit for bit."""
    jax.tree.map(np.testing.assert_array_equal, nnx.state(ours), nnx.state(theirs))


def encoder_of(folder, name):
    """The tensors of the text encoder of the family `name`, whose published CLIP is written to folder/clip."""
    model_folder, start = write_model(folder / "clip", name), "text.transformer."
    tensors = load_file(model_folder / "open_clip_model.safetensors").items()
    return {key.removeprefix(start): tensor for key, tensor in tensors if key.startswith(start)}


def save_encoder(folder, name, tensors, tokenizer):
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CASES[name]["encoder"]))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


def write_encoder(folder, prefix="", old_names=False):
    """The encoder of the family bert-class-token as it is published on its own, with a head beside it; it knows `WORDS`."""
    tensors = {prefix + key: tensor for key, tensor in encoder_of(folder, "bert-class-token").items()}
    if old_names:
        renamed = (("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta"))
        for new, old in renamed:
            tensors = {key.replace(new, old): value for key, value in tensors.items()}
    tensors["cls.predictions.bias"] = np.zeros(50, np.float16)
    tokenizer = json.loads((DATA / "tokenizer_bert.json").read_text())
    special = {token: i for token, i in tokenizer["model"]["vocab"].items() if token.startswith("[") and i < 10}
    tokenizer["model"]["vocab"] = special | {word: 10 + i for i, word in enumerate(WORDS.split())}
    save_encoder(folder, "bert-class-token", tensors, tokenizer)


def write_tokenizer(folder: Path, kind: str) -> Path:
    """The files that a repository has for a kind of tokenizer in `TOKEN_IDS`."""
    (folder / "tokenizer_config.json").write_text(json.dumps(TOKEN_IDS[kind]["settings"]))
    return Path(shutil.copy(DATA / f"tokenizer_{kind.split('-')[0]}.json", folder / "tokenizer.json"))
