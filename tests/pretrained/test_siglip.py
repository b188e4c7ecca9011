"""SigLIPs with their tokenizers, in runs that start from them."""

import copy
import functools
import json

import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import save_file
from seeded_weights import draw_all
from test_pretrained_tokenizer import write_tokenizer
from test_towers import assert_same, values
from tiny_models import CASES

from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.pretrained import published_clip
from cliptail_jax.pretrained.export import export
from cliptail_jax.pretrained.published_clip import load, open_published
from cliptail_jax.pretrained.runs import open_run
from cliptail_jax.train import train

CONTEXT = 24
TOKENS = 500  # of the larger of the two tokenizers
TEXTS = ["A photo of two cats, sitting!", "a_photo of TWO cats sitting", "seven"]


@pytest.fixture(scope="session")
def make_siglip(tmp_path_factory):
    """The folder of a published 'siglip' or 'siglip2' with its tokenizer; its pixel statistics are CLIP's."""

    @functools.cache
    def make(kind):
        folder, config = tmp_path_factory.mktemp(kind), copy.deepcopy(CASES[kind]["config"])
        text, shapes = config["text_cfg"], dict(CASES[kind]["shapes"])
        text |= {"vocab_size": TOKENS, "context_length": CONTEXT}
        text |= {"hf_tokenizer_name": "of the folder", "tokenizer_kwargs": {"clean": "canonicalize"}}
        shapes["text.token_embedding.weight"] = [TOKENS, text["width"]]
        shapes["text.positional_embedding"] = [CONTEXT, text["width"]]
        save_file(draw_all(shapes), folder / "open_clip_model.safetensors")
        (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
        write_tokenizer(folder, kind)
        return folder

    return make


def start_from(config, siglip):
    config.image.init = config.text.init = str(siglip)
    config.model.image.output_dim = 32
    config.total_steps, config.eval.sets = 2, ()
    config.data.captions.template = "a+cname"
    return config


def test_weights_of_a_named_architecture_are_given_images_as_siglips_are(make_siglip, monkeypatch):
    folder = make_siglip("siglip")
    config = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]
    monkeypatch.setattr(published_clip, "named_architecture", lambda name: config)
    opened = open_published(folder, architecture="ViT-B-16-SigLIP")
    assert opened.preprocess == Preprocess(32, (0.5,) * 3, (0.5,) * 3, resize_mode="squash")


def test_the_bias_is_said_to_be_dropped_in_a_softmax_whose_text_tower_stays_frozen(
    make_siglip, clip_config, tmp_path, monkeypatch, capsys
):
    siglip = make_siglip("siglip2")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    config = start_from(clip_config, siglip)
    config.text.freeze, config.eval.sets = True, ("glyphs:test",)
    train(config, tmp_path / "run")
    assert capsys.readouterr().err.count(f"{siglip} is a SigLIP: its logit bias is dropped") == 1
    theirs, ours = load(siglip), open_run(tmp_path / "run")
    assert_same(values(nnx.state(ours.model.text)), values(nnx.state(theirs.model.text)))
    tokens = theirs.tokenizer(TEXTS)
    np.testing.assert_array_equal(ours.tokenizer(TEXTS), tokens)
    np.testing.assert_array_equal(tokens[0], tokens[1])  # canonical text
    assert not hasattr(ours.model, "logit_bias")
    export(tmp_path / "run", tmp_path / "out")
    again = load(tmp_path / "out")
    assert_same(values(nnx.state(again.model)), values(nnx.state(ours.model)))
    np.testing.assert_array_equal(again.tokenizer(TEXTS), tokens)
