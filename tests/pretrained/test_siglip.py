"""SigLIPs with their tokenizers, in runs that start from them."""

import copy
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import save_file
from seeded_weights import draw_all, draw_images
from test_pretrained_tokenizer import write_tokenizer
from test_towers import assert_same, values
from tiny_models import CASES

from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.models.remat import rematerialize
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


def test_both_towers_are_trained_with_a_bias_of_the_runs_own(make_siglip, clip_config, tmp_path, capsys):
    siglip = make_siglip("siglip")
    config = start_from(clip_config, siglip)
    config.objective, config.model.remat = "sigmoid", "blocks"
    train(config, tmp_path / "run")
    assert "is dropped" not in capsys.readouterr().err
    before, after = (values(nnx.state(of.model)) for of in (load(siglip), open_run(tmp_path / "run")))
    same = [name for name in after if np.array_equal(before[name], after[name])]
    assert before.keys() == after.keys() and not same
    assert abs(after["logit_bias"] + 10) < 0.1


def test_gradients_are_the_same_where_activations_are_computed_again(make_siglip):
    model = load(make_siglip("siglip")).model
    inputs = draw_images(2, 32), np.arange(2 * CONTEXT).reshape(2, CONTEXT)

    @jax.jit
    def gradient(model):
        return nnx.grad(lambda m: (m.encode_image(inputs[0]) * m.encode_text(inputs[1])).sum())(model)

    kept = values(gradient(model))
    rematerialize(model)
    for name, value in values(gradient(model)).items():
        np.testing.assert_allclose(value, kept[name], rtol=1e-4, atol=1e-4, err_msg=name)
        assert np.abs(value).max() > 0 or name.startswith("logit"), name


def test_in_bfloat16_the_features_are_nearly_the_same(make_siglip):
    whole, half = (load(make_siglip("siglip2"), dtype=dtype) for dtype in (jnp.float32, jnp.bfloat16))
    inputs = draw_images(2, whole.preprocess.size), whole.tokenizer(TEXTS)
    exact, rounded = (
        jax.jit(lambda m, images, tokens: (m.encode_image(images), m.encode_text(tokens)))(of.model, *inputs)
        for of in (whole, half)
    )
    for a, b in zip(exact, rounded, strict=True):
        assert a.dtype == b.dtype == jnp.float32
        assert 1e-4 < np.abs(a - b).max() / np.abs(a).max() < 0.05
    assert {v.dtype for v in values(nnx.state(half.model)).values()} == {np.dtype("float32")}
