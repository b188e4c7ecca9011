"""A pass over the images of a set: counts of predictions by class, and features for consumers."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int, PyTree, UInt8
from tqdm import tqdm

from cliptail_jax.config.sections import Reading, evaluation_pixels
from cliptail_jax.host.errors import UserError
from cliptail_jax.input.pipeline import EMPTY, Examples, UnreadableImages, evaluation_batches, spread
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.metrics import per_class
from cliptail_jax.metrics.calibration import BINS
from cliptail_jax.metrics.confidence import COUNTS, count_calibration, sigmoid_confidence, softmax_confidence
from cliptail_jax.models.classifier import linear_logits
from cliptail_jax.models.cosine import cosines, normalize
from cliptail_jax.parallel.sharding import batch_sharding, local_rows, on_mesh, replicated, to_devices
from cliptail_jax.runs.evaluations import UNKNOWN


class ClassHead(NamedTuple):
    """Class embeddings, compared with features by cosine, or the weights and bias of a linear layer.

    Attributes:
        logit_scale: the s that was learned with these embeddings: logits are exp(s) times the cosines. None for a
            linear layer, and for embeddings from elsewhere, which have no logits.
        adjustment: the τ log π that is subtracted from the logits; None for none.
        logit_bias: the b that was learned with the scale, for confidence σ(logit + b); None for softmax.
    """

    embeddings: Float[Array, "class dim"]
    bias: Float[Array, " class"] | None = None
    logit_scale: Float[Array, ""] | None = None
    adjustment: Float[Array, " class"] | None = None
    logit_bias: Float[Array, ""] | None = None

    @property
    def has_logits(self) -> bool:
        return self.bias is not None or self.logit_scale is not None

    def scores_and_logits(
        self, features: Float[Array, "batch dim"]
    ) -> tuple[Float[Array, "batch class"], Float[Array, "batch class"] | None]:
        """The scores that rank the classes, and the logits, if there are any.

        Cosines without adjustment rank the classes themselves: rounding their product with exp(s) could make two equal.
        """
        if self.bias is not None:
            scores = logits = linear_logits(features, self.embeddings, self.bias)
        else:
            scores = cosines(normalize(features), normalize(self.embeddings))
            logits = None if self.logit_scale is None else jnp.exp(self.logit_scale) * scores
        if self.adjustment is not None:
            scores = logits = logits - self.adjustment
        return scores, logits

    def confidence(self, logits: Float[Array, "batch class"]) -> Float[Array, " batch"]:
        """The confidence in the class of the largest logit, which calibration counts."""
        if self.logit_bias is None:
            return softmax_confidence(logits)
        return sigmoid_confidence(logits, self.logit_bias)


def count_shapes(classes: int, has_logits: bool = True) -> dict[str, tuple[int, ...]]:
    """The shapes of the counts.

    They are examples by true and predicted class, examples with the true class among the first five, examples whose
    features are NaN or infinite and, with logits, the `calibration`.
    """
    shapes = {"confusion": (classes, classes), "top5": (), "not_finite": ()}
    return shapes | ({"calibration": (classes, BINS, COUNTS)} if has_logits else {})


def make_evaluate_batch(graphdef: nnx.GraphDef, mesh: Mesh, preprocess: Preprocess) -> Callable:
    """The jitted function from a batch of images to counts, predicted classes (UNKNOWN where masked) and features.

    `preprocess` normalizes the images.
    """

    def evaluate_batch(parts, head: ClassHead, counts, batch):
        model, classes = nnx.merge(graphdef, *parts, copy=True), len(head.embeddings)
        features = model.encode_image(preprocess.normalize(batch["images"]))
        scores, logits = head.scores_and_logits(features)
        labels, mask = batch["labels"], batch["mask"]
        predictions = jnp.argmax(scores, -1)
        batch_counts = {
            "confusion": per_class.count_confusion(labels, predictions, mask, classes),
            "top5": per_class.top_k_correct(scores, labels, mask, k=5),
            "not_finite": jnp.sum(mask & ~jnp.isfinite(features).all(-1), dtype=jnp.int32),
        }
        if logits is not None:
            confidence, correct = head.confidence(logits), predictions == labels
            batch_counts["calibration"] = count_calibration(confidence, correct, labels, mask, classes)
        predictions = jnp.where(mask, predictions, UNKNOWN)
        return jax.tree.map(jnp.add, counts, batch_counts), predictions, features.astype(jnp.float32)

    shardings = replicated(mesh), batch_sharding(mesh), batch_sharding(mesh)
    return jax.jit(on_mesh(mesh, evaluate_batch), out_shardings=shardings, donate_argnums=2)


def make_sum_probabilities(graphdef: nnx.GraphDef, mesh: Mesh, preprocess: Preprocess) -> Callable:
    """The jitted function from a batch of images to log Σ p(class | image), the sum over those that are not masked.

    It returns the logarithm because the probability of a class may be too small in every image. Arguments as for
    `make_evaluate_batch`.
    """

    def sum_probabilities(parts, head: ClassHead, batch) -> Float[Array, " class"]:
        features = nnx.merge(graphdef, *parts, copy=True).encode_image(preprocess.normalize(batch["images"]))
        _, logits = head.scores_and_logits(features)
        return jax.nn.logsumexp(jax.nn.log_softmax(logits), axis=0, where=batch["mask"][:, None])

    return jax.jit(on_mesh(mesh, sum_probabilities), out_shardings=replicated(mesh))


def make_encode_images(
    graphdef: nnx.GraphDef, mesh: Mesh, preprocess: Preprocess, unit_length: bool = False
) -> Callable:
    """The jitted function from a model's parts and uint8 images, which `preprocess` normalizes, to features."""

    def encode_images(parts, images: UInt8[Array, "batch height width 3"]) -> Float[Array, "batch dim"]:
        features = nnx.merge(graphdef, *parts, copy=True).encode_image(preprocess.normalize(images))
        return normalize(features) if unit_length else features

    return jax.jit(on_mesh(mesh, encode_images), out_shardings=batch_sharding(mesh))


