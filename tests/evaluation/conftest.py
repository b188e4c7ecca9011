"""Two runs of few steps, each evaluated at its end; and tiny CLIPs, saved as published ones are."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from flax import nnx

from cliptail_jax.input.huggingface_tokenizer import HuggingFaceTokenizer, configured
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.models.build import build_model
from cliptail_jax.models.timm_members import TIMM_VITS
from cliptail_jax.pretrained.save import save
from configs import clip, sup
from tests.tiny_clip import add_noise, save_tiny_clip

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="session")
def sl_run(small_config, trained_once):
    return trained_once("evaluated_sl", shortened(small_config(sup), neural_collapse=True), number=8)


@pytest.fixture(scope="session")
def clip_run(small_config, trained_once):
    return trained_once("evaluated_clip", shortened(small_config(clip), templates="simple"), number=8)


def shortened(config, **options):
    """A config of four steps of training (three of CLIP); the rarest three of the classes have no training image."""
    config.data.profile.ratio, config.data.max_unreadable = 16.0, 0.1
    config.total_epochs, config.batch_size, config.checkpoint.every_steps = 1, 8, 1
    config.eval.update(options)
    return config


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
        patch.setitem(TIMM_VITS, "siglip_tiny_16", replace(TIMM_VITS["vit_base_patch16_siglip_224"], **sizes))
        model = nnx.jit(lambda: build_model({"model_cfg": config}, rngs=nnx.Rngs(0)))()
        add_noise(model, 0.5, seed=0)
        save(model, folder, config, preprocess, tokenizer)
        yield folder


@pytest.fixture(scope="session")
def make_model(tmp_path_factory):
    """Gives the folder of the tiny CLIP of a seed."""
    root = tmp_path_factory.mktemp("models")

    def make(seed: int):
        folder = root / f"clip{seed}"
        return folder if folder.exists() else save_tiny_clip(folder, seed)

    return make
