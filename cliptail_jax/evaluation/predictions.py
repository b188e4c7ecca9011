"""Predicted classes of single images: the compiled function, the files of finished batches, and the files of results."""

import csv
import dataclasses
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int

from cliptail_jax.evaluation.counting import ClassHead
from cliptail_jax.formats.decoding import ImageSource
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import load_arrays, read_json, save_arrays, write_json
from cliptail_jax.input.pipeline import spread
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.parallel.sharding import batch_sharding, on_mesh
from cliptail_jax.runs.console import log_line
from cliptail_jax.runs.lock import FILE as LOCK

COLUMNS = ("filename", "label", "prediction", "confidence")
SETTINGS = "settings.json"  # in the folder of parts: what they depend on


class Predicted(NamedTuple):
    """The most probable classes of each image, the most probable one first.

    Attributes:
        classes: the indices of the classes.
        confidence: the softmax probabilities of the classes.
        logits: of all classes; None if they are not needed.
    """

    classes: Int[Array, "image top"]
    confidence: Float[Array, "image top"]
    logits: Float[Array, "image class"] | None


@dataclasses.dataclass(frozen=True)
class SourceRows:
    """Records of a source, for `cliptail_jax.evaluation.counting.make_pass`; labels are not used."""

    source: ImageSource
    records: Int[np.ndarray, " row"]
    captions: None = None

    @property
    def labels(self) -> Int[np.ndarray, " row"]:
        return np.zeros(len(self.records), np.int32)

    def __len__(self) -> int:
        return len(self.records)


def make_predict_batch(
    graphdef: nnx.GraphDef, mesh: Mesh, preprocess: Preprocess, top: int, with_logits: bool
) -> Callable[[tuple[nnx.State, ...], ClassHead, Mapping[str, Array]], Predicted]:
    """The jitted function from a model's parts, a head with logits, and a batch of images, to the `top` classes of each image."""

    def predict_batch(parts, head: ClassHead, batch) -> Predicted:
        features = nnx.merge(graphdef, *parts, copy=True).encode_image(preprocess.normalize(batch["images"]))
        scores, logits = head.scores_and_logits(features)
        _, classes = jax.lax.top_k(scores, top)  # the first of equal ones, as in an evaluation
        confidence = jnp.take_along_axis(jax.nn.softmax(logits), classes, axis=-1)
        return Predicted(classes, confidence, logits if with_logits else None)

    return jax.jit(on_mesh(mesh, predict_batch), out_shardings=batch_sharding(mesh))


class Parts:
    """Files of predictions, one per batch, in a folder beside the output, from which an interrupted command continues.

    Only complete files exist. `settings` are what predictions depend on: parts of other settings are removed.

    Raises UserError if another program wrote to the folder.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]):
        self.folder = folder
        old_settings = read_json(folder / SETTINGS)
        if old_settings is None and (files := [path.name for path in folder.iterdir() if path.name != LOCK]):
            raise UserError(f"{folder} contains {files[0]}, which this program did not write: choose another --output")
        keys = [key for key in settings if old_settings is not None and old_settings.get(key) != settings[key]]
        if keys:
            log_line(
                f"note: the unfinished predictions in {folder} have other {', '.join(keys)}: they are computed again"
            )
            self.remove()
        write_json(folder / SETTINGS, settings)
        self.number = 0
        while self._path(self.number).exists():
            self.number += 1

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npz"

    def add(self, rows: Int[np.ndarray, " image"], predictions: Predicted) -> None:
        """Save the predictions of a batch for these rows."""
        arrays = {name: array for name, array in predictions._asdict().items() if array is not None}
        save_arrays(self._path(self.number), rows=rows, **arrays)
        self.number += 1

    def read(self) -> tuple[Int[np.ndarray, " image"], Predicted]:
        """The rows of all saved predictions, and the predictions."""
        parts = [load_arrays(self._path(number)) for number in range(self.number)]
        arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return arrays.pop("rows"), Predicted(**{"logits": None} | arrays)

    def remove(self) -> None:
        """Remove all files but the lock, the last part first: a command that is killed here leaves the first parts."""
        for path in sorted(self.folder.glob("*.npz"), reverse=True):
            path.unlink()
        (self.folder / SETTINGS).unlink()


def rows_of_batch(start: int, rows: int, mask: Bool[np.ndarray, " slot"]) -> Int[np.ndarray, " image"]:
    """The rows in the slots of a batch that could be read, given its first row and the number of all rows."""
    return spread(np.arange(start, min(start + len(mask), rows)), len(mask))[mask]


def table_text(
    filenames: Sequence[str], labels: Sequence[str], predictions: Predicted, class_names: Sequence[str]
) -> str:
    """The CSV file: a row for each image, with the columns prediction_2, confidence_2, ... of further classes."""
    text = io.StringIO()
    writer, quoting_writer = (
        csv.writer(text, quoting=q, lineterminator="\n") for q in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
    )
    ranks = range(2, predictions.classes.shape[1] + 1)
    writer.writerow([*COLUMNS, *(f"{column}_{k}" for k in ranks for column in COLUMNS[2:])])
    for filename, label, classes, confidence in zip(filenames, labels, predictions.classes, predictions.confidence):
        cells = (cell for c, p in zip(classes, confidence) for cell in (class_names[c], f"{p:.6g}"))
        row = [filename, label, *cells]
        # Before Python 3.13, a carriage return is not quoted, and begins another row.
        (quoting_writer if any("\r" in value for value in row) else writer).writerow(row)
    return text.getvalue()


def logit_arrays(
    filenames: Sequence[str], labels: Sequence[str], predictions: Predicted, class_names: Sequence[str]
) -> dict[str, np.ndarray]:
    """The arrays of --logits: `logits` [example, class], `classes`, `filenames`, and `labels` if any is known."""
    arrays = {"logits": predictions.logits, "classes": np.array(class_names), "filenames": np.array(filenames)}
    return arrays | ({"labels": np.array(labels)} if any(labels) else {})
