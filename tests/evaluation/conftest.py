"""Two runs of few steps, each evaluated at its end; and tiny CLIPs, saved as published ones are."""

import json
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from cliptail_jax.input.huggingface_tokenizer import HuggingFaceTokenizer, configured
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.input.tokenizer import train_tokenizer
from cliptail_jax.models.build import build_model
from cliptail_jax.models.timm_members import SIGLIPS
from cliptail_jax.pretrained.save import save
from cliptail_jax.train import train
from configs import clip, sup
from tests.evaluation.plain_evaluation import CLASSES

CONTEXT = 48
DATA = Path(__file__).parents[1] / "data"
PREPROCESS = Preprocess(16, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4), "bilinear")  # unlike what training does


def tiny(config, glyphs_dir):
    """12 of the glyphs, the rarest three without a training image, and four steps of training (three of CLIP)."""
    config.data.data_dir = str(glyphs_dir)
    config.data.classes.first = CLASSES
    config.data.profile.ratio = 16.0
    config.data.max_unreadable = 0.1
    config.total_epochs, config.batch_size, config.eval.batch_size, config.checkpoint.every_steps = 1, 8, 16, 1
    config.model.image.update({"width": 4, "output_dim": 16})
    config.model.text.update({"width": 16, "layers": 1, "heads": 2, "context_length": 8, "vocab_size": 800})
    return config


@pytest.fixture(scope="session")
def sl_run(glyphs_dir, tmp_path_factory):
    config = tiny(sup.get_config("data=glyphs_lt"), glyphs_dir)
    config.eval.neural_collapse = True
    workdir = tmp_path_factory.mktemp("runs") / "sl"
    train(config, workdir)
    return config, workdir


@pytest.fixture(scope="session")
def clip_run(glyphs_dir, tmp_path_factory):
    config = tiny(clip.get_config("data=glyphs_lt"), glyphs_dir)
    config.optimizer.warmup_steps = 0
    config.eval.templates = "simple"
    workdir = tmp_path_factory.mktemp("runs") / "clip"
    train(config, workdir)
    return config, workdir


@pytest.fixture(scope="session")
def siglip(tmp_path_factory):
    """The folder of a tiny randomly initialized SigLIP, saved as published ones are."""
    definition = configured(json.loads((DATA / "tokenizer_siglip.json").read_text()), {"pad_token": "</s>"})
    tokenizer = HuggingFaceTokenizer(json.dumps(definition), 64, "canonicalize", vocab_size=183)
    text = {"context_length": 64, "vocab_size": 183, "width": 16, "heads": 2, "layers": 1, "no_causal_mask": True}
    text |= {"pool_type": "last", "proj_bias": True, "tokenizer_kwargs": {"clean": "canonicalize"}}
    vision = {"image_size": 16, "timm_model_name": "siglip_tiny_16", "timm_pool": "map", "timm_proj": "none"}
    config = {"embed_dim": 16, "custom_text": True, "init_logit_bias": -10, "vision_cfg": vision, "text_cfg": text}
    preprocess = Preprocess(16, (0.5,) * 3, (0.5,) * 3, resize_mode="squash")
    folder = tmp_path_factory.mktemp("siglip") / "model"
    with pytest.MonkeyPatch.context() as patch:
        sizes = {"image_size": 16, "patch_size": 4, "width": 16, "layers": 1, "heads": 2, "inner": 64}
        patch.setitem(SIGLIPS, "siglip_tiny_16", replace(SIGLIPS["vit_base_patch16_siglip_224"], **sizes))
        model = nnx.jit(lambda: build_model({"model_cfg": config}, rngs=nnx.Rngs(0)))()
        rng = np.random.default_rng(0)
        draw = lambda x: x + 0.5 * rng.normal(size=x.shape).astype(x.dtype)  # noqa: E731
        nnx.update(model, jax.tree.map(draw, nnx.state(model, nnx.Param)))
        save(model, folder, config, preprocess, tokenizer)
        yield folder


@pytest.fixture(scope="session")
def make_model(tmp_path_factory):
    """Saves tiny randomly initialized CLIPs as published ones are: a folder per seed."""
    tokenizer = train_tokenizer(["a photo of a comma", "capital letters, small letters and digits"], 560, CONTEXT)
    text = {"context_length": CONTEXT, "vocab_size": tokenizer.vocab_size, "width": 16, "heads": 2, "layers": 1}
    text |= {"hf_tokenizer_name": "tokenizer.json", "tokenizer_kwargs": {"clean": "lower"}}
    vision = {"image_size": 16, "patch_size": 8, "width": 16, "head_width": 8, "layers": 1}
    config = {"embed_dim": 8, "vision_cfg": vision, "text_cfg": text}
    root = tmp_path_factory.mktemp("models")

    def make(seed: int):
        folder = root / f"clip{seed}"
        if not folder.exists():
            model = nnx.jit(lambda: build_model({"model_cfg": config}, rngs=nnx.Rngs(seed)))()
            state = nnx.state(model, nnx.Param)
            rng = np.random.default_rng(seed)
            draw = lambda x: x + 0.3 * rng.normal(size=x.shape).astype(x.dtype)  # noqa: E731
            nnx.update(model, jax.tree.map(draw, state))
            save(model, folder, config, PREPROCESS, tokenizer)
        return folder

    return make