class FeatureCollector:
    """Collects the features, labels and records of images, from batches in the order of `examples`."""

    def __init__(self, examples: Examples):
        self._examples = examples
        self._features, self._labels, self._records = [], [], []
        self._start = 0

    def add(
        self, features: Float[np.ndarray, "slot dim"], labels: Int[np.ndarray, " slot"], mask: Bool[np.ndarray, " slot"]
    ) -> None:
        end = min(self._start + len(mask), len(self._examples))
        rows = spread(np.arange(self._start, end), len(mask))[mask]
        self._start = end
        self._records.append(self._examples.records[rows])
        self._features.append(features[mask])
        self._labels.append(labels[mask])

    def result(self) -> dict[str, np.ndarray]:
        """Unnormalized `features` [sample, dim], `labels` [sample] and `records` [sample], after at least one batch."""
        lists = {"features": self._features, "labels": self._labels, "records": self._records}
        return {name: np.concatenate(arrays) for name, arrays in lists.items()}


# A consumer of what a step returns, such as unnormalized features [slot, dim], and of a batch's labels [slot] and mask [slot].
Consumer = Callable[[np.ndarray, np.ndarray, np.ndarray], None]
# A pass over all images of a set. It takes a step, a function of a batch on the devices, and the consumers of its results.
Pass = Callable[..., None]


def count(
    evaluate_batch: Callable,
    parts: tuple[nnx.State, ...],
    head: ClassHead,
    run_pass: Pass,
    consumers: Sequence[Consumer],
    mesh: Mesh,
) -> tuple[dict[str, np.ndarray], Int[np.ndarray, " slot"]]:
    """The counts over a whole set, and the predicted class in each slot of its batches.

    The features of each batch are passed to the `consumers`, in order.
    """
    shapes = count_shapes(len(head.embeddings), head.has_logits)
    counts = {name: np.zeros(shape, np.int32) for name, shape in shapes.items()}
    counts, head = jax.device_put((counts, head), replicated(mesh))
    predictions = []  # stay on the devices until the end, so that no batch waits for them

    def step(batch: dict[str, Array]) -> Float[Array, "batch dim"]:
        nonlocal counts
        counts, classes, features = evaluate_batch(parts, head, counts, batch)
        predictions.append(classes)
        return features

    run_pass(step, consumers)
    slots = np.concatenate([np.zeros(0, np.int32), *map(gather, predictions)])
    return {name: np.asarray(value, np.int64) for name, value in counts.items()}, slots


def in_rows(slots: Int[np.ndarray, " slot"], rows: int, batch_size: int) -> Int[np.ndarray, " row"]:
    """The values of rows, given the values of the slots of their batches. The last batch may be partial."""
    start = rows - rows % batch_size  # of the partial batch
    mask = spread(np.arange(start, rows), batch_size) != EMPTY
    return np.concatenate([slots[:start], slots[start:][mask[: len(slots) - start]]])


