"""GPUs' attention by cuDNN: what is around its kernel, by JAX's other implementation, which CPUs have; and where it is chosen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AbstractDevice, AbstractMesh

from cliptail_jax.models.cudnn_attention import attend_by_cudnn, is_supported
from cliptail_jax.models.self_attention import SelfAttention, attention_in, use_plain_attention
from cliptail_jax.planning.gpus import with_cudnn
from cliptail_jax.planning.operations import operations

BATCH, HEADS, WIDTH = 4, 3, 24


def by_definition(projections, causal):
    """In float64: softmax(Q Kᵀ / √width) V of each example and head, of the earlier tokens if it is causal."""
    batch, length, _ = projections.shape
    query, key, value = projections.astype(float).reshape(batch, length, 3, HEADS, -1).transpose(2, 0, 3, 1, 4)
    weights = np.exp(query @ key.swapaxes(2, 3) / np.sqrt(WIDTH // HEADS))
    weights = np.tril(weights) if causal else weights
    attended = weights / weights.sum(3, keepdims=True) @ value
    return attended.transpose(0, 2, 1, 3).reshape(batch, length, -1)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("length", [13, 14])
def test_a_token_that_is_added_changes_nothing(length, causal):
    """The gradient in a random direction is the difference quotient by the definition."""
    rng = np.random.default_rng(0)
    projections, direction = rng.normal(size=(2, BATCH, length, 3 * WIDTH))
    upstream = rng.normal(size=(BATCH, length, WIDTH))
    outputs, pull = jax.vjp(lambda x: attend_by_cudnn(x, HEADS, causal, "xla"), np.float32(projections))
    np.testing.assert_allclose(outputs, by_definition(projections, causal), rtol=1e-5, atol=1e-6)
    upper, lower = (by_definition(projections + step * direction, causal) for step in (1e-5, -1e-5))
    (gradient,) = pull(np.float32(upstream))
    np.testing.assert_allclose(np.vdot(gradient, direction), np.vdot(upper - lower, upstream) / 2e-5, rtol=1e-4)


def on_gpus(platform="gpu"):
    device = AbstractDevice(device_kind="", num_cores=1, platform=platform)
    return jax.sharding.use_abstract_mesh(AbstractMesh((4,), ("data",), abstract_device=device))


@pytest.mark.parametrize(
    "platform, dtype, width, expected",
    [
        ("gpu", "bfloat16", 64, True),
        ("gpu", "float32", 64, False),
        ("gpu", "bfloat16", 60, False),
        ("gpu", "bfloat16", 136, False),
        ("tpu", "bfloat16", 64, False),
    ],
)
def test_cudnn_is_for_gpus_half_precision_and_heads_that_it_supports(platform, dtype, width, expected):
    projections = jnp.zeros((1, 5, 3 * HEADS * width), dtype)
    with with_cudnn():
        with on_gpus(platform):
            assert is_supported(projections, HEADS) == expected
        assert not is_supported(projections, HEADS)
    with on_gpus(platform):
        assert not is_supported(projections, HEADS)  # without cuDNN


def traced(attention, length, **options):
    """The gradient of attention in a step for GPUs."""

    def step(x):
        with on_gpus():
            return jax.grad(lambda x: attention.attend(x, HEADS, **options).sum().astype(jnp.float32))(x)

    return jax.jit(step).trace(jax.ShapeDtypeStruct((BATCH, length, 3 * WIDTH), jnp.bfloat16)).jaxpr.jaxpr


@pytest.mark.parametrize("length, padded_length", [(7, 8), (8, 8)])
def test_a_step_for_gpus_has_cudnns_attention_with_its_operations(length, padded_length):
    with with_cudnn():
        step = traced(SelfAttention(), length)
    assert "dot_product_attention_bwd_wrapper" in str(step) and attention_in(step) == "cuDNN"
    assert operations(step) == 7 * 2 * BATCH * padded_length**2 * WIDTH


def test_a_step_for_gpus_has_plain_attention_without_cudnn_with_a_mask_or_if_it_is_set():
    assert attention_in(traced(SelfAttention(), 8)) == "plain"
    plain = SelfAttention()
    use_plain_attention(plain)
    with with_cudnn():
        assert attention_in(traced(SelfAttention(), 8, mask=jnp.ones((BATCH, 1, 1, 8), bool))) == "plain"
        assert attention_in(traced(plain, 8)) == "plain"
