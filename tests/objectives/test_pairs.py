"""The blocks of the losses over pairs."""

import math

import jax
import jax.numpy as jnp
import pytest

from cliptail_jax.objectives.contrastive import contrastive_loss
from cliptail_jax.objectives.pairs import number_of_blocks
from cliptail_jax.objectives.sigmoid import sigmoid_loss
from tests.synthetic import mesh_of

BATCH, DIM, DEVICES = 256, 2, 8
ROWS = BATCH // DEVICES
LOSSES = {"contrastive": (contrastive_loss, 1), "sigmoid": (sigmoid_loss, 2)}  # with the number of scalars


def sizes(jaxpr, on_device=False):
    """Of all arrays that a device computes in the `shard_map`s of a program."""
    for equation in jaxpr.eqns:
        inside = on_device or equation.primitive.name == "shard_map"
        if on_device:
            yield from (math.prod(variable.aval.shape) for variable in equation.outvars)
        for inner in jax.core.jaxprs_in_params(equation.params):
            yield from sizes(inner, inside)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("block", [16, 64])
def test_no_array_of_loss_or_gradient_is_larger_than_rows_by_block(name, block):
    loss, scalars = LOSSES[name]
    of = lambda *args: loss(*args, jnp.ones(BATCH, bool), mesh_of(DEVICES), block)  # noqa: E731
    features = jax.ShapeDtypeStruct((BATCH, DIM), jnp.float32)
    given = (features, features, *[jax.ShapeDtypeStruct((), jnp.float32)] * scalars)
    found = list(sizes(jax.make_jaxpr(jax.value_and_grad(of, tuple(range(len(given)))))(*given).jaxpr))
    assert BATCH * DIM in found  # what is gathered
    assert max(found) == ROWS * block


@pytest.mark.parametrize(
    "rows, batch, block, blocks",
    [(128, 1024, 0, 1), (128, 1024, 256, 4), (128, 1024, 300, 4), (12, 48, 7, 8), (1024, 2**20, 0, 32), (5, 5, 9, 1)],
)
def test_blocks_are_equal_and_no_larger_than_asked(rows, batch, block, blocks):
    assert number_of_blocks(rows, batch, block) == blocks
