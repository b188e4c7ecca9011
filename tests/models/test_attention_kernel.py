"""TPUs' attention in one kernel, interpreted on CPU devices, against `jax.nn`'s."""

import functools

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AbstractDevice, AbstractMesh, AxisType

from cliptail_jax.config.sections import MeshAxes
from cliptail_jax.models import attention_kernel
from cliptail_jax.models.attention import attend
from cliptail_jax.models.attention_kernel import attend_on_chip, is_supported
from cliptail_jax.models.self_attention import SelfAttention, attention_in
from cliptail_jax.parallel.sharding import batch_sharding, make_mesh

DEVICES = 8
HEADS, WIDTH, LENGTH = 3, 24, 13


@pytest.fixture
def mesh(monkeypatch):
    """Of all devices, on which Pallas interprets its kernels."""
    interpreted = functools.partial(attention_kernel.pl.pallas_call, interpret=True)
    monkeypatch.setattr(attention_kernel.pl, "pallas_call", interpreted)
    return make_mesh(MeshAxes())


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_attention_in_one_kernel_is_plain_attention(dtype, causal, mesh):
    """And its gradients, on several devices: to 1e-6 in float32, and in bfloat16 at least as near to float32 as plain ones."""
    shapes = (3 * WIDTH, WIDTH)
    arrays = [jax.random.normal(jax.random.key(width), (mesh.size, LENGTH, width), dtype) for width in shapes]
    arrays = jax.device_put(arrays, batch_sharding(mesh))

    @functools.partial(jax.jit, static_argnums=0)
    def value_and_gradient(attention, projections, upstream):
        with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
            value, pull = jax.vjp(attention, projections)
            return [x.astype(jnp.float32) for x in (value, *pull(upstream))]

    def plain(projections):
        return attend(*jnp.split(projections, 3, axis=-1), HEADS, is_causal=causal)

    ours = value_and_gradient(lambda x: attend_on_chip(x, HEADS, causal), *arrays)
    exact = value_and_gradient(plain, *(x.astype(jnp.float32) for x in arrays))
    for array, plain_array, truth in zip(ours, value_and_gradient(plain, *arrays), exact):
        allowed = max(jnp.linalg.norm(plain_array - truth), 1e-6 * jnp.linalg.norm(truth))
        assert jnp.linalg.norm(array - truth) <= allowed


@pytest.mark.parametrize("platform, length, expected", [("tpu", 577, True), ("tpu", 4097, False), ("gpu", 577, False)])
def test_the_kernel_is_for_tpus_and_scores_that_fit_on_the_chip(platform, length, expected):
    device = AbstractDevice(device_kind="", num_cores=1, platform=platform)
    projections = jax.ShapeDtypeStruct((4, length, 3 * WIDTH), jnp.float32)
    mesh = AbstractMesh((4,), ("data",), axis_types=(AxisType.Auto,), abstract_device=device)
    with jax.sharding.use_abstract_mesh(mesh):
        program = jax.make_jaxpr(lambda x: SelfAttention().attend(x, HEADS))(projections).jaxpr
        assert is_supported(length) == expected and attention_in(program) == ("Pallas kernel" if expected else "plain")
    assert not is_supported(length)
