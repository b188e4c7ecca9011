"""Losses for classes of different frequency, and for images and texts, as pure functions of JAX.

    from cliptail_jax import losses
    loss = losses.softmax_with_prior(logits, labels, class_counts).mean()

As in optax, there is one loss per example, in nats, and no reduction. Logits are [..., class], and labels are class numbers.
Functions work under `jax.jit`, `jax.vmap` and `jax.grad`. Classes are in the last axis, unless `axis` is another, and the examples
of a batch in the one before. `where` marks the examples that count; the others have a loss and gradients of 0. Cosines need a
scale, such as 1 / 0.07 or a learned one, before they are logits.

Each docstring has the effective log-prior ψ: how much the logits that minimize the loss favour a class, beyond log p(image | class).
p is a class's share of the training images (configs/effective_prior.md). ψ = 0 needs no correction at test time. Otherwise,
subtract ψ from the logits: `adjust(logits, class_counts)` if ψ = log p. configs/losses.md has the same losses for PyTorch.

Wrong types, shapes, counts, labels and logits raise UserError. Under `jax.jit`, values are unknown: labels that are no class give
nan.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int, Num

from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.effective_prior import effective_number_weights
from cliptail_jax.metrics.imbalance import adjust, check_number, checked_counts, class_margins, log_prior
from cliptail_jax.models.cosine import cosines

__all__ = [
    "adjust",
    "batch_softmax",
    "contrastive",
    "effective_number_weights",
    "focal",
    "ldam",
    "sampled_softmax",
    "sigmoid_contrastive",
    "softmax_with_prior",
]

ArrayLike = Array | np.ndarray
CountsOfClasses = Sequence[int] | ArrayLike
TYPES = {"f": (jnp.floating, "floats"), "i": (jnp.integer, "integers"), "b": (jnp.bool_, "truth values, as a mask")}


def softmax_with_prior(
    logits: Float[ArrayLike, "..."],
    labels: Int[ArrayLike, "*batch"],
    class_counts: CountsOfClasses,
    tau: float = 1.0,
    *,
    axis: int = -1,
    where: Bool[ArrayLike, "*batch"] | None = None,
) -> Float[Array, "*batch"]:
    """−log softmax_y(f + τ log p): adjusted logits; with τ = 1 also called balanced softmax.

    ψ = (1 − τ) log p, so that logits f are used as they are at test time for τ = 1. τ = 0 is ordinary cross-entropy (SL). A class
    without training images has probability 0 in training. Menon et al. (2021), "Long-tail learning via logit adjustment" (arXiv
    2007.07314); Ren et al. (2020), "Balanced meta-softmax" (arXiv 2007.10740).

    Args:
        logits: f, [..., class] if `axis` is the last.
        class_counts: the number of training images of each class. Neither they nor τ may be traced by `jax.jit`.

    >>> import jax.numpy as jnp
    >>> logits, labels = jnp.zeros((2, 2)), jnp.array([0, 1])
    >>> [round(loss, 2) for loss in softmax_with_prior(logits, labels, [90, 10]).tolist()]
    [0.11, 2.3]
    """
    logits = _class_last(logits, axis)
    _check_constant(class_counts=class_counts, tau=tau)
    counts = checked_counts(class_counts, logits.shape[-1])
    check_number("τ", tau)
    _check(logits, labels, where, counts if tau else None)
    return cross_entropy(with_prior(logits, counts, tau), labels, where)


def batch_softmax(
    logits: Float[ArrayLike, "..."],
    labels: Int[ArrayLike, "*group example"],
    counted: bool = True,
    *,
    axis: int = -1,
    where: Bool[ArrayLike, "*group example"] | None = None,
) -> Float[Array, "*group example"]:
    """−log softmax_y over the classes of the batch: of f + log k if `counted`, with the number k of a class's examples in the batch.

    If `counted`, it is CLIP's loss from images to class names, up to a constant, and ψ = 0 at every batch size: use the logits
    as they are. Otherwise ψ = log p − log(1 − (1 − p)^(B − 1)) with batches of B, which is flat for classes with B p << 1 and
    log p for those with B p >> 1. For groups within a batch, reshape logits to [group, example, class].

    Ren et al. (2020), "Balanced meta-softmax" (arXiv 2007.10740), have the first with the counts of the training set; for both,
    see "What Makes CLIP More Robust to Long-Tailed Pre-Training Data?" (arXiv 2405.21070).

    >>> import jax.numpy as jnp
    >>> logits, labels = jnp.zeros((4, 9)), jnp.array([5, 5, 5, 7])
    >>> [round(loss, 2) for loss in batch_softmax(logits, labels).tolist()]
    [0.29, 0.29, 0.29, 1.39]
    >>> [round(loss, 2) for loss in batch_softmax(logits, labels, counted=False).tolist()]
    [0.69, 0.69, 0.69, 0.69]
    """
    logits = _class_last(logits, axis)
    _check(logits, labels, where)
    if not labels.ndim:
        raise UserError("logits are those of one example: give a batch, [example, class]")
    counts = count_in_batch(labels, logits.shape[-1], where)[..., None, :]
    if counted:
        logits = logits + jnp.log(jnp.maximum(counts, 1))
    return cross_entropy(logits, labels, where, counts > 0)


def sampled_softmax(
    logits: Float[ArrayLike, "..."],
    labels: Int[ArrayLike, "*batch"],
    vocabulary: Bool[ArrayLike, "..."],
    *,
    axis: int = -1,
    where: Bool[ArrayLike, "*batch"] | None = None,
) -> Float[Array, "*batch"]:
    """−log softmax_y over the classes in `vocabulary`, which contains the labels.

    ψ = log p − log q, where q is the probability that a class is in the vocabulary of an image of another class: subtract it at
    test time, as `cliptail_jax.effective_log_prior("vocabulary:70:uniform:128", class_counts)` for example. Jean et al. (2015), "On
    using very large target vocabulary for neural machine translation" (arXiv 1412.2007).

    Args:
        vocabulary: [class], or of the shape of the logits for a vocabulary of each example.

    >>> import jax.numpy as jnp
    >>> vocabulary = jnp.array([True, True, False])
    >>> [round(loss, 2) for loss in sampled_softmax(jnp.zeros((2, 3)), jnp.array([0, 1]), vocabulary).tolist()]
    [0.69, 0.69]
    """
    logits = _class_last(logits, axis)
    vocabulary = _class_last(vocabulary, -1 if np.ndim(vocabulary) == 1 else axis, "vocabulary", "b")
    if vocabulary.shape not in (logits.shape, logits.shape[-1:]):
        raise UserError(
            f"the vocabulary is {list(vocabulary.shape)}, and logits {list(logits.shape)}: give [class], or their shape"
        )
    _check(logits, labels, where, vocabulary)
    return cross_entropy(logits, labels, where, vocabulary)


def ldam(
    cosines: Float[ArrayLike, "..."],
    labels: Int[ArrayLike, "*batch"],
    class_counts: CountsOfClasses,
    largest_margin: float = 0.5,
    scale: float | Float[ArrayLike, ""] = 30.0,
    *,
    axis: int = -1,
    where: Bool[ArrayLike, "*batch"] | None = None,
) -> Float[Array, "*batch"]:
    """−log softmax_y(s (cos − Δ_y [c = y])), with margins Δ ∝ count^(−1/4), of which the rarest class has the largest.

    It has no effective log-prior; cosines are used as they are at test time. Cao et al. (2019), "Learning imbalanced datasets with
    label-distribution-aware margin loss" (arXiv 1906.07413), weight the losses in the last epochs: by
    `effective_number_weights(class_counts, 0.9999)[labels]`, divided by their sum.

    >>> import jax.numpy as jnp
    >>> round(float(ldam(jnp.array([0.5, 0.0]), jnp.array(0), [16, 1], scale=10.0)), 2)  # the margin is 0.25
    0.08
    """
    cosines = _class_last(cosines, axis)
    _check_constant(class_counts=class_counts, largest_margin=largest_margin)
    counts = checked_counts(class_counts, cosines.shape[-1])
    check_number("largest_margin", largest_margin)
    _check(cosines, labels, where, counts)
    return cross_entropy(with_margins(scale * cosines, labels, counts, largest_margin, scale), labels, where)


def focal(cross_entropies: Float[ArrayLike, "*batch"], gamma: float = 2.0) -> Float[Array, "*batch"]:
    """(1 − p_y)^γ · −log p_y from the cross-entropies −log p_y, as other losses here give them.

    It gives examples that are classified well little weight, and has no effective log-prior. γ = 0 is cross-entropy. Lin et al. (2017),
    "Focal loss for dense object detection" (arXiv 1708.02002), for a softmax.

    >>> import jax.numpy as jnp
    >>> [round(loss, 2) for loss in focal(jnp.array([0.1, 2.0]), gamma=2.0).tolist()]
    [0.0, 1.5]
    """
    _check_type("cross_entropies", cross_entropies, "f")
    _check_constant(gamma=gamma)
    check_number("γ", gamma)
    if gamma < 0:
        raise UserError(f"γ is {gamma:g}: choose a number from 0 on, such as 2")
    # Where p_y rounds to 1, the gradient of (1 − p_y)^γ would be infinite for γ < 1.
    return jnp.maximum(-jnp.expm1(-cross_entropies), jnp.finfo(jnp.float32).tiny) ** gamma * cross_entropies


def contrastive(
    images: Float[ArrayLike, "batch dim"],
    texts: Float[ArrayLike, "batch dim"],
    scale: float | Float[ArrayLike, ""],
    *,
    where: Bool[ArrayLike, " batch"] | None = None,
) -> Float[Array, " batch"]:
    """CLIP's loss of each pair: the mean of −log softmax_i over the texts, for image i, and over the images, for text i.

    Features have unit length. On class names, ψ = 0 at every batch size. Radford et al. (2021, arXiv 2103.00020).

    >>> import jax.numpy as jnp
    >>> [round(loss, 2) for loss in contrastive(jnp.eye(2), jnp.eye(2), scale=10.0).tolist()]
    [0.0, 0.0]
    """
    logits, pairs = _cosines_of_pairs(images, texts, where) * scale, jnp.arange(len(images))
    valid = True if where is None else where
    rows, columns = (cross_entropy(matrix, pairs, where, valid) for matrix in (logits, logits.T))
    return (rows + columns) / 2


def sigmoid_contrastive(
    images: Float[ArrayLike, "batch dim"],
    texts: Float[ArrayLike, "batch dim"],
    scale: float | Float[ArrayLike, ""],
    bias: float | Float[ArrayLike, ""],
    *,
    where: Bool[ArrayLike, " batch"] | None = None,
) -> Float[Array, " batch"]:
    """SigLIP's loss of each image: Σ_j −log σ(z_ij (s cos_ij + b)) over the texts; z = 1 for its own text, −1 for the others.

    Features have unit length. On class names, ψ = 0. Zhai et al. (2023, arXiv 2303.15343).

    >>> import jax.numpy as jnp
    >>> [round(loss, 2) for loss in sigmoid_contrastive(jnp.eye(2), jnp.eye(2), scale=10.0, bias=-5.0).tolist()]
    [0.01, 0.01]
    """
    logits = _cosines_of_pairs(images, texts, where) * scale + bias
    valid = True if where is None else where
    losses = jnp.where(valid, jax.nn.softplus(logits), 0.0).sum(axis=1) - jnp.diagonal(logits)
    return jnp.where(valid, losses, 0.0)


# Parts, of which the objectives compose losses, too.


def cross_entropy(
    logits: Float[ArrayLike, "*batch class"],
    labels: Int[ArrayLike, "*batch"],
    where: Bool[ArrayLike, "*batch"] | None = None,
    classes: Bool[ArrayLike, "#*batch class"] | bool = True,
) -> Float[Array, "*batch"]:
    """−log softmax_y over the `classes`; 0 for examples that do not count, whose labels may be other classes."""
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    if classes is not True:
        logits = jnp.where(classes, logits, -jnp.inf)
    if where is not None:
        # Examples that do not count may have no class, infinite losses and nan: their gradients are 0.
        logits = jnp.where(where[..., None], logits, 0.0)
    log_partition = jax.nn.logsumexp(logits, axis=-1)
    numbers = _without_wrapping(labels, logits.shape[-1])
    losses = log_partition - jnp.take_along_axis(logits, numbers[..., None], axis=-1)[..., 0]
    return losses if where is None else jnp.where(where, losses, 0.0)


def with_prior(
    logits: Float[ArrayLike, "*batch class"], class_counts: Num[np.ndarray, " class"], tau: float
) -> Float[Array, "*batch class"]:
    """f + τ log p."""
    return logits + (tau * log_prior(class_counts)).astype(np.float32) if tau else logits


def with_margins(
    logits: Float[ArrayLike, "*batch class"],
    labels: Int[ArrayLike, "*batch"],
    class_counts: Num[np.ndarray, " class"],
    largest_margin: float,
    scale: float | Float[ArrayLike, ""],
) -> Float[Array, "*batch class"]:
    """Logits s cos − s Δ_y, with the margin of the example's own class."""
    is_own = jnp.arange(logits.shape[-1]) == labels[..., None]
    return logits - jnp.where(is_own, scale * np.float32(class_margins(class_counts, largest_margin)), 0.0)


