"""An objective's effective log-prior is where its loss is smallest for a model whose images show nothing.

The loss is the objective's own, as the training step computes it. Its mean over all batches, up to the order of the examples, is
minimized over one number per class: a classifier's logits, or the cosines of class names with the same image feature.
"""

import itertools
import math
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptail_jax.config.fields import plain
from cliptail_jax.host.errors import UserError
from cliptail_jax.objectives import base_config, effective_log_prior
from configs import clip, sup
from tests.synthetic import mesh_of, synthetic_objective

FREQUENCY = np.array([820, 150, 30])
CLASSES, SCALE = len(FREQUENCY), 50.0
BATCH, COUNTS = {"vocabulary.size": 1}, {"vocabulary.size": 1, "loss.count_in_batch": True}
ADJUSTED, WEIGHTS = {"loss.logit_adjustment": 0.4}, {"loss.class_weights": 0.99}


def batches_of(shares, size, are_distinct=False):
    """All batches of labels, or those of distinct classes, up to their order, and their probabilities."""
    largest = 1 if are_distinct else size
    counts = [c for c in itertools.product(range(largest + 1), repeat=len(shares)) if sum(c) == size]
    labels = np.stack([np.repeat(np.arange(len(shares)), c) for c in counts])
    probabilities = scipy.stats.multinomial.pmf(counts, size, shares)
    return labels.astype(np.int32), probabilities / probabilities.sum()


def loss_of(objective, labels, values, key):
    """The objective's loss of a batch whose class c has the logit `values[c]` for all images."""
    batch = {"labels": labels, "text": labels[:, None], "mask": jnp.ones(len(labels), bool)}
    image = jnp.broadcast_to(jnp.array([1.0, 0.0]), (len(labels), 2))
    cosine = values[labels] / SCALE
    features = {"image": image, "text": jnp.stack([cosine, jnp.sqrt(1 - cosine**2)], axis=1)}
    model = SimpleNamespace(
        logits=lambda images: jnp.broadcast_to(values, (len(labels), len(values))),
        logit_scale=jnp.array(math.log(SCALE)),
        logit_bias=jnp.array(0.0),
    )
    state = SimpleNamespace(step=10**6, ema_batch_stats=None)
    batch, _ = objective.prepare(None, state, batch, key)
    return objective.loss(model, features, batch, key, mesh_of(1))


def minimizer(objective, batches, draws):
    labels, probabilities = batches
    labels, probabilities = np.tile(labels, (draws, 1)), np.tile(probabilities / draws, draws)
    keys = jax.random.split(jax.random.key(0), len(labels))  # each batch has `draws` sampled vocabularies

    @jax.jit
    @jax.value_and_grad
    def mean_loss(values):
        losses = jax.lax.map(lambda case: loss_of(objective, case[0], values, case[1]), (labels, keys))
        return losses @ jnp.asarray(probabilities, jnp.float32)

    def in_float64(values):
        return [np.asarray(part, np.float64) for part in mean_loss(jnp.asarray(values, jnp.float32))]

    result = scipy.optimize.minimize(in_float64, np.zeros(CLASSES), jac=True, method="BFGS", options={"gtol": 1e-6})
    return result.x


KINDS = {
    "SL": (sup, {}, 4),
    "two images": (sup, BATCH, 2),
    "a batch of 16": (sup, BATCH, 16),
    "a batch of 32": (sup, BATCH, 32),
    "groups of 16": (sup, BATCH | {"vocabulary.group_size": 16}, 32),
    "a batch, adjusted": (sup, BATCH | ADJUSTED, 32),
    "counts": (sup, COUNTS, 8),
    "counts, adjusted": (sup, COUNTS | ADJUSTED, 8),
    "partly adjusted": (sup, ADJUSTED, 4),
    "adjusted": (sup, {"loss.logit_adjustment": 1.0}, 4),
    "class weights": (sup, WEIGHTS, 48),
    "class weights, adjusted": (sup, WEIGHTS | ADJUSTED, 48),
    "balanced sampling": (sup, {"data.balanced_sampling": True}, 4),
    "a balanced batch": (sup, BATCH | {"data.balanced_sampling": True}, 8),
    "CLIP": (clip, {}, 8),
    "CLIP, distinct classes": (clip, {"data.batch_composition": "distinct"}, 2),
    "CLIP, image to text": (clip, {"contrastive.text_to_image": False}, 8),
    "SigLIP": (clip, {"objective": "sigmoid"}, 8),
    "CLIP, each text once": (clip, {"contrastive.repeated_texts": "once"}, 16),
    "one text once": (clip, {"contrastive.repeated_texts": "once", "contrastive.text_to_image": False}, 8),
    **{
        f"two classes or more, {sampling}": (sup, {"vocabulary.size": 2, "vocabulary.sampling": sampling}, 4)
        for sampling in ("uniform", "sqrt", "linear")
    },
}


@pytest.mark.parametrize("family, changes, batch_size", KINDS.values(), ids=KINDS)
def test_the_loss_without_features_is_smallest_at_the_effective_log_prior(family, changes, batch_size):
    config = family.get_config("data=glyphs_lt")
    config.update_from_flattened_dict({"vocabulary.group_size": 0, "batch_size": batch_size} | changes)
    psi = effective_log_prior(plain(config), FREQUENCY)
    config.batch_size = config.vocabulary.group_size or batch_size  # groups are independent: one is enough
    shares = np.full(CLASSES, 1 / CLASSES) if config.data.balanced_sampling else FREQUENCY / FREQUENCY.sum()
    draws = 64 if config.vocabulary.size > 1 else 1
    batches = batches_of(shares, config.batch_size, config.data.batch_composition == "distinct")
    logits = minimizer(synthetic_objective(config, frequency=FREQUENCY.tolist()), batches, draws)
    # Two classes of three are far from independent, which ψ assumes.
    np.testing.assert_allclose(logits - logits.mean(), psi - psi.mean(), atol=0.1 if draws > 1 else 0.04)


UNKNOWN = {
    "margins": {"loss.margin": 0.3},
    "wrong labels": {"data.labels.noise": 0.1},
    "smoothed labels": {"loss.label_smoothing": 0.1},
    "focal loss": {"loss.focal_gamma": 2.0},
    "counts with further classes": COUNTS | {"vocabulary.size": 2},
    "dropped texts": {
        "objective": "contrastive",
        "data.captions.template": "cname",
        "contrastive.repeated_texts": "dropped",
    },
    "composed batches": BATCH | {"data.batch_composition": "distinct"},
    "wrong captions": {"objective": "contrastive", "data.captions.template": "cname", "data.captions.distractors": 0.1},
    "words in place of classes": {"objective": "bag_of_words"},
    "without classes": {"objective": "dino", "data.resize": "step"},
    "another program's config": {"objective": "zero_shot"},
}


@pytest.mark.parametrize("changes", UNKNOWN.values(), ids=UNKNOWN)
def test_of_other_losses_no_effective_log_prior_is_known(changes):
    with pytest.raises(UserError, match="no effective log-prior|log-prior is known|not trained"):
        effective_log_prior(plain(base_config()) | {"eval.sets": ()} | changes, FREQUENCY)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 10_000), min_size=2, max_size=20))
def test_adjusted_logits_and_counted_classes_have_the_same_prior(frequency):
    changes = ({"loss.logit_adjustment": 1.0}, COUNTS)
    adjusted, counts = (effective_log_prior(plain(base_config()) | new, np.array(frequency)) for new in changes)
    np.testing.assert_allclose(adjusted - adjusted[0], counts - counts[0], atol=1e-12)
