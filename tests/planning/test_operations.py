"""Operations as XLA counts them in programs that it compiles for this machine, and what recomputing some of them saves."""

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import nnx
from jax.experimental import pallas as pl

from cliptail_jax.planning.operations import operations
from cliptail_jax.planning.synthetic import random_batch
from cliptail_jax.training.initialization import first_state
from tests.synthetic import CLASSES, mesh_of, synthetic_objective


def convolution(stride=1, groups=1):
    def of(x, kernel):
        return jax.lax.conv_general_dilated(
            x, kernel, (stride, stride), "VALID", feature_group_count=groups, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    return of


def counted(function, *shapes):
    arguments = [jnp.ones(shape) for shape in shapes]
    return operations(jax.make_jaxpr(function)(*arguments).jaxpr), arguments


@pytest.mark.parametrize(
    "function, shapes",
    [
        (lambda a, b: a @ b, [(30, 40), (40, 50)]),
        (lambda a, b: jnp.einsum("bij,bkj->bik", a, b), [(7, 30, 40), (7, 20, 40)]),
        (convolution(), [(4, 9, 9, 8), (3, 3, 8, 16)]),
        (convolution(stride=2), [(4, 9, 9, 8), (3, 3, 8, 16)]),
        (convolution(groups=8), [(4, 9, 9, 8), (3, 3, 1, 8)]),
    ],
)
def test_products_and_convolutions_have_the_operations_that_xla_counts(function, shapes):
    count, arguments = counted(function, *shapes)
    assert count == pytest.approx(jax.jit(function).lower(*arguments).compile().cost_analysis()["flops"], rel=0.02)


def test_loops_count_each_time_and_shards_on_each_device():
    def looped(a, b):
        return jax.lax.scan(lambda x, _: (x @ b, None), a, None, length=5)[0]

    product, _ = counted(lambda a, b: a @ b, (8, 16), (16, 16))
    assert counted(looped, (8, 16), (16, 16))[0] == 5 * product
    assert counted(jax.jit(lambda a, b: jax.checkpoint(jnp.matmul)(a, b)), (8, 16), (16, 16))[0] == product
    rows = jax.P(("data", "fsdp"))
    shards = jax.shard_map(jnp.matmul, mesh=mesh_of(8), in_specs=(rows, jax.P()), out_specs=rows)
    assert counted(shards, (8, 16), (16, 16))[0] == product


def test_kernels_count_for_each_cell_of_their_grid():
    def product(a, b, out):
        out[...] = a[...] @ b[...]

    def kernel(a, b):
        rows = pl.BlockSpec((8, 40), lambda i: (i, 0)), pl.BlockSpec((40, 16), lambda i: (0, 0))
        shape, out = jax.ShapeDtypeStruct((32, 16), jnp.float32), pl.BlockSpec((8, 16), lambda i: (i, 0))
        return pl.pallas_call(product, shape, grid=(4,), in_specs=rows, out_specs=out)(a, b)

    assert counted(kernel, (32, 40), (40, 16))[0] == 2 * 32 * 40 * 16


def test_recomputed_blocks_keep_less_for_one_more_forward_pass(sup_config):
    sup_config.model.image.update({"layers": (3,), "patch_size": 8})

    def needs(remat):
        """Bytes that the forward pass keeps for the backward pass, and operations of both."""
        sup_config.model.remat = remat
        objective = synthetic_objective(sup_config)
        graphdef, state, _ = first_state(objective, optax.identity())
        batch = jax.tree.map(jnp.asarray, random_batch(objective, 16, CLASSES))

        def encode(params, other_state):
            model = nnx.merge(graphdef, params, *other_state, copy=True)
            return objective.encode(model, batch, jax.random.key(0))["image"]

        params, other_state = state.trainable, (state.frozen, state.batch_stats)
        residuals = jax.tree.leaves(
            jax.eval_shape(lambda params, other_state: jax.vjp(encode, params, other_state)[1], params, other_state)
        )
        gradient = jax.make_jaxpr(jax.grad(lambda params, other_state: encode(params, other_state).sum()))(
            params, other_state
        )
        return sum(x.size * x.dtype.itemsize for x in residuals), operations(gradient.jaxpr)

    (plain, operations_of_plain), (remat, operations_of_remat) = needs("none"), needs("blocks")
    assert remat < 0.6 * plain
    assert 1.1 * operations_of_plain < operations_of_remat < 1.4 * operations_of_plain
