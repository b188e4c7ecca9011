"""References for tests/input: outputs of torchvision and open_clip on small inputs.

- torchvision_images.npz: a synthetic image; the outputs of CenterCrop, resized_crop and an evaluation transform
  for it; mean and standard deviation of the boxes (top, left, height, width) that RandomResizedCrop samples;
- pretrained_images.npz: for tests/input/test_preprocess_forms.py, MODE_INTERPOLATION_SIZE_ORIENTATION of open_clip's
  evaluation transforms, bytes before normalization, of that image as it is (wide) and transposed (tall); `normalized` with
  CLIP's statistics, and `siglip`, squashed, with SigLIP's;
- clip_token_ids.json: texts, which are written by hand, their ids by open_clip at context lengths 77 and 8, and the index
  of each merge in CLIP's file;
- clip_merges_subset.txt: in the format of CLIP's vocabulary file, those of its 48,894 merges that apply to the texts, which
  are enough to tokenize them.
"""

import itertools
import json
from pathlib import Path

import numpy as np
import torch
from open_clip.tokenizer import SimpleTokenizer
from open_clip.transform import image_transform
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, RandomResizedCrop, Resize
from torchvision.transforms import functional as F

BICUBIC = InterpolationMode.BICUBIC
CROP_BOXES = [(0, 0, 23, 31), (3, 5, 14, 11), (22, 30, 1, 1), (1, 0, 21, 20)]
PREPROCESSING = list(
    itertools.product(("shortest", "longest", "squash"), ("bicubic", "bilinear"), (11, 29), ("wide", "tall"))
)
BOX_STATISTICS = [(37, 53, 0.08, 1.0), (32, 32, 0.9, 1.0), (20, 100, 0.5, 1.0), (60, 40, 0.3, 0.6)]


def read_texts(folder: Path) -> list[str]:
    """The texts that tokenizers are compared on, which are written by hand."""
    return json.loads((folder / "clip_token_ids.json").read_text(encoding="utf-8"))["texts"]


def references(folder: Path) -> dict[str, str | dict[str, np.ndarray]]:
    images = image_references()
    arrays = {"torchvision_images.npz": images, "pretrained_images.npz": preprocessed(images["image"])}
    return arrays | token_references(read_texts(folder))


def image_references() -> dict[str, np.ndarray]:
    y, x = np.mgrid[:23, :31]
    waves = np.stack([np.sin(x / 2) * np.cos(y / 3), np.sin(x * y / 40), np.cos(x / 5 - y)], axis=-1)
    noise = np.random.default_rng(0).integers(-60, 60, waves.shape)
    pixels = np.clip(127 + 120 * waves + noise, 0, 255).astype(np.uint8)
    arrays = {"image": pixels}
    for (name, array), size in itertools.product({"wide": pixels, "tall": pixels.transpose(1, 0, 2)}.items(), [9, 37]):
        image = Image.fromarray(np.ascontiguousarray(array))
        arrays[f"center_{name}_{size}"] = np.array(CenterCrop(size)(image))
        arrays[f"eval_{name}_{size}"] = np.array(Compose([Resize(24, BICUBIC), CenterCrop(size)])(image))
    for size, (i, box) in itertools.product([8, 16, 29], enumerate(CROP_BOXES)):
        crop = F.resized_crop(Image.fromarray(pixels), *box, [size, size], BICUBIC)
        arrays[f"crop_{i}_{size}"] = np.array(crop)
    arrays["crop_boxes"] = np.array(CROP_BOXES)

    torch.manual_seed(0)
    arrays["statistics_of"] = np.array(BOX_STATISTICS)
    for i, (height, width, smallest, largest) in enumerate(BOX_STATISTICS):
        image = Image.new("RGB", (int(width), int(height)))
        boxes = [RandomResizedCrop.get_params(image, [smallest, largest], [3 / 4, 4 / 3]) for _ in range(40_000)]
        arrays[f"statistics_{i}"] = np.array([np.mean(boxes, axis=0), np.std(boxes, axis=0)])
    return arrays


def preprocessed(wide: np.ndarray) -> dict[str, np.ndarray]:
    images = {"wide": wide, "tall": np.ascontiguousarray(wide.transpose(1, 0, 2))}
    arrays = {}
    for mode, interpolation, size, orientation in PREPROCESSING:
        options = {"is_train": False, "resize_mode": mode, "interpolation": interpolation}
        raw = image_transform(size, mean=(0.0,) * 3, std=(1.0,) * 3, **options)(Image.fromarray(images[orientation]))
        name = f"{mode}_{interpolation}_{size}_{orientation}"
        arrays[name] = np.rint(raw.permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    siglip = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "resize_mode": "squash", "interpolation": "bicubic"}
    for name, options in (("normalized", {}), ("siglip", siglip)):
        image = image_transform(11, is_train=False, **options)(Image.fromarray(wide))
        arrays[name] = image.permute(1, 2, 0).numpy()
    return arrays


def token_references(texts: list[str]) -> dict[str, str]:
    tokenizer = SimpleTokenizer()
    ranks = sorted({rank for text in texts for rank in merges_used(tokenizer, text)})
    merges = {rank: pair for pair, rank in tokenizer.bpe_ranks.items()}
    lines = ["a subset of CLIP's merges", *(" ".join(merges[rank]) for rank in ranks)]
    arrays = {"texts": texts, "merge_ranks": ranks}
    for context in (77, 8):
        arrays[f"ids_{context}"] = tokenizer(texts, context).tolist()
    return {"clip_merges_subset.txt": "\n".join(lines) + "\n", "clip_token_ids.json": json.dumps(arrays)}


def merges_used(tokenizer: SimpleTokenizer, text: str) -> set[int]:
    """The ranks of the merges that apply in the tokenization of `text`."""
    merges = set()
    for word in tokenizer.pat.findall(tokenizer.clean_fn(text)):
        symbols = [tokenizer.byte_encoder[b] for b in word.encode()]
        symbols[-1] += "</w>"
        while ranks := [
            tokenizer.bpe_ranks[pair] for pair in itertools.pairwise(symbols) if pair in tokenizer.bpe_ranks
        ]:
            merges.add(min(ranks))
            place = next(
                i for i, pair in enumerate(itertools.pairwise(symbols)) if tokenizer.bpe_ranks.get(pair) == min(ranks)
            )
            symbols[place : place + 2] = ["".join(symbols[place : place + 2])]
    return merges
