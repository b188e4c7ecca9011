import jax
import jax.numpy as jnp
import numpy as np

from cliptail_jax.objectives.contrastive import contrastive_loss


def direct_loss(logits, kept):
    """Both directions in float64, over the kept pairs alone."""
    rows = logits[np.ix_(kept, kept)].astype(np.float64)
    image_to_text = np.log(np.exp(rows).sum(1)) - np.diag(rows)
    text_to_image = np.log(np.exp(rows).sum(0)) - np.diag(rows)
    return (image_to_text.mean() + text_to_image.mean()) / 2


def test_loss_equals_the_definition():
    logits = np.random.default_rng(0).normal(size=(6, 6)).astype(np.float32) * 5
    loss = contrastive_loss(jnp.asarray(logits), jnp.ones(6, bool))
    np.testing.assert_allclose(loss, direct_loss(logits, np.arange(6)), rtol=1e-5)


def test_masked_pairs_are_neither_examples_nor_negatives():
    logits = np.random.default_rng(1).normal(size=(6, 6)).astype(np.float32) * 5
    mask = np.array([True, False, True, True, False, True])
    loss, grads = jax.value_and_grad(contrastive_loss)(jnp.asarray(logits), jnp.asarray(mask))
    np.testing.assert_allclose(loss, direct_loss(logits, np.flatnonzero(mask)), rtol=1e-5)
    assert np.isfinite(grads).all()
    assert not np.any(np.array(grads)[~mask]) and not np.any(np.array(grads)[:, ~mask])


def test_uniform_logits_give_the_logarithm_of_the_batch_size():
    assert np.isclose(contrastive_loss(jnp.zeros((16, 16)), jnp.ones(16, bool)), np.log(16))
