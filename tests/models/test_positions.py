"""Positional embeddings for other grids against torch and open_clip (scripts/parity/positions_fixtures.py)."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from cliptail_jax.host.errors import UserError
from cliptail_jax.models.positions import EVERY_GRID, OTHER_GRIDS, resize_positions, token_positions

TORCH = np.load(Path(__file__).parents[1] / "data" / "torch_positions.npz")


@pytest.mark.parametrize("case", [name for name in TORCH if name.startswith("dino/")])
def test_dinos_crops_have_the_positions_that_torch_samples(case):
    side, grid = case.removeprefix("dino/").split("_to_")
    height, width = map(int, grid.split("x"))
    resampled = token_positions(jnp.asarray(TORCH[f"embedding_{side}"]), height, width, EVERY_GRID)
    assert resampled.dtype == jnp.float32
    np.testing.assert_allclose(resampled, TORCH[case], rtol=0, atol=1e-6)


@pytest.mark.parametrize("case", [name for name in TORCH if name.startswith("open_clip/")])
def test_a_model_for_another_size_has_open_clips_positions(case):
    side, new = map(int, case.removeprefix("open_clip/").split("_to_"))
    resized = resize_positions(jnp.asarray(TORCH[f"embedding_{side}"]), new)
    np.testing.assert_allclose(resized, TORCH[case], rtol=0, atol=3e-6)


def test_a_towers_own_grid_is_left_alone_unless_every_grid_is_resampled():
    embedding = jnp.asarray(TORCH["embedding_4"])
    assert token_positions(embedding, 4, 4) is embedding
    assert token_positions(embedding, 4, 4, OTHER_GRIDS) is embedding
    assert np.abs(token_positions(embedding, 4, 4, EVERY_GRID) - embedding).max() > 0.01


def test_a_tower_without_dinos_rule_refuses_other_grids_than_its_own():
    with pytest.raises(UserError, match=r"images of 2 × 8 cells, but this image tower has positions for 4 × 4"):
        token_positions(jnp.asarray(TORCH["embedding_4"]), 2, 8)
