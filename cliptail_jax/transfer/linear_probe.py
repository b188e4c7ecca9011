"""Linear probe: multinomial logistic regression on frozen features, along a path of weight decays.

The objective is that of scikit-learn's `LogisticRegression`, whose C is 1/λ, divided by C·N:

    mean over examples of -log softmax(W'x + b)[label]  +  λ/(2N) |W|²        (the bias b is not penalised)

It is convex, so any method that reaches its optimum gives scikit-learn's result. Features of neural networks are far
from white, so plain L-BFGS is slow. It therefore runs in other coordinates, which do not change the objective: features are
centred (the bias compensates for this), rotated to their principal axes, and scaled by the curvature along each axis.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int
from tqdm import tqdm

WEIGHT_DECAYS = np.logspace(5, -6, 45)  # from strong to weak; each optimum is a good start for the next one
_MAX_STEPS = 1000
# Stop when the objective can still fall by about this share of itself. Losses converge at 1e-6, accuracies only here.
_RELATIVE_GAP = 1e-8


class Linear(NamedTuple):
    """A linear classifier, or several, with a leading axis `decay` in both arrays."""

    weights: Float[Array, "dim class"]
    bias: Float[Array, " class"]


def fit_path(
    features: Float[np.ndarray, "example dim"],
    labels: Int[np.ndarray, " example"],
    num_classes: int,
    weight_decays: Sequence[float] | Float[np.ndarray, " decay"] = WEIGHT_DECAYS,
) -> Linear:
    """The optimum for each weight decay λ (scikit-learn's 1/C), in order: weights [decay, dim, class].

    Every class must have an example. Two classes have the multinomial objective, too. scikit-learn's binary objective with λ
    is this one with 2λ, since it penalises the difference of the two weight vectors.
    """
    return _follow(_fit_multinomial, features, np.asarray(labels), num_classes, weight_decays)


def fit_binary_path(
    features: Float[np.ndarray, "example dim"],
    positives: Bool[np.ndarray, "example class"],
    weight_decays: Sequence[float] | Float[np.ndarray, " decay"] = WEIGHT_DECAYS,
) -> Linear:
    """The optimum of each class against the rest, for classes that may share an example: weights [decay, dim, class].

    The fits are independent, each of scikit-learn's binary objective:

        mean over examples of log(1 + exp(∓(w'x + b)))  +  λ/(2N) |w|²        (- for a positive example, + for another)

    Every class must have a positive and a negative example.
    """
    positives = np.asarray(positives, bool)
    return _follow(_fit_binary, features, positives, positives.shape[1], weight_decays)


def predict(classifier: Linear, features: Float[np.ndarray, "example dim"]) -> Int[np.ndarray, " example"]:
    """The class of the highest score for each example."""
    with jax.default_matmul_precision("highest"):
        return np.asarray(jnp.argmax(jnp.asarray(features, jnp.float32) @ classifier.weights + classifier.bias, -1))


def _losses(logits: Float[Array, "example class"], labels: Int[Array, " example"]) -> Float[Array, " example"]:
    """-log softmax at the label, as softplus(log Σ_{k≠label} exp(z_k - z_label)).

    Unlike log-sum-exp minus z_label, this has full relative precision for tiny losses, as with weak weight decay.
    """
    label_logits = jnp.take_along_axis(logits, labels[:, None], 1)
    is_other = jnp.arange(logits.shape[1]) != labels[:, None]
    return jax.nn.softplus(jax.nn.logsumexp(logits - label_logits, axis=1, where=is_other))


def _binary_losses(logits: Float[Array, " example"], positive: Bool[Array, " example"]) -> Float[Array, " example"]:
    return jax.nn.softplus(jnp.where(positive, -logits, logits))


class _RotatedFeatures(NamedTuple):
    """Features in the coordinates of the fits: centred, and rotated to their principal axes."""

    features: Float[Array, "example dim"]
    mean: Float[Array, " dim"]
    axes: Float[Array, "dim dim"]
    variances: Float[Array, " dim"]


def _follow(fit_one: Callable, features, targets, num_classes: int, weight_decays) -> Linear:
    """The optimum for each weight decay by `fit_one`, in order, with a leading axis `decay`."""
    path = []
    # Otherwise, GPUs and TPUs would round the factors, and stop far from the optimum.
    with jax.default_matmul_precision("highest"):
        rotation = _rotate(np.asarray(features, np.float32))
        targets = jnp.asarray(targets)
        earlier_optimum = optimum = Linear(jnp.zeros((features.shape[1], num_classes)), jnp.zeros(num_classes))
        quiet = None if len(weight_decays) > 1 else True
        for weight_decay in tqdm(np.float32(weight_decays), "linear probes", unit=" fits", disable=quiet, leave=False):
            earlier_optimum, optimum = (
                optimum,
                fit_one(rotation, targets, weight_decay / len(features), earlier_optimum, optimum),
            )
            path.append(jax.block_until_ready(optimum))
        return _rotate_back(rotation, jax.tree.map(lambda *parts: jnp.stack(parts), *path))


@jax.jit
def _rotate(features: Float[Array, "example dim"]) -> _RotatedFeatures:
    mean = features.mean(0)
    offsets = features - mean
    variances, axes = jnp.linalg.eigh(offsets.T @ offsets / len(features))
    variances = jnp.maximum(variances, 0)  # rounding makes the smallest ones negative
    return _RotatedFeatures(offsets @ axes, mean, axes, variances)


@jax.jit
def _rotate_back(rotation: _RotatedFeatures, path: Linear) -> Linear:
    weights = rotation.axes @ path.weights
    return Linear(weights, path.bias - rotation.mean @ weights)


def _fit_one(
    rotation: _RotatedFeatures,
    targets: Array,
    penalty: Float[Array, ""] | float,
    earlier_optimum: Linear,
    optimum: Linear,
    *,
    losses,
    link,
) -> Linear:
    """The optimum for the weight decay `penalty`·N, in rotated coordinates: weights [dim, class], or [dim] if binary.

    It starts at the extrapolation of the last two optima, since the path bends little per weight decay.
    """
    guess = jax.tree.map(lambda a, b: 2 * b - a, earlier_optimum, optimum)
    # Curvature of the loss is about the mean of p(1 - p) times that of the features (1 for the bias).
    probabilities = link(rotation.features @ guess.weights + guess.bias)
    sharpness = jnp.maximum((probabilities * (1 - probabilities)).mean(), 1e-12)
    scale = Linear(jax.lax.rsqrt(sharpness * rotation.variances + penalty), jax.lax.rsqrt(sharpness))

    def unscaled(parameters: Linear) -> Linear:
        return Linear((parameters.weights.T * scale.weights).T, parameters.bias * scale.bias)

    def objective(parameters: Linear) -> Float[Array, ""]:
        weights, bias = unscaled(parameters)
        return losses(rotation.features @ weights + bias, targets).mean() + penalty / 2 * (weights**2).sum()

    start = Linear((guess.weights.T / scale.weights).T, guess.bias / scale.bias)
    return unscaled(_minimise(objective, start))


_fit_multinomial = jax.jit(partial(_fit_one, losses=_losses, link=jax.nn.softmax))
_fit_binary = jax.jit(
    jax.vmap(
        partial(_fit_one, losses=_binary_losses, link=jax.nn.sigmoid), in_axes=(None, -1, None, -1, -1), out_axes=-1
    )
)


def _minimise(objective: Callable[[Linear], Float[Array, ""]], start: Linear) -> Linear:
    """Run L-BFGS from `start` for at least one step, until the objective falls too little, or not at all (float32's limit).

    If the Hessian is about 1, |gradient|²/2 is the distance of the objective from its minimum.
    """
    optimizer = optax.lbfgs()

    def step(carry):
        parameters, state, value, gradient, steps, _ = carry
        updates, state = optimizer.update(gradient, state, parameters, value=value, grad=gradient, value_fn=objective)
        new_value, new_gradient = optax.tree.get(state, "value"), optax.tree.get(state, "grad")  # by the line search
        gap = optax.tree.norm(new_gradient, squared=True) / 2
        is_unfinished = (new_value < value) & (gap > _RELATIVE_GAP * new_value)
        return optax.apply_updates(parameters, updates), state, new_value, new_gradient, steps + 1, is_unfinished

    def continues(carry):
        *_, steps, is_unfinished = carry
        return is_unfinished & (steps < _MAX_STEPS)

    value, gradient = jax.value_and_grad(objective)(start)
    return jax.lax.while_loop(continues, step, (start, optimizer.init(start), value, gradient, 0, True))[0]
