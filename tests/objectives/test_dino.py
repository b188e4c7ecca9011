import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cliptail_jax.objectives.dino import dino_loss, sample_prototypes, sinkhorn_knopp


def cosines(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def direct_softmax(logits):
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def direct_sinkhorn(logits, temperature=0.04, iterations=3):
    """The definition in float64: exp(logits / temperature) over its total, prototypes in rows and samples in columns; in
    each iteration rows to 1/K, then columns to 1/B."""
    shares = np.exp(logits.astype(np.float64).T / temperature)
    shares /= shares.sum()
    prototypes, batch = shares.shape
    for _ in range(iterations):
        shares /= shares.sum(1, keepdims=True) * prototypes
        shares /= shares.sum(0, keepdims=True) * batch
    return shares.T * batch


def direct_loss(student_logits, targets, examples, temperature=0.1):
    """The definition in float64, pair by pair."""
    log_probabilities = np.log(direct_softmax(student_logits.astype(np.float64) / temperature))
    losses = [
        -(targets[g, i] * log_probabilities[v, i]).sum()
        for g in range(len(targets))
        for v in range(len(student_logits))
        for i in examples
        if v != g
    ]
    return np.mean(losses)


@pytest.mark.parametrize(
    "shape, temperature, iterations", [((7, 1), 0.1, 3), ((9, 6), 0.04, 1), ((4, 12), 1.0, 3), ((256, 4096), 0.04, 3)]
)
def test_targets_equal_the_definition(shape, temperature, iterations):
    logits = cosines(*shape)
    targets = sinkhorn_knopp(jnp.asarray(logits), jnp.ones(len(logits), bool), temperature, iterations)
    np.testing.assert_allclose(targets, direct_sinkhorn(logits, temperature, iterations), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(targets.sum(1), 1, rtol=1e-5)


def test_targets_of_logits_beyond_the_range_of_exp_are_finite_and_balanced():
    """One prototype far from every sample: its share underflows unless it is kept as a logarithm."""
    logits = cosines(8, 4) * 300 + 5000
    logits[:, 0] -= 1000
    targets = np.asarray(sinkhorn_knopp(jnp.asarray(logits), jnp.ones(8, bool)))
    assert np.isfinite(targets).all()
    np.testing.assert_allclose(targets.sum(1), 1, rtol=1e-5)
    assert targets[:, 0].sum() > 0.5


def test_padding_has_no_part_in_the_targets_of_others():
    logits, mask = cosines(8, 5), np.array([True, True, False, True, True, True, False, True])
    targets = sinkhorn_knopp(jnp.asarray(logits), jnp.asarray(mask))
    np.testing.assert_allclose(targets[mask], direct_sinkhorn(logits[mask]), rtol=1e-4, atol=1e-6)
    assert np.isfinite(targets).all()
    assert np.isfinite(sinkhorn_knopp(jnp.asarray(logits), jnp.zeros(8, bool))).all()


def test_loss_is_the_definitions_over_the_unmasked_examples_and_others_have_no_gradient():
    student, targets = cosines(5, 6, 10), direct_softmax(cosines(2, 6, 10, seed=1) / 0.04)
    mask = np.array([True, False, True, True, False, True])
    loss, gradient = jax.value_and_grad(dino_loss)(jnp.asarray(student), jnp.asarray(targets), jnp.asarray(mask))
    np.testing.assert_allclose(loss, direct_loss(student, targets, np.flatnonzero(mask)), rtol=1e-5)
    assert not np.any(gradient[:, ~mask]) and np.all(np.any(gradient[:, mask], axis=-1))


def test_sampling_is_unbiased():
    """Every prototype, and every pair of them, is drawn as often as chance has it."""
    draws, total, size = 20_000, 8, 3
    keys = jax.random.split(jax.random.key(0), draws)
    rows = np.asarray(jax.jit(jax.vmap(lambda key: sample_prototypes(key, total, size)))(keys))
    assert 0 <= rows.min() and rows.max() < total and all(len(set(row)) == size for row in rows[:100].tolist())
    is_drawn = np.zeros((draws, total))
    np.put_along_axis(is_drawn, rows, 1, axis=1)
    together = is_drawn.T @ is_drawn / draws
    pairs = size * (size - 1) / (total * (total - 1))
    expected = np.where(np.eye(total, dtype=bool), size / total, pairs)
    assert np.all(np.abs(together - expected) < 5 * np.sqrt(expected * (1 - expected) / draws))
