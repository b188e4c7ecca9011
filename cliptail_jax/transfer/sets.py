"""Opens a transfer set: its splits, its class names, and its metric.

Metrics are accuracy, mean per-class accuracy, and VOC2007's mean average precision.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int

from cliptail_jax.concepts.class_lists import listed_names
from cliptail_jax.datasets.known_sources import TRANSFER_SETS, KnownSource, TransferSet
from cliptail_jax.datasets.source import Source, open_source
from cliptail_jax.formats.prepared import VERSION
from cliptail_jax.host.errors import UserError, did_you_mean

HELD_OUT = 0.2  # share of the training images for validation if a set has no validation split


@dataclasses.dataclass(frozen=True)
class OpenedTransferSet:
    """A transfer set with its data sources."""

    definition: TransferSet
    sources: dict[str, Source]  # by split
    class_names: tuple[str, ...]

    def labels(self, split: str) -> Int[np.ndarray, " image"] | Bool[np.ndarray, "image class"]:
        """The class of each image or, if images have objects, the classes that it shows; in record order.

        Objects marked as difficult count as absent. Raises UserError if an image has no label.
        """
        source = self.sources[split]
        if not self.definition.has_objects:
            labels = source.metadata["label"].to_numpy()
            if len(records := np.flatnonzero(labels < 0)):
                raise UserError(
                    f"{len(records):,} records of {source.name}:{split} have no label, such as record {records[0]}: choose a "
                    "split or a set with all labels"
                )
            return labels
        positives = np.zeros((len(source), len(self.class_names)), bool)
        for image in range(len(source)):
            objects = source.records[image]["objects"]
            is_difficult = np.asarray(objects["is_difficult"], bool)
            positives[image, np.asarray(objects["label"], int)[~is_difficult]] = True
        return positives

    @property
    def score(self) -> Callable[[np.ndarray, np.ndarray], float]:
        """The metric in 0..1 of predictions and labels, or of scores and positives if images have objects."""
        return METRICS[self.definition.metric]


def transfer_set(name: str) -> TransferSet:
    """The set of a short name, or another prepared set as 'source:train:test' or 'source:train:validation:test'.

    Sets without a short name are scored by accuracy.

    Raises:
        UserError: The name has neither form; the message lists the short names.
    """
    if name in TRANSFER_SETS:
        return TRANSFER_SETS[name]
    source, *splits = name.split(":")
    if splits and VERSION.fullmatch(splits[0]):
        source, splits = f"{source}:{splits[0]}", splits[1:]
    if len(splits) not in (2, 3) or not all((source, *splits)):
        hint = did_you_mean(name.lower(), TRANSFER_SETS)
        raise UserError(
            f"unknown transfer set '{name}'{hint}: there are {', '.join(TRANSFER_SETS)}, and any prepared set as "
            "NAME:TRAIN:TEST or NAME:TRAIN:VALIDATION:TEST"
        )
    if len(set(splits)) < len(splits):
        raise UserError(f"transfer set '{name}' names a split twice: give splits without common images")
    validation = splits[1] if len(splits) == 3 else ""
    return TransferSet(name, splits[0], splits[-1], validation, source=KnownSource(source))


def open_transfer_set(name: str, data_dir: str) -> OpenedTransferSet:
    """Open a transfer set that is prepared in `data_dir` ('': TFDS's default folder).

    Raises:
        UserError: There is no such set, it is not prepared, or its images have no labels.
    """
    definition = transfer_set(name)
    sources = {split: open_source(definition.source.name, data_dir, split) for split in definition.splits}
    class_names = sources[definition.train].class_names
    if definition.has_objects:  # such a source has no feature 'label'
        class_names = listed_names(definition.source.classes)
    if not class_names:
        raise UserError(f"transfer set '{name}' has no labels: give a set with classes")
    return OpenedTransferSet(definition, sources, class_names)


def accuracy(predictions: Int[np.ndarray, " example"], labels: Int[np.ndarray, " example"]) -> float:
    """The share of examples that are predicted correctly, in 0..1."""
    return float(np.mean(predictions == labels))


def mean_per_class_accuracy(predictions: Int[np.ndarray, " example"], labels: Int[np.ndarray, " example"]) -> float:
    """Mean over classes with examples of the share of their examples that are predicted correctly, in 0..1."""
    counts = np.bincount(labels)
    right = np.bincount(labels[predictions == labels], minlength=len(counts))
    return float(np.mean(right[counts > 0] / counts[counts > 0]))


def eleven_point_average_precision(
    scores: Float[np.ndarray, " example"], positives: Bool[np.ndarray, " example"]
) -> float:
    """Average precision of VOC2007, in 0..1: the mean over recalls r = 0, 0.1, …, 1 of the best precision at recall ≥ r.

    Examples of equal score keep their order. At least one must be positive.
    Formula: Everingham et al., "The PASCAL Visual Object Classes (VOC) Challenge", 2010, section 4.2.
    """
    true_positives = np.cumsum(positives[np.argsort(-scores, kind="stable")])
    precision = true_positives / np.arange(1, len(true_positives) + 1)
    # Recall ≥ tenths/10 is compared in whole numbers, to avoid rounding errors.
    return float(np.mean([precision[10 * true_positives >= tenths * true_positives[-1]].max() for tenths in range(11)]))


def mean_average_precision(
    scores: Float[np.ndarray, "example class"], positives: Bool[np.ndarray, "example class"]
) -> float:
    """Mean over classes of the 11-point average precision of one against the rest, in 0..1."""
    return float(
        np.mean([eleven_point_average_precision(*column) for column in zip(scores.T, positives.T, strict=True)])
    )


METRICS = {
    "accuracy": accuracy,
    "mean per-class accuracy": mean_per_class_accuracy,
    "11-point mAP": mean_average_precision,
}
