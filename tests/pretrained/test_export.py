import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cliptail_jax.config.fields import plain
from cliptail_jax.formats.frequency_tables import write_frequency
from cliptail_jax.host.errors import UserError
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.models.build import build_model
from cliptail_jax.models.positions import EVERY_GRID, OTHER_GRIDS, resize_positions
from cliptail_jax.objectives import FIELDS
from cliptail_jax.pretrained.export import export
from cliptail_jax.pretrained.model import open_run
from cliptail_jax.pretrained.published_clip import load
from cliptail_jax.pretrained.runs import describe_run
from cliptail_jax.pretrained.save import open_clip_config
from cliptail_jax.pretrained.towers import open_image_tower
from cliptail_jax.runs.checkpoints import Checkpoints
from cliptail_jax.runs.directory import open_or_resume
from cliptail_jax.training.initialization import export_note
from tests.commands import export as main
from tests.pretrained.tiny_models import assert_same
from tests.synthetic import mesh_of

CLASSES = ("cat", "dog", "fox")
VIT = {"image_size": 32, "layers": 1, "width": 8, "head_width": 4, "patch_size": 8}
CLASSIFIER = {"model_cfg": {"embed_dim": 16, "quick_gelu": False, "vision_cfg": VIT}}


def write_run(workdir, config, description, size=32):
    """A run with one checkpoint, of a model with arbitrary weights; returns that."""
    open_or_resume(workdir, plain(config), FIELDS, {"records": 3, "fingerprint": "abc"}, overwrite=False)
    write_frequency(workdir / "class_frequency.tsv", CLASSES, np.ones(len(CLASSES), int))
    describe_run(workdir, description, Preprocess(size), "float32", {})
    graphdef, shapes = nnx.split(nnx.eval_shape(lambda: build_model(description, rngs=nnx.Rngs(0))))
    state = jax.tree.map(lambda x: jnp.arange(x.size, dtype=x.dtype).reshape(x.shape) / 100, shapes)
    with Checkpoints(workdir / "checkpoints", keep=1) as checkpoints:
        checkpoints.save(1, {"trainable": state})
    return nnx.merge(graphdef, state)


def test_a_clip_run_is_exported_with_its_tokenizer(trained_run, tmp_path, capsys):
    workdir = trained_run("clip")[1]
    assert main([f"--workdir={workdir}", f"--output={tmp_path / 'out'}"]) == 0
    output = capsys.readouterr()
    assert f"local-dir:{tmp_path / 'out'}" in output.out and "note:" not in output.err
    run, exported = open_run(workdir), load(tmp_path / "out")
    assert_same(exported.model, run.model)
    assert exported.config["quick_gelu"] and exported.preprocess == dataclasses.replace(run.preprocess, short_side=0)
    texts = ["a photo of a dog", "a photo of a cat"]
    np.testing.assert_array_equal(exported.tokenizer(texts), run.tokenizer(texts))


def test_a_run_of_plain_attention_is_opened_with_it(sup_config, tmp_path):
    write_run(tmp_path, sup_config, CLASSIFIER | {"head": {"kind": "cosine", "classes": len(CLASSES)}})
    assert not open_run(tmp_path).model.visual.transformer.resblocks[0].attn.plain
    describe_run(tmp_path, open_run(tmp_path).description, Preprocess(32), "float32", {}, attention="plain")
    assert open_run(tmp_path).model.visual.transformer.resblocks[0].attn.plain


def test_a_supervised_run_is_exported_with_its_head(sup_config, tmp_path):
    model = write_run(tmp_path / "run", sup_config, CLASSIFIER | {"head": {"kind": "cosine", "classes": len(CLASSES)}})
    assert main([f"--workdir={tmp_path / 'run'}", f"--output={tmp_path / 'out'}"]) == 0
    exported = load(tmp_path / "out").model
    assert exported.head.shape == (len(CLASSES), 16)
    assert_same(exported, model)


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
def test_a_run_that_cannot_be_exported_is_one_line(run, complaint, trained_run, linear_run, tmp_path, capsys):
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


SIZE, SIDE = 48, 6


def resampling(rule):
    """The description of a DINO run on a vision transformer."""
    return {"model_cfg": CLASSIFIER["model_cfg"] | {"vision_cfg": VIT | {"cliptail_resampling": rule}}}


def test_a_runs_positions_are_resized_when_it_is_read_on_eight_devices(sup_config, tmp_path):
    old_positions = write_run(tmp_path / "run", sup_config, CLASSIFIER).visual.positional_embedding[...]
    opened = open_run(tmp_path / "run", mesh=mesh_of(8, fsdp=2)).at_size(SIZE)
    assert opened.preprocess.size == SIZE
    positions = opened.model.visual.positional_embedding[...]
    np.testing.assert_allclose(positions, resize_positions(old_positions, SIDE), rtol=1e-5, atol=1e-5)
    assert (
        positions.shape == (1 + SIDE**2, VIT["width"])
        and np.isfinite(opened.model.visual(np.ones((1, SIZE, SIZE, 3)))).all()
    )


def test_a_run_starts_from_a_tower_of_images_of_another_size(sup_config, tmp_path):
    old_positions = write_run(tmp_path / "run", sup_config, CLASSIFIER).visual.positional_embedding[...]
    tower = open_image_tower(str(tmp_path / "run"), output_dim=16, image_size=SIZE, partial=False)
    assert not tower.missing_parameters and tower.resized_grids == {("visual", "positional_embedding"): (4, SIDE)}
    positions = tower.load().positional_embedding[...]
    np.testing.assert_allclose(positions, resize_positions(old_positions, SIDE), rtol=1e-5, atol=1e-5)


def test_that_a_run_on_a_tower_cannot_be_exported_is_said_beforehand(sup_config, tmp_path):
    write_run(tmp_path / "run", sup_config, CLASSIFIER)
    tower = open_image_tower(str(tmp_path / "run"), output_dim=16, image_size=32, partial=False)
    eva = {"timm_model_name": "eva02_parity", "timm_pool": "token", "timm_proj": None, "image_size": 16}
    reason = export_note(dataclasses.replace(tower, config=eva))
    assert reason.startswith("; the run cannot be exported (open_clip has eva02_parity for images of 32 pixels, not 16")


def test_a_dino_run_keeps_its_positions_and_resamples_them_in_each_pass(sup_config, tmp_path):
    model = write_run(tmp_path / "run", sup_config, resampling(OTHER_GRIDS))
    opened = open_run(tmp_path / "run").at_size(SIZE)
    np.testing.assert_array_equal(opened.model.visual.positional_embedding[...], model.visual.positional_embedding[...])
    images = jax.ShapeDtypeStruct((1, SIZE, SIZE, 3), np.float32)
    assert nnx.eval_shape(lambda m, x: m.encode_image(x), opened.model, images).shape == (1, 16)
    export(tmp_path / "run", tmp_path / "out")  # at its own size, open_clip computes the same


def test_a_run_that_resamples_the_positions_of_another_run_cannot_be_exported(sup_config, tmp_path):
    write_run(tmp_path / "run", sup_config, resampling(OTHER_GRIDS), SIZE)
    with pytest.raises(UserError, match=f"positions for images of 32 pixels to {SIZE} in each pass"):
        export(tmp_path / "run", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_tower_that_resamples_its_own_grid_cannot_be_exported(sup_config, tmp_path):
    write_run(tmp_path / "run", sup_config, resampling(EVERY_GRID))
    with pytest.raises(UserError, match="dino.resample_own_grid: open_clip has no tower"):
        export(tmp_path / "run", tmp_path / "out")
    assert not (tmp_path / "out").exists()
