"""A pass over the images of a set: what is predicted of which class is counted, and where asked for features are kept."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int
from ml_collections import ConfigDict
from tqdm import tqdm

from cliptail_jax.curation.variant import Variant
from cliptail_jax.errors import UserError
from cliptail_jax.input.images import MEAN, STD, normalize
from cliptail_jax.input.pipeline import Batch, UnreadableImages, spread
from cliptail_jax.metrics import per_class
from cliptail_jax.metrics.neural_collapse import NeuralCollapse, neural_collapse
from cliptail_jax.metrics.similarity import ClassSimilarities, Similarities
from cliptail_jax.models.classifier import linear_logits
from cliptail_jax.models.cosine import cosine_logits
from cliptail_jax.parallel.sharding import batch_sharding, replicated, to_devices


def make_evaluate_batch(graphdef: nnx.GraphDef, mesh: Mesh, mean=MEAN, std=STD) -> Callable:
    """The jitted function from a batch of images to counts and features.

    `mean` and `std` are the pixel statistics that the model takes. Features are compared with class embeddings by cosine,
    or where a `bias` is given, the class embeddings are the weights of a linear head.
    """

    def evaluate_batch(
        parts, head: Float[Array, "class dim"], counts, batch, bias: Float[Array, "class"] | None = None
    ):
        model = nnx.merge(graphdef, *parts, copy=True)
        features = model.encode_image(normalize(batch["images"], mean, std))
        logits = cosine_logits(features, head, jnp.zeros(())) if bias is None else linear_logits(features, head, bias)
        labels, mask = batch["labels"], batch["mask"]
        new = {
            "confusion": per_class.count_confusion(labels, jnp.argmax(logits, -1), mask, len(head)),
            "top5": per_class.top_k_correct(logits, labels, mask, k=5),
        }
        return jax.tree.map(jnp.add, counts, new), features.astype(jnp.float32)

    return jax.jit(evaluate_batch, out_shardings=(replicated(mesh), batch_sharding(mesh)), donate_argnums=2)


def with_progress(batches: Iterable[Batch], variant: Variant, config: ConfigDict) -> Iterable[Batch]:
    """The batches of a pass over `variant`, with a progress bar."""
    steps = -(-len(variant) // config.eval.batch_size)
    return tqdm(batches, total=steps, desc=f"evaluating {variant.source.name}", disable=None, leave=False)


@dataclasses.dataclass
class Measured:
    """What a pass over a set has counted, and where it was asked for kept or computed.

    Attributes:
        asked: `config.eval`.
        counts: `confusion` [class, class] and `top5`.
        head: the class embeddings.
        kept: as `Kept.result`; None where nothing asked for it, or no image was read.
        similarities: None where they were not asked for.
    """

    asked: ConfigDict
    counts: Mapping[str, np.ndarray]
    head: Float[np.ndarray, "class dim"]
    kept: Mapping[str, np.ndarray] | None
    similarities: Similarities | None

    @functools.cached_property
    def collapse(self) -> NeuralCollapse | None:
        """Computed when it is first used: of an interrupted pass it is not."""
        if not self.asked.neural_collapse:
            return None
        return neural_collapse(self.kept["features"], self.kept["labels"], len(self.head), self.head)

    def saved(self) -> dict[str, np.ndarray]:
        """The arrays that are written as .npy."""
        return {**self.kept, "head": self.head} if self.asked.save_features else {}


class Kept:
    """The features, labels and records of all images so far, of batches that come in the order of `variant`."""

    def __init__(self, variant: Variant):
        self._variant = variant
        self._features, self._labels, self._records = [], [], []
        self._start = 0

    def add(
        self, features: Float[np.ndarray, "slot dim"], labels: Int[np.ndarray, "slot"], mask: Bool[np.ndarray, "slot"]
    ) -> None:
        end = min(self._start + len(mask), len(self._variant))
        rows = spread(np.arange(self._start, end), len(mask))[mask]
        self._start = end
        self._records.append(self._variant.records[rows])
        self._features.append(features[mask])
        self._labels.append(labels[mask])

    def result(self) -> dict[str, np.ndarray]:
        """Raw `features` [sample, dim], `labels` [sample] and `records` [sample], of one batch or more."""
        lists = {"features": self._features, "labels": self._labels, "records": self._records}
        return {name: np.concatenate(arrays) for name, arrays in lists.items()}


# What takes in the raw features [slot, dim], labels [slot] and mask [slot] of a batch.
Taker = Callable[[np.ndarray, np.ndarray, np.ndarray], None]


def predict(
    evaluate_batch: Callable,
    parts: tuple[nnx.State, ...],
    head: Float[np.ndarray, "class dim"],
    batches: Iterable[Batch],
    variant: Variant,
    unreadable: UnreadableImages,
    asked: ConfigDict,
    mesh: Mesh,
) -> Measured:
    """A pass over a set's batches; `asked` is `config.eval`."""
    kept = Kept(variant) if asked.neural_collapse or asked.save_features else None
    similarities = ClassSimilarities(head) if asked.similarity else None
    takers = [taker.add for taker in (kept, similarities) if taker]
    counts = count(evaluate_batch, parts, head, batches, unreadable, takers, mesh)
    return Measured(
        asked,
        counts,
        head,
        kept.result() if kept and counts["confusion"].any() else None,
        similarities.result() if similarities else None,
    )


