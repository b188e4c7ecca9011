"""Models that are opened for images of another size than they were trained on."""

import dataclasses
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from flax import nnx
from test_export import CLASSIFIER, VIT, write_run

from cliptail_jax.errors import UserError
from cliptail_jax.models.positions import EVERY_GRID, OTHER_GRIDS, resize_positions
from cliptail_jax.pretrained.export import export
from cliptail_jax.pretrained.runs import open_run
from cliptail_jax.pretrained.towers import Towers, open_image_tower
from cliptail_jax.training.initialization import FILE, no_export, report
from tests.synthetic import mesh_of

SIZE, SIDE = 48, 6


def resampling(rule):
    """The description of a DINO run on a vision transformer."""
    return {"model_cfg": CLASSIFIER["model_cfg"] | {"vision_cfg": VIT | {"cliptail_resampling": rule}}}


@pytest.mark.parametrize("mesh", [None, mesh_of(8, fsdp=2)], ids=["one device", "eight devices"])
def test_a_runs_positions_are_resized_when_it_is_read(mesh, sup_config, tmp_path):
    stored = write_run(tmp_path / "run", sup_config, CLASSIFIER).visual.positional_embedding[...]
    opened = open_run(tmp_path / "run", mesh=mesh).at_size(SIZE)
    assert opened.preprocess.size == SIZE
    found = opened.model.visual.positional_embedding[...]
    np.testing.assert_allclose(found, resize_positions(stored, SIDE), rtol=1e-5, atol=1e-5)
    assert (
        found.shape == (1 + SIDE**2, VIT["width"])
        and np.isfinite(opened.model.visual(np.ones((1, SIZE, SIZE, 3)))).all()
    )


def test_a_runs_positions_without_a_leading_token_are_resized_too(sup_config, tmp_path, monkeypatch):
    vision_cfg = {"timm_model_name": "mobileclip_vit_parity", "timm_pool": "token", "timm_proj": None, "image_size": 32}
    model = write_run(tmp_path / "run", sup_config, {"model_cfg": {"embed_dim": 16, "vision_cfg": vision_cfg}})
    found = open_run(tmp_path / "run").at_size(SIZE).model.visual.trunk.pos_embed[...]
    np.testing.assert_allclose(found, resize_positions(model.visual.trunk.pos_embed[...], 3), rtol=1e-5, atol=1e-5)
    assert found.shape == (1, 3**2, 32)


def test_a_run_starts_from_a_tower_of_images_of_another_size(sup_config, tmp_path):
    stored = write_run(tmp_path / "run", sup_config, CLASSIFIER).visual.positional_embedding[...]
    export(tmp_path / "run", tmp_path / "exported")
    for folder in (tmp_path / "run", tmp_path / "exported"):
        tower = open_image_tower(str(folder), output_dim=16, image_size=SIZE, partial=False)
        assert not tower.missing and tower.config["image_size"] == SIZE
        assert tower.resized == {("visual", "positional_embedding"): (4, SIDE)}
        np.testing.assert_allclose(
            tower.load().positional_embedding[...], resize_positions(stored, SIDE), rtol=1e-5, atol=1e-5
        )


def report_of(tower, workdir):
    """The rows of initialization.tsv of a run with `tower` alone."""
    workdir.mkdir()
    nothing, whole = nnx.State({}), nnx.State({"visual": nnx.state(tower.abstract())})
    report(SimpleNamespace(trainable=whole, frozen=nothing, batch_stats=nothing), Towers(image=tower), workdir)
    return [line.split("\t") for line in (workdir / FILE).read_text().splitlines()[1:]]


def test_that_positions_are_resized_is_said_and_noted_and_if_the_run_cannot_be_exported(sup_config, tmp_path, capsys):
    write_run(tmp_path / "run", sup_config, CLASSIFIER)
    name = str(tmp_path / "run")
    for size, note in ((32, ""), (SIZE, ", positions resized from 4 x 4 to 6 x 6")):
        tower = open_image_tower(name, output_dim=16, image_size=size, partial=False)
        origins = {parameter: origin for parameter, _, origin, _ in report_of(tower, tmp_path / str(size))}
        assert origins.pop("visual.positional_embedding") == name + note and set(origins.values()) == {name}
        said = capsys.readouterr().err
        assert f"visual: {len(origins) + 1} parameters from {name}; all of them" in said
        assert ("visual: positions resized from 4 x 4 to 6 x 6" in said) == bool(note) and "exported" not in said
    eva = {"timm_model_name": "eva02_parity", "timm_pool": "token", "timm_proj": None, "image_size": 16}
    reason = no_export(dataclasses.replace(tower, config=eva))
    assert reason.startswith("; the run cannot be exported (open_clip has eva02_parity for images of 32 pixels, not 16")


def test_a_dino_run_keeps_its_positions_and_resamples_them_in_each_pass(sup_config, tmp_path):
    model = write_run(tmp_path / "run", sup_config, resampling(OTHER_GRIDS))
    opened = open_run(tmp_path / "run").at_size(SIZE)
    np.testing.assert_array_equal(opened.model.visual.positional_embedding[...], model.visual.positional_embedding[...])
    images = jax.ShapeDtypeStruct((1, SIZE, SIZE, 3), np.float32)
    assert nnx.eval_shape(lambda m, x: m.encode_image(x), opened.model, images).shape == (1, 16)
    export(tmp_path / "run", tmp_path / "out")  # at its own size, open_clip computes the same


def test_a_tower_that_resamples_its_own_grid_cannot_be_exported(sup_config, tmp_path):
    write_run(tmp_path / "run", sup_config, resampling(EVERY_GRID))
    with pytest.raises(UserError, match="dino.resample_own_grid: open_clip has no tower"):
        export(tmp_path / "run", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_size_that_the_tower_cannot_divide_is_refused(sup_config, tmp_path):
    write_run(tmp_path / "run", sup_config, CLASSIFIER)
    with pytest.raises(UserError, match="image_size: 50 is not divisible by 8"):
        open_run(tmp_path / "run").at_size(50)
