"""References for tests/evaluation/test_retrieval.py: recalls by open_clip and CLIP_benchmark for stored features.

retrieval.npz has `pair_images` and `pair_captions` [pair, dim], among which are equal ones, and open_clip's numbers of them;
and `images` [image, dim], `captions` [caption, dim] and `image_of` [caption], of which none are equal, with CLIP_benchmark's
recalls. All features are multiples of 1/8, so that scores that are not normalized are exact.

`open_clip_train.metrics` is later than open_clip 3.3 (made with commit 89fb801), whose ranks leave the order of equal ones to
torch.argsort.
"""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from clip_benchmark.metrics.zeroshot_retrieval import evaluate
from open_clip_train.metrics import get_clip_metrics

CUTOFFS, DIM = [1, 5, 10], 8


def features(rng: np.random.Generator, means: np.ndarray, noise: int) -> np.ndarray:
    """Multiples of 1/8 near the means."""
    return (means + rng.integers(-noise, noise + 1, means.shape) / 8).astype(np.float32)


def with_equals(rng: np.random.Generator, rows: np.ndarray) -> np.ndarray:
    """The rows, a quarter of which are copies of others."""
    copies = rng.permutation(len(rows))[: len(rows) // 4]
    rows[copies] = rows[rng.integers(0, len(rows), len(copies))]
    return rows


def of_open_clip(images: np.ndarray, captions: np.ndarray) -> dict[str, float]:
    metrics = get_clip_metrics(torch.from_numpy(images), torch.from_numpy(captions), 1.0)
    return {f"open_clip_{name}": value for name, value in metrics.items()}


def of_clip_benchmark(images: np.ndarray, captions: np.ndarray, image_of: np.ndarray) -> dict[str, float]:
    """Its evaluation, of a model that gives out these features."""
    texts = [np.flatnonzero(image_of == image) for image in range(len(images))]
    model = SimpleNamespace(encode_image=lambda x: x, encode_text=lambda rows: torch.from_numpy(captions)[rows])
    loader = [
        (torch.from_numpy(images[start : start + 16]), texts[start : start + 16]) for start in range(0, len(images), 16)
    ]
    return evaluate(model, loader, torch.tensor, "cpu", amp=False, recall_k_list=CUTOFFS)


def references(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    images = with_equals(rng, features(rng, np.zeros((64, DIM)), 8))
    captions = with_equals(rng, features(rng, images, 8))
    arrays = {"pair_images": images, "pair_captions": captions, **of_open_clip(images, captions)}
    images = features(rng, np.zeros((48, DIM)), 8)
    image_of = np.sort(np.append(np.arange(48), rng.integers(0, 48, 100)))
    captions = features(rng, images[image_of], 8)
    sources = {"images": images, "captions": captions, "image_of": image_of}
    recalls = of_clip_benchmark(images, captions, image_of)
    arrays |= sources | {name.replace("@", "_"): value for name, value in recalls.items()}
    return {"retrieval.npz": {name: np.asarray(value) for name, value in arrays.items()}}