def estimate_log_prior(
    sum_probabilities: Callable, parts: tuple[nnx.State, ...], head: ClassHead, run_pass: Pass, mesh: Mesh
) -> Float[np.ndarray, " class"]:
    """log of the mean predicted probability of each class over a set; nan if no image could be read."""
    head, sums = jax.device_put(head, replicated(mesh)), [np.full(len(head.embeddings), -np.inf)]

    def step(batch: dict[str, Array]) -> Float[Array, " class"]:
        return sum_probabilities(parts, head, batch)

    run_pass(step, [lambda batch_sum, *_: sums.append(np.float64(batch_sum))])
    with np.errstate(invalid="ignore"):
        total = np.logaddexp.reduce(sums)
        # The probabilities of an image add up to 1, so the sum over the classes is the number of images.
        return total - np.logaddexp.reduce(total)


def make_pass(
    examples: Examples,
    preprocess: Preprocess,
    reading: Reading,
    mesh: Mesh,
    batch_size: int,
    title: str,
    cache: bool = False,
    keep_workers: bool = False,
) -> Pass:
    """The function that passes over the images of a set, any number of times.

    It calls a step on each batch, on the devices, and passes its result to the consumers, in order. It ends early if `give_up`
    returns True. It raises UserError if more than the share `reading.max_unreadable` of the images are unreadable.

    Args:
        batch_size: over all devices and processes.
        title: is shown with the progress.
        cache: whether images are kept in memory, decoded, from one pass to the next.
        keep_workers: whether worker processes continue from one pass to the next.
    """
    start = evaluation_batches(
        examples,
        preprocess,
        batch_size=batch_size,
        slots=local_rows(batch_size),
        workers=reading.workers,
        cache=cache,
        keep_workers=keep_workers,
        **evaluation_pixels(reading),
    )
    unreadable, number = UnreadableImages(examples, reading.max_unreadable), -(-len(examples) // batch_size)

    def run_pass(step: Callable, consumers: Sequence[Consumer], give_up: Callable[[], bool] = lambda: False) -> None:
        last = []  # arrays of the last batch, which are consumed while the devices work on the next one
        for batch in tqdm(start(), title, number, disable=None, leave=False):
            if give_up():
                break
            unreadable.take_from(batch)
            batch.pop("loading")
            device_batch = to_devices(mesh, batch)
            result = step(device_batch)
            dispatch(last, consumers)
            last = [result, device_batch["labels"], device_batch["mask"]] if consumers else []
        dispatch(last, consumers)
        unreadable.check()

    return run_pass


def dispatch(batch: Sequence[PyTree[Array]], consumers: Sequence[Consumer]) -> None:
    """Pass the arrays of a batch, if there is one, to the consumers."""
    arrays = jax.tree.map(gather, list(batch))
    for consumer in consumers if arrays else ():
        consumer(*arrays)


def gather(array: Array | np.ndarray) -> np.ndarray:
    """A global array as a NumPy array, even if this process has only a part of it."""
    if isinstance(array, np.ndarray) or array.is_fully_addressable:
        return np.asarray(array)
    return multihost_utils.process_allgather(array, tiled=True)


def check_head(head: ClassHead, name: str) -> None:
    """Raise UserError if a head for the set `name` has numbers that are not finite, or exp(logit_scale) is not."""
    numbers = [array for array in (head.embeddings, head.bias, head.logit_bias) if array is not None]
    if head.logit_scale is not None:
        with np.errstate(over="ignore"):
            numbers.append(np.exp(np.float32(head.logit_scale)))
    if not all(np.isfinite(array).all() for array in numbers):
        raise UserError(
            f"the class embeddings of {name}, or the scale of its logits, have NaN or infinite values: check the model's weights"
        )


def check_counts(counts: Mapping[str, np.ndarray], name: str) -> None:
    """Raise UserError if a pass over the set `name` has no images, or images whose features are not finite."""
    if not counts["confusion"].any():
        raise UserError(f"no image of {name} could be read: prepare the set again")
    if number := counts["not_finite"]:
        raise UserError(
            f"{number:,} of {counts['confusion'].sum():,} images of {name} have features with NaN or infinite values: check "
            "the model's weights, and model.dtype"
        )
