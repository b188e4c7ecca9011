"""A tiny CLIP with random weights, in a folder as published ones are."""

from pathlib import Path

import jax
import numpy as np
from flax import nnx

from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.input.tokenizer import train_tokenizer
from cliptail_jax.models.build import build_model
from cliptail_jax.pretrained.save import save

DIM, CONTEXT = 8, 48
PREPROCESS = Preprocess(16, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4), "bilinear")  # unlike what training does


def save_tiny_clip(folder: Path, seed: int = 0) -> Path:
    """Saves the CLIP of a seed in the folder, which it returns."""
    tokenizer = train_tokenizer(["a photo of a comma", "capital letters, small letters and digits"], 560, CONTEXT)
    text = {"context_length": CONTEXT, "vocab_size": tokenizer.vocab_size, "width": 16, "heads": 2, "layers": 1}
    text |= {"hf_tokenizer_name": "tokenizer.json", "tokenizer_kwargs": {"clean": "lower"}}
    vision = {"image_size": 16, "patch_size": 8, "width": 16, "head_width": 8, "layers": 1}
    config = {"embed_dim": DIM, "vision_cfg": vision, "text_cfg": text}
    model = nnx.jit(lambda: build_model({"model_cfg": config}, rngs=nnx.Rngs(seed)))()
    add_noise(model, 0.3, seed)
    save(model, folder, config, PREPROCESS, tokenizer)
    return folder


def add_noise(model: nnx.Module, size: float, seed: int) -> None:
    """Normal noise on all parameters, also on those that are constant at initialization."""
    random = np.random.default_rng(seed)
    draw = lambda x: x + size * random.normal(size=x.shape).astype(x.dtype)  # noqa: E731
    nnx.update(model, jax.tree.map(draw, nnx.state(model, nnx.Param)))
