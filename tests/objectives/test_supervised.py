import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptail_jax.curation.variant import open_variant
from cliptail_jax.jobs.train import make_batches
from cliptail_jax.objectives import make_objective
from cliptail_jax.objectives.supervised import sample_vocabulary, sampling_weights
from tests.synthetic import sections

sample = jax.jit(sample_vocabulary, static_argnames=("size", "group_size"))
FULL_MASK = np.ones(8, bool)


@given(
    labels=st.lists(st.integers(0, 9), min_size=8, max_size=8),
    mask=st.lists(st.booleans(), min_size=8, max_size=8),
    size=st.sampled_from([1, 4]),
    group_size=st.sampled_from([0, 4]),
    seed=st.integers(0, 100),
)
@settings(deadline=None, max_examples=20)
def test_present_classes_always_compete_and_the_rest_fills_up_to_size(labels, mask, size, group_size, seed):
    labels, mask = np.array(labels), np.array(mask)
    vocabulary = np.array(sample(jax.random.key(seed), labels, mask, jnp.ones(10), size=size, group_size=group_size))
    width = group_size or 8
    for g, row in enumerate(vocabulary):
        present = set(labels[g * width : (g + 1) * width][mask[g * width : (g + 1) * width]].tolist())
        classes = set(np.flatnonzero(row).tolist())
        assert present <= classes
        assert len(classes) == max(size, len(present))


def test_classes_of_weight_zero_are_never_drawn():
    weights = jnp.array([1.0, 0, 0, 2.0, 0, 3.0])
    vocabulary = np.array(sample(jax.random.key(1), np.zeros(8, int), FULL_MASK, weights, size=5, group_size=0))
    assert np.flatnonzero(vocabulary[0]).tolist() == [0, 3, 5]


def test_further_classes_are_drawn_in_proportion_to_their_weights():
    """One further class beside the one present: its share of many draws is its weight's share of the others'."""
    weights = jnp.array([100.0, 1.0, 2.0, 5.0])
    keys = jax.random.split(jax.random.key(2), 4000)
    vocabularies = jax.vmap(
        lambda k: sample_vocabulary(k, jnp.zeros(8, int), jnp.asarray(FULL_MASK), weights, 2, 0)[0]
    )(keys)
    shares = np.array(vocabularies).mean(0)
    np.testing.assert_allclose(shares, [1, 1 / 8, 2 / 8, 5 / 8], atol=0.03)


def test_sampling_weights_are_powers_of_frequency():
    frequency = np.array([0, 1, 4, 100])
    assert sampling_weights(frequency, "uniform").tolist() == [1, 1, 1, 1]
    assert sampling_weights(frequency, "sqrt").tolist() == [0, 1, 2, 10]
    assert sampling_weights(frequency, "linear").tolist() == [0, 1, 4, 100]


@pytest.mark.parametrize("rule", [{}, {"batch_composition": "distinct"}])
def test_training_takes_the_wrong_labels_and_their_frequency(sup_config, rule):
    sup_config.data.update({"labels": {"noise": 0.5}, **rule})
    sup_config.loss.logit_adjustment = 1.0
    objective = make_objective(sections(sup_config), open_variant(sections(sup_config).data))
    batches = itertools.islice(make_batches(objective, 0), objective.steps_per_epoch)
    labels = np.concatenate([batch["labels"][batch["mask"]] for batch in batches])
    counts, classes = objective.variant.training_view, len(objective.variant.class_names)
    np.testing.assert_array_equal(np.bincount(labels, minlength=classes), counts.class_frequency)
    np.testing.assert_array_equal(objective._frequency, counts.class_frequency)
    assert np.any(counts.class_frequency != objective.variant.class_frequency)