def count_in_batch(
    labels: Int[ArrayLike, "*group example"], classes: int, where: Bool[ArrayLike, "*group example"] | None = None
) -> Float[Array, "*group class"]:
    """The number of examples of each class."""
    groups = labels.reshape(-1, labels.shape[-1])
    values = jnp.ones(groups.shape) if where is None else where.reshape(groups.shape).astype(jnp.float32)
    numbers = _without_wrapping(groups, classes)
    counts = jnp.zeros((len(groups), classes)).at[jnp.arange(len(groups))[:, None], numbers].add(values, mode="drop")
    return counts.reshape(*labels.shape[:-1], classes)


def _cosines_of_pairs(
    images: Float[ArrayLike, "batch dim"], texts: Float[ArrayLike, "batch dim"], where: Bool[ArrayLike, " batch"] | None
) -> Float[Array, "image text"]:
    for name, features in (("images", images), ("texts", texts)):
        _check_type(name, features, "f")
    if images.ndim != 2 or images.shape != texts.shape:
        raise UserError(
            f"images {list(images.shape)} and texts {list(texts.shape)} are not pairs: give features [pair, dim]"
        )
    _check_per_example("where", where, "b", images.shape[:1])
    features = [jnp.asarray(part, jnp.promote_types(part.dtype, jnp.float32)) for part in (images, texts)]
    if where is not None:
        features = [
            jnp.where(where[:, None], part, 0.0) for part in features
        ]  # with gradients of 0, even if they are nan
    values = cosines(*features)
    _check(values, jnp.arange(len(images)), where)
    return values


