"""Linear probe: multinomial logistic regression on frozen features, along a path of weight decays.

The objective is that of scikit-learn's `LogisticRegression`, whose C is 1/λ, divided by C·N:

    mean over examples of -log softmax(W'x + b)[label]  +  λ/(2N) |W|²        (the bias b is not penalised)

It is convex, so any method that reaches its optimum gives scikit-learn's answer. Features of neural networks are far
from white, and on them plain L-BFGS crawls. So it runs in other coordinates, which leave the objective as it is:
centred features (the bias takes the rest), rotated to their principal axes, each scaled by the curvature along it.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from cliptail_jax.errors import UserError
from cliptail_jax.transfer.scores import accuracy

WEIGHT_DECAYS = np.logspace(5, -6, 45)  # from strong to weak: each optimum is a good start for the next
_MAX_STEPS = 1000
_RELATIVE_GAP = 1e-6  # stop where the objective can fall by about this share of itself


class Examples(NamedTuple):
    """Features of images, with their labels."""

    features: Float[np.ndarray, "example dim"]
    labels: Int[np.ndarray, "example"]


class Linear(NamedTuple):
    """A linear classifier, or with a leading axis `decay` in both parts several."""

    weights: Float[Array, "dim class"]
    bias: Float[Array, "class"]

    def logits(self, features: Float[np.ndarray, "example dim"]) -> Float[Array, "example class"]:
        """Class scores of the features; [decay, example, class] for several classifiers."""
        return features @ self.weights + self.bias[..., None, :]


def fit(
    features: Float[np.ndarray, "example dim"],
    labels: Int[np.ndarray, "example"],
    num_classes: int,
    weight_decay: float,
    start: Linear | None = None,
) -> Linear:
    """The optimum for one weight decay λ (scikit-learn's 1/C), looked for from `start` (default: zeros).

    Two classes follow the multinomial objective too; scikit-learn's binary one with λ is this one with 2λ, since
    it penalises the difference of the two weight vectors. UserError as in `fit_path`.
    """
    weights, bias = fit_path(features, labels, num_classes, [weight_decay], start)
    return Linear(weights[0], bias[0])


def fit_path(
    features: Float[np.ndarray, "example dim"],
    labels: Int[np.ndarray, "example"],
    num_classes: int,
    weight_decays: Float[np.ndarray, "decay"] = WEIGHT_DECAYS,
    start: Linear | None = None,
) -> Linear:
    """The optimum for each weight decay, each fit started from the one before: weights [decay, dim, class].

    UserError for features that are not finite, a label outside the classes, a class without an example, and a
    weight decay that is not positive.
    """
    features, labels = np.asarray(features, np.float32), np.asarray(labels)
    weight_decays = np.asarray(weight_decays, np.float32)
    _check_examples(features, labels, num_classes)
    if not (weight_decays > 0).all():
        raise UserError(f"weight decay {weight_decays.min():g} of a linear probe: give positive ones")
    start = start or Linear(np.zeros((features.shape[1], num_classes), np.float32), np.zeros(num_classes, np.float32))
    with jax.default_matmul_precision(
        "highest"
    ):  # GPUs and TPUs would round the factors, and stop far from the optimum
        return _fit_path(features, labels, weight_decays, start)


def choose_weight_decay(
    train: Examples,
    validation: Examples,
    num_classes: int,
    score: Callable[[Int[np.ndarray, "example"], Int[np.ndarray, "example"]], float] = accuracy,
    weight_decays: Float[np.ndarray, "decay"] = WEIGHT_DECAYS,
) -> float:
    """The weight decay whose fit on `train` scores best on `validation`; of equals the first, so the strongest.

    `score(predictions, labels)`: higher is better. UserError as in `fit_path`, and for validation features that
    are not finite.
    """
    _check_finite(validation.features, "validation features")
    path = fit_path(train.features, train.labels, num_classes, weight_decays)
    scores = [score(predict(Linear(*one), validation.features), validation.labels) for one in zip(*path)]
    return float(weight_decays[int(np.argmax(scores))])


def predict(classifier: Linear, features: Float[np.ndarray, "example dim"]) -> Int[np.ndarray, "example"]:
    """The class of the highest score for each example."""
    with jax.default_matmul_precision("highest"):
        return np.asarray(jnp.argmax(classifier.logits(jnp.asarray(features, jnp.float32)), -1))


def seeded_split(
    labels: Int[np.ndarray, "example"], share: float = 0.2, seed: int = 0
) -> tuple[Int[np.ndarray, "kept"], Int[np.ndarray, "held_out"]]:
    """Indices of the examples to train on and of those held out, each ascending.

    `share` of every class is held out (rounded), but at least one example of every class stays to train on.
    """
    if not 0 < share < 1:
        raise UserError(f"share {share:g} of the examples held out for validation: give one between 0 and 1")
    labels = np.asarray(labels)
    rng = np.random.default_rng(seed)
    held_out = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        held_out[members[: min(round(share * len(members)), len(members) - 1)]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _check_examples(features: np.ndarray, labels: np.ndarray, num_classes: int) -> None:
    if len(features) != len(labels):
        raise UserError(f"{len(features)} features but {len(labels)} labels: give one label for each row of features")
    _check_finite(features, "features")
    if len(labels) and not 0 <= labels.min() <= labels.max() < num_classes:
        raise UserError(f"labels from {labels.min()} to {labels.max()}, but {num_classes} classes: number them from 0")
    missing = np.setdiff1d(np.arange(num_classes), labels)
    if len(missing):
        raise UserError(
            f"class {missing[0]} has no training example ({len(missing)} of {num_classes} classes have none): "
            "add images of it or leave the class out"
        )


def _check_finite(features: np.ndarray, name: str) -> None:
    bad = np.flatnonzero(~np.isfinite(features).all(-1))
    if len(bad):
        raise UserError(
            f"{name}: row {bad[0]} has NaN or infinite values ({len(bad)} of {len(features)} rows do): "
            "check the model's weights and that image"
        )


def _losses(logits: Float[Array, "example class"], labels: Int[Array, "example"]) -> Float[Array, "example"]:
    """-log softmax at the label, as softplus(log Σ_{k≠label} exp(z_k - z_label)).

    Unlike log-sum-exp less z_label, this keeps its relative precision where the loss is tiny, as it is for every
    example that weak weight decay fits.
    """
    of_label = jnp.take_along_axis(logits, labels[:, None], 1)
    others = jnp.arange(logits.shape[1]) != labels[:, None]
    return jax.nn.softplus(jax.nn.logsumexp(logits - of_label, axis=1, where=others))


@jax.jit
def _fit_path(features, labels, weight_decays, start: Linear) -> Linear:
    examples, dim = features.shape
    mean = features.mean(0)
    centred = features - mean
    variances, axes = jnp.linalg.eigh(centred.T @ centred / examples)
    variances = jnp.maximum(variances, 0)  # rounding makes the smallest ones negative
    rotated = centred @ axes

    def fit_next(last_two: tuple[Linear, Linear], weight_decay):
        """One fit, in rotated coordinates, started where the last two optima point: the path bends little per decay."""
        before, last = last_two
        warm = jax.tree.map(lambda a, b: 2 * b - a, before, last)
        penalty = weight_decay / examples
        # Curvature of the loss is about the mean of p(1 - p) times that of the features (1 for the bias).
        probabilities = jax.nn.softmax(rotated @ warm.weights + warm.bias)
        sharpness = jnp.maximum((probabilities * (1 - probabilities)).mean(), 1e-12)
        scale = Linear(jax.lax.rsqrt(sharpness * variances + penalty)[:, None], jax.lax.rsqrt(sharpness))

        def objective(scaled: Linear):
            weights, bias = scaled.weights * scale.weights, scaled.bias * scale.bias
            return _losses(rotated @ weights + bias, labels).mean() + penalty / 2 * (weights**2).sum()

        scaled = _minimise(objective, jax.tree.map(jnp.divide, warm, scale))
        best = jax.tree.map(jnp.multiply, scaled, scale)
        return (last, best), best

    first = Linear(axes.T @ start.weights, start.bias + mean @ start.weights)
    _, path = jax.lax.scan(fit_next, (first, first), weight_decays)
    weights = axes @ path.weights
    return Linear(weights, path.bias - mean @ weights)


def _minimise(objective: Callable[[Linear], Float[Array, ""]], start: Linear) -> Linear:
    """L-BFGS from `start`, until the objective is about to stop falling or does stop (the limit of float32).

    Where the Hessian is about 1, |gradient|²/2 is how far the objective is above its minimum.
    """
    optimizer = optax.lbfgs()
    value_and_gradient = optax.value_and_grad_from_state(objective)  # the line search has computed them already

    def step(carry):
        parameters, state, steps, _ = carry
        value, gradient = value_and_gradient(parameters, state=state)
        updates, state = optimizer.update(gradient, state, parameters, value=value, grad=gradient, value_fn=objective)
        new_value, new_gradient = optax.tree.get(state, "value"), optax.tree.get(state, "grad")
        gap = optax.tree.norm(new_gradient, squared=True) / 2
        goes_on = (new_value < value) & (gap > _RELATIVE_GAP * new_value)
        return optax.apply_updates(parameters, updates), state, steps + 1, goes_on

    def not_done(carry):
        *_, steps, goes_on = carry
        return goes_on & (steps < _MAX_STEPS)

    return jax.lax.while_loop(not_done, step, (start, optimizer.init(start), 0, True))[0]
