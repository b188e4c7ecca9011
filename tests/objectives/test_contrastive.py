import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cliptail_jax.objectives.contrastive import contrastive_loss
from tests.synthetic import mesh_of

BATCH, DIM = 48, 5
VALID = np.arange(BATCH) % 7 != 3
VALID[24:30] = False  # all rows of a device


def features(seed=0):
    return np.random.default_rng(seed).normal(size=(2, BATCH, DIM)).astype(np.float32)


def direct_loss(images, texts, scale, kept, text_to_image=True):
    """In float64, over the kept pairs alone."""
    images, texts = (x[kept] / jnp.linalg.norm(x[kept], axis=1, keepdims=True) for x in (images, texts))
    logits = jnp.exp(scale) * images @ texts.T
    own = jnp.diag(logits)
    of_texts = jnp.log(jnp.exp(logits).sum(1)) - own
    if not text_to_image:
        return of_texts.mean()
    of_images = jnp.log(jnp.exp(logits).sum(0)) - own
    return (of_texts.mean() + of_images.mean()) / 2


@pytest.mark.parametrize("devices, fsdp", [(1, 1), (8, 1), (8, 2)])
@pytest.mark.parametrize("block", [0, 16, 7, 1])
@pytest.mark.parametrize("valid", [np.ones(BATCH, bool), VALID])
@pytest.mark.parametrize("scale", [0.0, 4.6])
def test_loss_and_gradient_equal_the_definition_on_any_devices_and_in_blocks(devices, fsdp, block, valid, scale):
    """Masked pairs are neither examples nor negatives, and so have no gradient."""
    check_against_the_definition(devices, fsdp, block, valid, scale)


@pytest.mark.parametrize("devices, block", [(1, 0), (8, 7)])
def test_one_direction_equals_its_half_of_the_definition(devices, block):
    check_against_the_definition(devices, 1, block, VALID, 1.0, text_to_image=False)


def check_against_the_definition(devices, fsdp, block, valid, scale, **direction):
    images, texts = features()
    mesh = mesh_of(devices, fsdp)
    loss = lambda *args: contrastive_loss(*args, jnp.asarray(valid), mesh, block, **direction)  # noqa: E731
    found = jax.jit(jax.value_and_grad(loss, (0, 1, 2)))(images, texts, jnp.float32(scale))
    with jax.enable_x64(True):
        given = (jnp.asarray(x, jnp.float64) for x in (images, texts, np.float32(scale)))
        expected = jax.value_and_grad(direct_loss, (0, 1, 2))(*given, np.flatnonzero(valid), **direction)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)
    for a, b in zip(found[1], expected[1], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6 * np.abs(b).max(), rtol=1e-5)


def test_equal_features_give_the_logarithm_of_the_batch_size():
    same = jnp.ones((16, 4))
    assert np.isclose(contrastive_loss(same, same, jnp.float32(0), jnp.ones(16, bool), mesh_of(1)), np.log(16))


def test_a_batch_without_pairs_has_loss_zero_and_a_finite_gradient():
    images, texts = features()
    loss = lambda x: contrastive_loss(x, texts, jnp.float32(1), jnp.zeros(BATCH, bool), mesh_of(8))  # noqa: E731
    value, gradient = jax.value_and_grad(loss)(images)
    assert value == 0 and not np.any(gradient)
