"""Linear probe: multinomial logistic regression on frozen features, along a path of weight decays.

The objective is that of scikit-learn's `LogisticRegression`, whose C is 1/λ, divided by C·N:

    mean over examples of -log softmax(W'x + b)[label]  +  λ/(2N) |W|²        (the bias b is not penalised)

It is convex, so any method that reaches its optimum gives scikit-learn's answer. Features of neural networks are far
from white, and on them plain L-BFGS crawls. So it runs in other coordinates, which leave the objective as it is:
centred features (the bias takes the rest), rotated to their principal axes, each scaled by the curvature along it.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int
from tqdm import tqdm

from cliptail_jax.errors import UserError
from cliptail_jax.transfer.scores import accuracy

WEIGHT_DECAYS = np.logspace(5, -6, 45)  # from strong to weak: each optimum is a good start for the next
_MAX_STEPS = 1000
# Stop where the objective can fall by about this share of itself; losses have settled at 1e-6, accuracies only here.
_RELATIVE_GAP = 1e-8


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
    _check_examples(features, labels, num_classes)
    start = start or _zeros(features.shape[1], num_classes)
    return _follow(_fit_multinomial, features, labels, weight_decays, start)


def fit_binary_path(
    features: Float[np.ndarray, "example dim"],
    positives: Bool[np.ndarray, "example class"],
    weight_decays: Float[np.ndarray, "decay"] = WEIGHT_DECAYS,
) -> Linear:
    """Each class against the rest, for classes that may share an example: weights [decay, dim, class].

    Independent binary fits, side by side, each of scikit-learn's binary objective:

        mean over examples of log(1 + exp(∓(w'x + b)))  +  λ/(2N) |w|²        (- for a positive example, + for another)

    UserError for features that are not finite, a class without a positive or without a negative example, and a weight
    decay that is not positive.
    """
    features, positives = np.asarray(features, np.float32), np.asarray(positives, bool)
    _check_positives(features, positives)
    return _follow(_fit_binary, features, positives, weight_decays, _zeros(features.shape[1], positives.shape[1]))


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


def _check_positives(features: np.ndarray, positives: np.ndarray) -> None:
    if positives.ndim != 2 or len(features) != len(positives):
        raise UserError(
            f"{len(features)} features, but positives of shape {positives.shape}: give a row per example, a column per class"
        )
    _check_finite(features, "features")
    for kind, found in (("positive", positives.any(0)), ("negative", ~positives.all(0))):
        if not found.all():
            raise UserError(
                f"class {np.flatnonzero(~found)[0]} has no {kind} training example: add images or leave the class out"
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


def _binary_losses(logits: Float[Array, "example"], positive: Bool[Array, "example"]) -> Float[Array, "example"]:
    return jax.nn.softplus(jnp.where(positive, -logits, logits))


def _zeros(dim: int, classes: int) -> Linear:
    return Linear(jnp.zeros((dim, classes)), jnp.zeros(classes))


class _Turned(NamedTuple):
    """Features in the coordinates that fits are made in: centred, on their principal axes."""

    features: Float[Array, "example dim"]
    mean: Float[Array, "dim"]
    axes: Float[Array, "dim dim"]
    variances: Float[Array, "dim"]


def _follow(fit_one, features, targets, weight_decays, start: Linear) -> Linear:
    """The optimum for each weight decay by `fit_one`, in order, with a leading axis `decay`."""
    weight_decays = np.asarray(weight_decays, np.float32)
    if not (weight_decays > 0).all():
        raise UserError(f"weight decay {weight_decays.min():g} of a linear probe: give positive ones")
    path = []
    # GPUs and TPUs would round the factors, and stop far from the optimum.
    with jax.default_matmul_precision("highest"):
        turned = _turn(features)
        targets = jnp.asarray(targets)
        before = last = Linear(turned.axes.T @ start.weights, start.bias + turned.mean @ start.weights)
        quiet = None if len(weight_decays) > 1 else True
        for weight_decay in tqdm(weight_decays, "linear probes", unit=" fits", disable=quiet, leave=False):
            before, last = last, fit_one(turned, targets, weight_decay / len(features), before, last)
            path.append(jax.block_until_ready(last))
        return _turn_back(turned, jax.tree.map(lambda *parts: jnp.stack(parts), *path))


@jax.jit
def _turn(features: Float[Array, "example dim"]) -> _Turned:
    mean = features.mean(0)
    centred = features - mean
    variances, axes = jnp.linalg.eigh(centred.T @ centred / len(features))
    return _Turned(centred @ axes, mean, axes, jnp.maximum(variances, 0))  # rounding makes the smallest ones negative


@jax.jit
def _turn_back(turned: _Turned, path: Linear) -> Linear:
    weights = turned.axes @ path.weights
    return Linear(weights, path.bias - turned.mean @ weights)


def _fit_one(turned: _Turned, targets: Array, penalty: float, before: Linear, last: Linear, *, losses, link) -> Linear:
    """The optimum for the weight decay `penalty`·N, in turned coordinates: weights [dim, class], or [dim] if binary.

    Starts where the last two optima point: the path bends little per weight decay.
    """
    warm = jax.tree.map(lambda a, b: 2 * b - a, before, last)
    # Curvature of the loss is about the mean of p(1 - p) times that of the features (1 for the bias).
    probabilities = link(turned.features @ warm.weights + warm.bias)
    sharpness = jnp.maximum((probabilities * (1 - probabilities)).mean(), 1e-12)
    scale = Linear(jax.lax.rsqrt(sharpness * turned.variances + penalty), jax.lax.rsqrt(sharpness))

    def unscaled(scaled: Linear) -> Linear:
        return Linear((scaled.weights.T * scale.weights).T, scaled.bias * scale.bias)

    def objective(scaled: Linear) -> Float[Array, ""]:
        weights, bias = unscaled(scaled)
        return losses(turned.features @ weights + bias, targets).mean() + penalty / 2 * (weights**2).sum()

    start = Linear((warm.weights.T / scale.weights).T, warm.bias / scale.bias)
    return unscaled(_minimise(objective, start))


_fit_multinomial = jax.jit(partial(_fit_one, losses=_losses, link=jax.nn.softmax))
_fit_binary = jax.jit(
    jax.vmap(
        partial(_fit_one, losses=_binary_losses, link=jax.nn.sigmoid), in_axes=(None, -1, None, -1, -1), out_axes=-1
    )
)


def _minimise(objective: Callable[[Linear], Float[Array, ""]], start: Linear) -> Linear:
    """L-BFGS from `start`, a step or more, until the objective is about to stop falling or does (float32's limit).

    Where the Hessian is about 1, |gradient|²/2 is how far the objective is above its minimum.
    """
    optimizer = optax.lbfgs()

    def step(carry):
        parameters, state, value, gradient, steps, _ = carry
        updates, state = optimizer.update(gradient, state, parameters, value=value, grad=gradient, value_fn=objective)
        new_value, new_gradient = optax.tree.get(state, "value"), optax.tree.get(state, "grad")  # by the line search
        gap = optax.tree.norm(new_gradient, squared=True) / 2
        goes_on = (new_value < value) & (gap > _RELATIVE_GAP * new_value)
        return optax.apply_updates(parameters, updates), state, new_value, new_gradient, steps + 1, goes_on

    def not_done(carry):
        *_, steps, goes_on = carry
        return goes_on & (steps < _MAX_STEPS)

    value, gradient = jax.value_and_grad(objective)(start)
    return jax.lax.while_loop(not_done, step, (start, optimizer.init(start), value, gradient, 0, True))[0]