def count(
    evaluate_batch: Callable,
    parts: tuple[nnx.State, ...],
    head: Float[np.ndarray, "class dim"],
    batches: Iterable[Batch],
    unreadable: UnreadableImages,
    takers: Sequence[Taker],
    mesh: Mesh,
) -> dict[str, np.ndarray]:
    """Counts over a whole set; `takers` get what a batch has given, in order."""
    classes = len(head)
    counts = {"confusion": np.zeros((classes, classes), np.int32), "top5": np.zeros((), np.int32)}
    counts, head = jax.device_put((counts, head), replicated(mesh))

    def step(batch: Batch) -> Float[Array, "batch dim"]:
        nonlocal counts
        counts, features = evaluate_batch(parts, head, counts, batch)
        return features

    pass_over(step, batches, unreadable, takers, mesh)
    return {name: np.asarray(value, np.int64) for name, value in counts.items()}


def pass_over(
    step: Callable[[Batch], Float[Array, "batch dim"]],
    batches: Iterable[Batch],
    unreadable: UnreadableImages,
    takers: Sequence[Taker],
    mesh: Mesh,
) -> None:
    """Takes a `step` with each batch on the devices; `takers` get the features it gives, in order."""
    given = []  # one batch late, for the devices to work on the next meanwhile
    for batch in batches:
        unreadable.take_from(batch)
        on_devices = to_devices(mesh, batch)
        features = step(on_devices)
        hand(given, takers)
        given = [features, on_devices["labels"], on_devices["mask"]] if takers else []
    hand(given, takers)
    unreadable.check()


def hand(given: Sequence[Array], takers: Sequence[Taker]) -> None:
    """Gives takers the whole arrays of a batch; nothing where there is none."""
    arrays = [gather(array) for array in given]
    for taker in takers if arrays else ():
        taker(*arrays)


def gather(array: Array | np.ndarray) -> np.ndarray:
    """The whole of a global array, of which this process may hold a part."""
    if isinstance(array, np.ndarray) or array.is_fully_addressable:
        return np.asarray(array)
    return multihost_utils.process_allgather(array, tiled=True)


def check_any_read(counts: Mapping[str, np.ndarray], name: str) -> None:
    """Raise UserError where a whole pass over the set `name` has counted no image: there is nothing to compute from."""
    if not counts["confusion"].any():
        raise UserError(f"no image of {name} could be read: prepare the set again")
