"""Operations as XLA counts them in programs that it compiles for this machine."""

import jax
import jax.numpy as jnp
import pytest

from cliptail_jax.planning.operations import operations
from tests.synthetic import mesh_of


def convolution(stride=1, dilation=1, groups=1):
    def of(x, kernel):
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            (stride, stride),
            "VALID",
            rhs_dilation=(dilation, dilation),
            feature_group_count=groups,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
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
        (convolution(dilation=2), [(4, 9, 9, 8), (3, 3, 8, 16)]),
        (convolution(groups=8), [(4, 9, 9, 8), (3, 3, 1, 8)]),
    ],
)
def test_products_and_convolutions_have_the_operations_that_xla_counts(function, shapes):
    found, arguments = counted(function, *shapes)
    assert found == pytest.approx(jax.jit(function).lower(*arguments).compile().cost_analysis()["flops"], rel=0.02)


@pytest.mark.parametrize("stride", [1, 2])
def test_gradients_of_a_convolution_have_the_operations_of_the_convolution_each(stride):
    shapes = [(4, 9, 9, 8), (3, 3, 8, 16)]
    forward, _ = counted(convolution(stride), *shapes)
    of_both, _ = counted(jax.grad(lambda x, k: (convolution(stride)(x, k) ** 2).sum(), argnums=(0, 1)), *shapes)
    edges = 11 / 9 if stride == 1 else 11 / 8  # the gradient of the input is larger by zeros that are multiplied
    assert 3 * forward <= of_both <= 3 * forward * edges**2


def test_loops_count_each_time_and_shards_on_each_device():
    def looped(a, b):
        return jax.lax.scan(lambda x, _: (x @ b, None), a, None, length=5)[0]

    product, _ = counted(lambda a, b: a @ b, (8, 16), (16, 16))
    assert counted(looped, (8, 16), (16, 16))[0] == 5 * product
    assert counted(jax.jit(lambda a, b: jax.checkpoint(jnp.matmul)(a, b)), (8, 16), (16, 16))[0] == product
    rows = jax.P(("data", "fsdp"))
    shards = jax.shard_map(jnp.matmul, mesh=mesh_of(8), in_specs=(rows, jax.P()), out_specs=rows)
    assert counted(shards, (8, 16), (16, 16))[0] == product


def test_of_branches_the_largest_counts():
    branches = lambda a, b: jax.lax.cond(a.sum() > 0, lambda: a @ b, lambda: a)  # noqa: E731
    assert counted(branches, (16, 16), (16, 16))[0] == 2 * 16**3
