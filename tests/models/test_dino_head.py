"""What DINO's head does beyond the steps of tests/objectives/test_dino_parity.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cliptail_jax.models.dino import DinoHead

PROTOTYPES, BATCH = 96, 6


def make_head(dtype=jnp.float32):
    return DinoHead(12, hidden=40, bottleneck=32, prototypes=PROTOTYPES, dtype=dtype, rngs=nnx.Rngs(0))


@pytest.fixture(scope="module")
def head():
    return make_head()


@pytest.fixture(scope="module")
def features():
    return jnp.asarray(np.random.default_rng(0).normal(size=(BATCH, 12)), jnp.float32)


def test_bfloat16_layers_give_float32_of_unit_length(head, features):
    half = make_head(jnp.bfloat16)
    z = half(features)
    assert z.dtype == jnp.float32 and half.logits(z).dtype == jnp.float32
    np.testing.assert_allclose(jnp.square(z).sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(z, head(features), atol=0.03)


def test_logits_of_sampled_rows_are_those_columns_of_all_logits(head, features):
    z, rows = head(features), jnp.array([5, 90, 0, 33])
    np.testing.assert_allclose(head.logits(z, rows), head.logits(z)[:, rows], atol=1e-6)


def test_only_the_sampled_rows_are_computed(head):
    """No array but the parameter itself has as many rows or columns as there are prototypes."""
    graphdef, state = nnx.split(head)
    traced = jax.make_jaxpr(lambda state, z, rows: nnx.merge(graphdef, state).logits(z, rows))(
        state, jnp.zeros((BATCH, 32)), jnp.array([5, 90, 0])
    )
    shapes = [variable.aval.shape for equation in traced.jaxpr.eqns for variable in equation.outvars]
    assert (BATCH, 3) in shapes
    assert not any(PROTOTYPES in shape for shape in shapes)