def _without_wrapping(labels: Int[ArrayLike, "*batch"], classes: int) -> Int[Array, "*batch"]:
    """Labels where negative numbers, which would index from the end, are outside of the classes."""
    return jnp.where(labels < 0, classes, labels)


def _class_last(array: ArrayLike, axis: int, name: str = "logits", kind: str = "f") -> ArrayLike:
    """The array with the axis of the classes at its end. Raises UserError for another type, and without such an axis."""
    _check_type(name, array, kind)
    if not -array.ndim <= axis < array.ndim:
        raise UserError(f"{name} {list(array.shape)} have no axis {axis}: give that of the classes")
    return array if axis == -1 else jnp.moveaxis(array, axis, -1)


def _check_constant(**arguments: Any) -> None:
    """Raise UserError for arguments that `jax.jit` traces, whose values are unknown."""
    for name, value in arguments.items():
        if isinstance(value, jax.core.Tracer):
            raise UserError(
                f"{name} must be known, and is an argument of a function that jax.jit traces: let the function close over it"
            )


def _check_type(name: str, array: Any, kind: str) -> None:
    """Raise UserError if an argument is no array of JAX or NumPy, or one of other values than TYPES[kind]."""
    if not isinstance(array, Array | np.ndarray | np.generic):
        raise UserError(
            f"{name} are of the type {type(array).__name__}: give an array of JAX or NumPy (configs/losses.md has these losses "
            "for PyTorch)"
        )
    if not jnp.issubdtype(array.dtype, TYPES[kind][0]):
        raise UserError(f"{name} have the type {array.dtype}: give {TYPES[kind][1]}")


