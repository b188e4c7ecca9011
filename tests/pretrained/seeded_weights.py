"""Weights and images that are drawn anew from their names, so that fixtures need not store them."""

import zlib

import numpy as np


def draw(name: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """The float16 array that stands for the state-dict entry `name`: gains around 1, biases small, matrices by fan-in."""
    random = np.random.default_rng([seed, zlib.crc32(name.encode())])
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if name.endswith(("running_var", "gamma")) or (name.endswith("weight") and len(shape) == 1):
        return random.uniform(0.5, 1.5, shape).astype(np.float16)
    if len(shape) < 2:
        return np.asarray(random.uniform(-0.3, 0.3, shape) + (name == "logit_scale"), np.float16)
    is_vectors = "embedding" in name or "query" in name.split(".")[-1] or name.endswith(("pos_embed", "latent"))
    inputs = 4 if is_vectors else np.prod(shape[1:])
    return (random.normal(size=shape) * inputs**-0.5).astype(np.float16)


def draw_all(shapes: dict[str, list[int]], seed: int = 0) -> dict[str, np.ndarray]:
    """A whole state dict."""
    return {name: draw(name, tuple(shape), seed) for name, shape in shapes.items()}


def draw_images(batch: int, size: int, seed: int = 0) -> np.ndarray:
    """float32 [batch, size, size, 3], normal."""
    return np.random.default_rng(seed).normal(size=(batch, size, size, 3)).astype(np.float16).astype(np.float32)
