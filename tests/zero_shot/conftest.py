import jax
import numpy as np
import pytest
from flax import nnx

from cliptail_jax.input.tokenizer import train_tokenizer
from cliptail_jax.pretrained.architecture import build
from cliptail_jax.pretrained.preprocess import Preprocess
from cliptail_jax.pretrained.save import save

CONTEXT = 48
PREPROCESS = Preprocess(16, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4), "bilinear")  # unlike what training does


@pytest.fixture(scope="session")
def make_model(tmp_path_factory):
    """Saves tiny CLIPs with drawn weights as published ones are: a folder per seed."""
    tokenizer = train_tokenizer(["a photo of a comma", "capital letters, small letters and digits"], 560, CONTEXT)
    text = {"context_length": CONTEXT, "vocab_size": tokenizer.vocab_size, "width": 16, "heads": 2, "layers": 1}
    text |= {"hf_tokenizer_name": "tokenizer.json", "tokenizer_kwargs": {"clean": "lower"}}
    vision = {"image_size": 16, "patch_size": 8, "width": 16, "head_width": 8, "layers": 1}
    config = {"embed_dim": 8, "vision_cfg": vision, "text_cfg": text}
    root = tmp_path_factory.mktemp("models")

    def make(seed: int):
        folder = root / f"clip{seed}"
        if not folder.exists():
            model = nnx.jit(lambda: build(config, None, nnx.Rngs(seed)))()
            state = nnx.state(model, nnx.Param)
            rng = np.random.default_rng(seed)
            draw = lambda x: x + 0.3 * rng.normal(size=x.shape).astype(x.dtype)  # noqa: E731
            nnx.update(model, jax.tree.map(draw, state))
            save(model, folder, config, PREPROCESS, tokenizer)
        return folder

    return make
