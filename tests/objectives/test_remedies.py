"""The remedies of SL for long-tailed classes, against their formulas example by example in float64."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.effective_prior import effective_number_weights
from cliptail_jax.metrics.imbalance import class_margins, log_prior
from cliptail_jax.objectives import typed_config
from cliptail_jax.objectives.supervised import sample_vocabulary, sampling_weights
from cliptail_jax.training.initialization import first_state
from cliptail_jax.training.state import TrainState
from tests.synthetic import mesh_of, synthetic_objective, train_steps

FREQUENCY = (20, 2, 0, 7, 3)  # of five classes; the third has no record
sample = jax.jit(sample_vocabulary, static_argnums=(4, 5))
BATCH, SCALE = 32, 14.0
REMEDIES = {"logit_adjustment": 0.7, "margin": 0.5, "class_weights": 0.9}


def direct_loss(logits, labels, mask, scale=1.0, tau=0.0, margin=0.0, beta=0.0, vocabulary=None):
    """The mean, weighted by w_y, of −log softmax_y(s (cos_c − Δ_c [c = y]) + τ log π_c) over the vocabulary's classes."""
    frequency, total, sum_of_weights = [float(n) for n in FREQUENCY], 0.0, 0.0
    rarest = min(n for n in frequency if n)
    effective = [(1 - beta) / (1 - beta**n) for n in frequency if n]
    for i in np.flatnonzero(mask):
        exponentials, y = {}, int(labels[i])
        for c, n in enumerate(frequency):
            if n == 0 and tau or vocabulary is not None and not vocabulary[i * len(vocabulary) // len(labels)][c]:
                continue  # τ log 0: the class has probability 0
            delta = margin * (rarest / n) ** 0.25 if c == y and margin else 0.0
            prior = tau * math.log(n / sum(frequency)) if tau else 0.0
            exponentials[c] = math.exp(float(logits[i, c]) - scale * delta + prior)
        weight = (1 - beta) / (1 - beta ** frequency[y]) / np.mean(effective)
        sum_of_weights += weight
        total -= weight * math.log(exponentials[y] / sum(exponentials.values()))
    return total / sum_of_weights


def synthetic_batch():
    """Labels of classes that have records, a seventh of the examples masked; an empty slot's label is 0."""
    rng = np.random.default_rng(0)
    mask = np.arange(BATCH) % 7 > 0
    labels = np.where(mask, rng.choice(np.flatnonzero(FREQUENCY), BATCH), 2).astype(np.int32)
    images = rng.integers(0, 256, (BATCH, 32, 32, 3), np.uint8)
    return {"images": images, "labels": labels, "mask": mask}


@pytest.fixture
def config(sup_config):
    sup_config.batch_size, sup_config.total_epochs = BATCH, 2
    return sup_config


def objective_with(config, **changes):
    config.update_from_flattened_dict({key.replace("__", "."): value for key, value in changes.items()})
    return synthetic_objective(config, frequency=FREQUENCY)


class Model(nnx.Module):
    """A model whose features are its logits."""

    def __init__(self, logit_scale):
        self.logit_scale = logit_scale

    def logits(self, x):
        return x


def loss_and_gradient(objective, logits, step=0):
    """Of a model that has these logits and the scale `SCALE`, at a step."""
    batch = {name: jnp.asarray(array) for name, array in synthetic_batch().items() if name != "images"}
    state = TrainState(jnp.asarray(step), jax.random.key(0), *[nnx.State({})] * 3, opt_state=())
    key = jax.random.key(3)
    batch, _ = objective.prepare(None, state, batch, key)

    def loss(features):
        return objective.loss(Model(jnp.log(SCALE)), {"image": features}, batch, key, mesh_of(1))

    return jax.value_and_grad(loss)(jnp.asarray(logits))


LOGITS = np.random.default_rng(1).normal(size=(BATCH, len(FREQUENCY))).astype(np.float32) * 5
DIRECT = {"logit_adjustment": "tau", "margin": "margin", "class_weights": "beta"}


@pytest.mark.parametrize("names, size", [((), 0), ((), 3), *(((name,), 0) for name in REMEDIES), (tuple(REMEDIES), 3)])
def test_loss_with_no_remedy_each_and_all_together_equals_the_formula(config, names, size):
    """Over all classes, and over the vocabularies of two groups."""
    changes = {f"loss__{name}": REMEDIES[name] for name in names}
    objective = objective_with(config, vocabulary__size=size, vocabulary__group_size=BATCH // 2, **changes)
    loss, gradient = loss_and_gradient(objective, LOGITS)
    options = {DIRECT[name]: REMEDIES[name] for name in names}
    batch, vocabulary = synthetic_batch(), None
    if size:
        weights = sampling_weights(np.minimum(FREQUENCY, 1), "linear" if "tau" in options else "uniform")
        vocabulary = np.asarray(sample(jax.random.key(3), batch["labels"], batch["mask"], weights, size, BATCH // 2))
    expected = direct_loss(LOGITS, batch["labels"], batch["mask"], SCALE, vocabulary=vocabulary, **options)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    assert np.isfinite(gradient).all() and not gradient[~batch["mask"]].any()


def test_with_counted_classes_gradients_are_those_of_clips_softmax_over_class_names(config):
    """Each image among the texts of its group, of which those of a class all have that class's logit."""
    group_size, batch = BATCH // 2, synthetic_batch()
    labels, mask = batch["labels"], batch["mask"]
    counted = objective_with(config, vocabulary__size=1, vocabulary__group_size=group_size, loss__count_in_batch=True)

    def clip(logits):
        values = []
        for i in np.flatnonzero(mask):
            start = i // group_size * group_size
            texts = [j for j in range(start, start + group_size) if mask[j]]
            values.append(jax.nn.logsumexp(logits[i, labels[texts]]) - logits[i, labels[i]])
        return sum(values) / len(values)

    np.testing.assert_allclose(loss_and_gradient(counted, LOGITS)[1], jax.jit(jax.grad(clip))(LOGITS), atol=1e-6)


def test_smoothed_labels_and_the_focal_loss_equal_their_formulas(config):
    batch = synthetic_batch()
    log_probabilities = LOGITS - np.log(np.exp(LOGITS.astype(np.float64)).sum(axis=1, keepdims=True))
    own = log_probabilities[np.arange(BATCH), batch["labels"]]
    smoothed = -0.9 * own - 0.1 * log_probabilities.mean(axis=1)
    focal = -((1 - np.exp(own)) ** 1.5) * own
    for changes, values in (({"loss__label_smoothing": 0.1}, smoothed), ({"loss__focal_gamma": 1.5}, focal)):
        objective = objective_with(config.copy_and_resolve_references(), **changes)
        loss, gradient = loss_and_gradient(objective, LOGITS)
        np.testing.assert_allclose(loss, values[batch["mask"]].mean(), rtol=1e-5)
        assert np.isfinite(gradient).all() and not gradient[~batch["mask"]].any()
    sure = jnp.where(jnp.arange(5) == jnp.asarray(batch["labels"])[:, None], 100.0, 0.0)
    assert np.isfinite(loss_and_gradient(objective_with(config, loss__focal_gamma=0.5), sure)[1]).all()


def test_a_class_without_records_has_no_part_in_an_adjusted_softmax_and_is_not_drawn(config):
    """Its logit may be anything; in a plain softmax it is pushed down."""
    adjusted = objective_with(config, loss__logit_adjustment=1.0, vocabulary__size=5)
    loss, gradient = loss_and_gradient(adjusted, LOGITS)
    logits = LOGITS.copy()
    logits[:, 2] = 80.0
    assert loss_and_gradient(adjusted, logits)[0] == loss and not gradient[:, 2].any()
    assert np.array(gradient[:, [0, 1, 3, 4]]).any(0).all()
    plain = objective_with(config, loss__logit_adjustment=0.0, loss__margin=0.5, loss__class_weights=0.9)
    assert loss_and_gradient(plain, LOGITS)[1][:, 2].any()


def test_a_group_of_masked_examples_alone_leaves_no_gradient_infinite(config, monkeypatch):
    """Without examples all classes of its vocabulary are drawn."""
    objective = objective_with(config, loss__logit_adjustment=1.0, vocabulary__size=1, vocabulary__group_size=4)
    batch = synthetic_batch() | {"mask": np.arange(BATCH) >= 16}
    monkeypatch.setattr("test_remedies.synthetic_batch", lambda: batch)
    for draw in range(5):  # another class of the first vocabulary each time
        monkeypatch.setattr(jax.random, "gumbel", lambda key, shape: jnp.roll(jnp.arange(40.0), draw).reshape(shape))
        assert np.isfinite(loss_and_gradient(objective, LOGITS)[1]).all()


def test_a_margin_leaves_the_scale_to_the_cosines(config):
    """Where cosines are all 0 the margin alone has a gradient in the scale, by which the scale would shrink to its least."""
    objective = objective_with(config, loss__margin=0.5)
    batch = {name: jnp.asarray(array) for name, array in synthetic_batch().items()}

    def loss(log_scale, cosines):
        model, features = Model(log_scale), {"image": jnp.exp(log_scale) * cosines}
        return objective.loss(model, features, batch, jax.random.key(0), mesh_of(1))

    cosines = jnp.zeros((BATCH, 5))
    assert jax.grad(loss)(jnp.log(SCALE), cosines) == 0 and loss(jnp.log(SCALE), cosines) > 5
    assert jax.grad(loss)(jnp.log(SCALE), cosines.at[jnp.arange(BATCH), batch["labels"]].set(0.3)) < 0


def test_the_step_has_all_remedies_on_eight_devices(config):
    """With sampled vocabularies, and weights from the second of two epochs of one step each, without compiling again."""
    for name, value in REMEDIES.items():
        config.loss[name] = value
    config.loss.reweight_from, config.optimizer.learning_rate = 1, 1e-3
    config.vocabulary.update({"size": 3, "group_size": 16})
    batch = synthetic_batch()
    run = train_steps(config, batch, steps=2, steps_per_epoch=1, frequency=FREQUENCY, devices=8)
    assert run.step._cache_size() == 1

    objective, device_batch = synthetic_objective(config, frequency=FREQUENCY), jax.tree.map(jnp.asarray, batch)
    graphdef, *_ = first_state(objective, objective.make_optimizer())

    @jax.jit
    def logits_of(state):
        model = nnx.merge(graphdef, state.trainable, state.frozen, state.batch_stats, copy=True)
        return model.logits(objective.encode(model, device_batch, jax.random.key(0))["image"])

    for step, beta in ((0, 0.0), (1, REMEDIES["class_weights"])):
        state = jax.device_put(run.states[step], jax.devices()[0])
        key, logits = jax.random.fold_in(state.rng, step), logits_of(state)
        weights = sampling_weights(np.minimum(FREQUENCY, 1), "linear")
        vocabulary = np.asarray(sample(key, batch["labels"], batch["mask"], weights, 3, 16))
        scale, options = math.exp(state.trainable["logit_scale"][...]), dict(vocabulary=vocabulary, beta=beta)
        expected = direct_loss(np.asarray(logits), batch["labels"], batch["mask"], scale, 0.7, 0.5, **options)
        np.testing.assert_allclose(run.metrics[step]["train/loss"], expected, rtol=1e-4)


def test_numbers_of_classes_are_those_of_closed_forms():
    frequency = np.array([16, 1, 0, 81])
    np.testing.assert_allclose(np.exp(log_prior(frequency)), frequency / 98)
    np.testing.assert_allclose(class_margins(frequency, 0.6), [0.3, 0.6, 0.0, 0.2])
    np.testing.assert_array_equal(effective_number_weights(frequency, 0.0), [1, 1, 0, 1])
    inverse = np.array([1 / 16, 1, 0, 1 / 81])
    np.testing.assert_allclose(effective_number_weights(frequency, 1 - 1e-9), inverse / inverse.sum() * 3, rtol=1e-6)
    half = effective_number_weights(np.array([1, 2]), 0.5)  # effective numbers 1 and 1.5
    np.testing.assert_allclose(half, np.array([1, 2 / 3]) / (5 / 6))


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ({"loss.reweight_from": 2, "loss.class_weights": 0.9}, "reweight_from=2 leaves no epoch .*the run has 2 epochs"),
        ({"loss.reweight_from": 1}, "loss.reweight_from has no effect without loss.class_weights"),
        ({"loss.margin": 0.5, "head.kind": "linear"}, "loss.margin is a difference of cosine similarities"),
        ({"loss.label_smoothing": 0.1, "vocabulary.size": 1}, "loss.label_smoothing is for cross-entropy over all classes"),
        ({"loss.logit_adjustment": -1.0}, "'loss.logit_adjustment' is -1.0; it must not be negative"),
        ({"loss.logit_adjustment": 1.0, "data.balanced_sampling": True}, "loss.logit_adjustment corrects .* set one of them"),
        ({"objective": "contrastive", "loss.margin": 0.5}, "loss.margin is for objective='supervised'"),
    ],
)  # fmt: skip
def test_a_remedy_that_cannot_be_is_refused_in_a_line(config, changes, complaint):
    config.update_from_flattened_dict(changes)
    with pytest.raises(UserError, match=complaint):
        typed_config(config)
        synthetic_objective(config, frequency=FREQUENCY)
