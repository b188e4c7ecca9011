"""Resized positional embeddings against torch's bicubic interpolation (scripts/parity/positions_fixtures.py)."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptail_jax.models.positions import cubic_matrix, resize_positions

TORCH = np.load(Path(__file__).parents[1] / "data" / "torch_bicubic.npz")
SIZES = st.integers(1, 20)


@pytest.mark.parametrize("case", [name for name in TORCH if "_to_" in name])
def test_resized_grids_equal_those_of_torch(case):
    grid, size = case.split("_to_")
    height, width = map(int, size.split("x"))
    resized = resize_positions(jnp.asarray(TORCH[f"grid_{grid}"]), height, width)
    assert resized.dtype == jnp.float32
    np.testing.assert_allclose(resized, TORCH[case], rtol=0, atol=1e-6)


def test_a_grid_at_its_own_size_is_unchanged():
    grid = jnp.asarray(TORCH["grid_4x7"])
    np.testing.assert_array_equal(resize_positions(grid, 4, 7), grid)


@given(size=SIZES)
def test_the_matrix_of_the_same_size_is_the_identity(size):
    np.testing.assert_array_equal(cubic_matrix(size, size), np.eye(size))


@given(inputs=SIZES, outputs=SIZES)
def test_contributions_sum_to_one_and_mirror(inputs, outputs):
    matrix = cubic_matrix(inputs, outputs)
    np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-12)
    np.testing.assert_allclose(matrix, matrix[::-1, ::-1], atol=1e-12)


@given(height=SIZES, width=SIZES)
@settings(deadline=None, max_examples=10)
def test_a_constant_grid_stays_constant(height, width):
    resized = resize_positions(jnp.full((3, 5, 2), 7.0), height, width)
    assert resized.shape == (height, width, 2)
    np.testing.assert_allclose(resized, 7, rtol=1e-6)
