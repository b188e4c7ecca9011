"""Models that are opened for images of another size than they were trained on."""

import dataclasses

import jax
import numpy as np
import pytest
from flax import nnx
from test_export import CLASSIFIER, VIT, write_run

from cliptail_jax.errors import UserError
from cliptail_jax.models.positions import EVERY_GRID, OTHER_GRIDS, resize_positions
from cliptail_jax.pretrained.export import export
from cliptail_jax.pretrained.runs import open_run
from cliptail_jax.pretrained.towers import open_image_tower
from cliptail_jax.training.initialization import no_export
from tests.synthetic import mesh_of

SIZE, SIDE = 48, 6


def resampling(rule):
    """The description of a DINO run on a vision transformer."""
    return {"model_cfg": CLASSIFIER["model_cfg"] | {"vision_cfg": VIT | {"cliptail_resampling": rule}}}


def test_a_runs_positions_are_resized_when_it_is_read_on_eight_devices(sup_config, tmp_path):
    stored = write_run(tmp_path / "run", sup_config, CLASSIFIER).visual.positional_embedding[...]
    opened = open_run(tmp_path / "run", mesh=mesh_of(8, fsdp=2)).at_size(SIZE)
    assert opened.preprocess.size == SIZE
    found = opened.model.visual.positional_embedding[...]
    np.testing.assert_allclose(found, resize_positions(stored, SIDE), rtol=1e-5, atol=1e-5)
    assert (
        found.shape == (1 + SIDE**2, VIT["width"])
        and np.isfinite(opened.model.visual(np.ones((1, SIZE, SIZE, 3)))).all()
    )


def test_a_run_starts_from_a_tower_of_images_of_another_size(sup_config, tmp_path):
    stored = write_run(tmp_path / "run", sup_config, CLASSIFIER).visual.positional_embedding[...]
    tower = open_image_tower(str(tmp_path / "run"), output_dim=16, image_size=SIZE, partial=False)
    assert not tower.missing and tower.resized == {("visual", "positional_embedding"): (4, SIDE)}
    found = tower.load().positional_embedding[...]
    np.testing.assert_allclose(found, resize_positions(stored, SIDE), rtol=1e-5, atol=1e-5)


def test_that_a_run_on_a_tower_cannot_be_exported_is_said_beforehand(sup_config, tmp_path):
    write_run(tmp_path / "run", sup_config, CLASSIFIER)
    tower = open_image_tower(str(tmp_path / "run"), output_dim=16, image_size=32, partial=False)
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