def _check_per_example(name: str, array: Any, kind: str, shape: tuple[int, ...]) -> None:
    """Raise UserError unless an argument is None, or an array of values TYPES[kind] with this shape, that of the examples."""
    if array is None:
        return
    _check_type(name, array, kind)
    if array.shape != shape:
        raise UserError(f"{name} are {list(array.shape)}, and examples {list(shape)}: give one of {name} per example")


def _check(
    logits: Float[ArrayLike, "*batch class"],
    labels: Int[ArrayLike, "*batch"],
    where: Bool[ArrayLike, "*batch"] | None,
    classes: Any = None,
) -> None:
    """Raise UserError for arrays that do not fit together, and for wrong values outside of `jax.jit`.

    `classes` are the ones that labels may be: numbers or truth values [..., class].
    """
    for name, array, kind in (("labels", labels, "i"), ("where", where, "b")):
        _check_per_example(name, array, kind, logits.shape[:-1])
    if not labels.size:
        raise UserError("there are no examples")
    if any(isinstance(array, jax.core.Tracer) for array in (logits, labels, where, classes)):
        return
    valid = np.ones(labels.shape, bool) if where is None else np.asarray(where)
    if not valid.any():
        raise UserError("no example counts: `where` is False for all of them")
    numbers, num_classes = np.asarray(labels), logits.shape[-1]
    if not ((numbers >= 0) & (numbers < num_classes) | ~valid).all():
        raise UserError(f"a label is none of the classes 0 to {num_classes - 1:,} of the logits")
    if classes is not None:
        is_valid = np.take_along_axis(
            np.broadcast_to(classes, logits.shape), np.where(valid, numbers, 0)[..., None], -1
        )
        if not (is_valid[..., 0].astype(bool) | ~valid).all():
            raise UserError("a label's class has no training images, or is not in the vocabulary: its loss is infinite")
    if np.isnan(np.asarray(logits)[valid]).any():
        raise UserError("logits have a nan")
