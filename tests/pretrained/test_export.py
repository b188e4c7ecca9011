import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cliptail_jax.concepts.frequency_tables import write_frequency
from cliptail_jax.config.fields import plain
from cliptail_jax.errors import UserError
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.models.build import build_model
from cliptail_jax.objectives import FIELDS
from cliptail_jax.pretrained.export import export, main
from cliptail_jax.pretrained.published_clip import load
from cliptail_jax.pretrained.runs import describe_run, open_run
from cliptail_jax.pretrained.save import open_clip_config
from cliptail_jax.runs.checkpoints import Checkpoints
from cliptail_jax.runs.directory import open_or_resume

CLASSES = ("cat", "dog", "fox")
VIT = {"image_size": 32, "layers": 1, "width": 8, "head_width": 4, "patch_size": 8}
CLASSIFIER = {"model_cfg": {"embed_dim": 16, "quick_gelu": False, "vision_cfg": VIT}}


def write_run(workdir, config, description):
    """A run with one checkpoint, of a model with arbitrary weights; returns that."""
    open_or_resume(workdir, plain(config), FIELDS, {"records": 3, "fingerprint": "abc"}, overwrite=False)
    write_frequency(workdir / "class_frequency.tsv", CLASSES, np.ones(len(CLASSES), int))
    describe_run(workdir, description, Preprocess(32), "float32", {})
    graphdef, shapes = nnx.split(nnx.eval_shape(lambda: build_model(description, rngs=nnx.Rngs(0))))
    state = jax.tree.map(lambda x: jnp.arange(x.size, dtype=x.dtype).reshape(x.shape) / 100, shapes)
    with Checkpoints(workdir / "checkpoints", keep=1) as checkpoints:
        checkpoints.save(1, {"trainable": state})
    return nnx.merge(graphdef, state)


def assert_same(ours, theirs):
    jax.tree.map(np.testing.assert_array_equal, nnx.state(ours), nnx.state(theirs))


def test_a_clip_run_is_exported_with_its_tokenizer(trained_run, tmp_path, capsys):
    workdir = trained_run("clip")[1]
    assert main([f"--workdir={workdir}", f"--output={tmp_path / 'out'}"]) == 0
    printed = capsys.readouterr()
    assert f"local-dir:{tmp_path / 'out'}" in printed.out and "note:" not in printed.err
    run, again = open_run(workdir), load(tmp_path / "out")
    assert_same(again.model, run.model)
    assert again.config["quick_gelu"] and again.preprocess == dataclasses.replace(run.preprocess, short_side=0)
    texts = ["a photo of a dog", "a photo of a cat"]
    np.testing.assert_array_equal(again.tokenizer(texts), run.tokenizer(texts))


def test_a_supervised_run_is_exported_with_its_head(sup_config, tmp_path):
    model = write_run(tmp_path / "run", sup_config, CLASSIFIER | {"head": {"kind": "cosine", "classes": len(CLASSES)}})
    assert main([f"--workdir={tmp_path / 'run'}", f"--output={tmp_path / 'out'}"]) == 0
    again = load(tmp_path / "out").model
    assert again.head.shape == (len(CLASSES), 16)
    assert_same(again, model)


def test_a_run_without_a_head_that_is_not_trained_to_its_end_is_exported_with_a_note(sup_config, tmp_path, capsys):
    sup_config.batch_size, sup_config.total_epochs = 2, 30  # for three records
    model = write_run(tmp_path / "run", sup_config, CLASSIFIER)
    assert main([f"--workdir={tmp_path / 'run'}", f"--output={tmp_path / 'out'}"]) == 0
    assert capsys.readouterr().err == f"note: {tmp_path / 'run'} is trained to step 1 of 60\n"
    assert_same(load(tmp_path / "out").model.visual, model.visual)


def test_an_encoder_with_its_mlp_is_exported(bert_run, tmp_path):
    export(bert_run[1], tmp_path / "out")
    assert_same(load(tmp_path / "out").model, open_run(bert_run[1]).model)


@pytest.mark.parametrize(
    "run, complaint",
    [("none", "contains no run"), ("sup", "open_clip has no basic_resnet"), ("linear", "head.kind='linear'")],
)
def test_what_cannot_be_exported_is_one_line(run, complaint, trained_run, linear_run, tmp_path, capsys):
    workdir = {"none": tmp_path, "sup": trained_run("sup")[1], "linear": linear_run[1]}[run]
    capsys.readouterr()
    assert main([f"--workdir={workdir}", f"--output={tmp_path / 'out'}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and complaint in error and error.count("\n") == 1


def test_towers_with_different_activations_are_refused_where_both_have_one():
    text_cfg = {"context_length": 8, "vocab_size": 20, "width": 8, "heads": 2, "layers": 1}
    config = {"embed_dim": 16, "quick_gelu": False, "vision_cfg": VIT, "text_cfg": text_cfg}
    with pytest.raises(UserError, match="one tower of this run has GELU and the other QuickGELU"):
        open_clip_config({"model_cfg": config, "text_quick_gelu": True})
    resnet = {"layers": [1, 1, 1, 1], "width": 8, "head_width": 4, "patch_size": None, "image_size": 32}
    described = {"model_cfg": config | {"vision_cfg": resnet}, "text_quick_gelu": True}
    assert open_clip_config(described)["quick_gelu"]
