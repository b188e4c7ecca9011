"""The transfer sets by their short names: which splits of which source, and by what they are scored."""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Int

from cliptail_jax.datasets.class_names import vocabulary_names
from cliptail_jax.datasets.folder import VERSION
from cliptail_jax.datasets.source import Source, open_source
from cliptail_jax.errors import UserError, did_you_mean
from cliptail_jax.transfer.scores import accuracy, mean_average_precision, mean_per_class_accuracy, voc_positives

METRICS = {
    "accuracy": accuracy,
    "mean per-class accuracy": mean_per_class_accuracy,
    "11-point mAP": mean_average_precision,
}
HELD_OUT = 0.2  # share of the training images for validation, where a set has no validation split
AT_ONCE = 1000  # records whose objects are read at once


@dataclasses.dataclass(frozen=True)
class TransferSet:
    """What to train on and what to test on.

    Attributes:
        name: its short name, or 'source:train:test'.
        source: the prepared data set's name, as `open_source` takes it.
        train: the split to train on.
        validation: the split to choose on; '' where a share of `train` is held out.
        test: the split to test on.
        metric: one of `METRICS`.
        has_objects: images show objects of several classes, instead of being of one class.
        few_shot: whether few-shot episodes are made of it.
        note: what a reader of its numbers has to know.
    """

    name: str
    source: str
    train: str
    validation: str
    test: str
    metric: str = "accuracy"
    has_objects: bool = False
    few_shot: bool = True
    note: str = ""

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(split for split in (self.train, self.validation, self.test) if split)


PER_CLASS = "mean per-class accuracy"
# Ericsson et al., "How Well Do Self-Supervised Models Transfer?", CVPR 2021 (github.com/linusericsson/ssl-transfer), and
# Birdsnap. TFDS has Food-101's test images as 'validation'; its splits of DTD, Flowers and VOC2007 are the official ones.
SETS = {
    chosen.name: chosen
    for chosen in (
        TransferSet("aircraft", "fgvc_aircraft/variant", "train", "validation", "test", PER_CLASS),
        TransferSet(
            *("birdsnap", "birdsnap", "train", "", "test"),
            few_shot=False,
            note="trained on all official training images that can still be had; the study's training set is 90 % of them",
        ),
        TransferSet(
            *("caltech101", "caltech101", "train", "", "test", PER_CLASS),
            note="102 classes, the background one included as in the study, split by TFDS (30 images a class to train on: "
            "3,060 / 6,084); the study's lists split the same images 2,416 / 6,728",
        ),
        TransferSet("cars", "cars196", "train", "", "test"),
        TransferSet("cifar10", "cifar10", "train", "", "test"),
        TransferSet("cifar100", "cifar100", "train", "", "test"),
        TransferSet("dtd", "dtd", "train", "validation", "test"),
        TransferSet("flowers102", "oxford_flowers102", "train", "validation", "test", PER_CLASS),
        TransferSet("food101", "food101", "train", "", "validation"),
        TransferSet("pets", "oxford_iiit_pet", "train", "", "test", PER_CLASS),
        TransferSet(
            *("sun397", "sun397/standard-part1-120k", "train", "", "test"),
            note="the first official partition, its images shrunk by TFDS to 120,000 pixels at most",
        ),
        TransferSet(
            *("voc2007", "voc/2007", "train", "validation", "test", "11-point mAP"),
            has_objects=True,
            few_shot=False,
        ),
    )
}


@dataclasses.dataclass(frozen=True)
class OpenedSet:
    """A transfer set that is there."""

    chosen: TransferSet
    sources: dict[str, Source]  # by split
    class_names: tuple[str, ...]

    def labels(self, split: str) -> Int[np.ndarray, "image"] | Bool[np.ndarray, "image class"]:
        """Of each image its class or, where images have objects, which classes it shows; in record order."""
        source = self.sources[split]
        if not self.chosen.has_objects:
            return source.columns("label")["label"].to_numpy()
        positives = []
        for start in range(0, len(source), AT_ONCE):
            records = source.records.__getitems__(list(range(start, min(start + AT_ONCE, len(source)))))
            objects = [record["objects"] for record in records]
            labels, difficult = ([of_image[key] for of_image in objects] for key in ("label", "is_difficult"))
            positives.append(voc_positives(labels, difficult, len(self.class_names)))
        return np.concatenate(positives)

    @property
    def score(self) -> Callable[[np.ndarray, np.ndarray], float]:
        """Of predictions and labels, or of scores and positives where images have objects; in 0..1."""
        return METRICS[self.chosen.metric]


def transfer_set(name: str) -> TransferSet:
    """The set of a short name, or any other prepared one as 'source:train:test' or 'source:train:validation:test'.

    Those are scored by accuracy. Raises UserError for what is neither.
    """
    if name in SETS:
        return SETS[name]
    source, *splits = name.split(":")
    if splits and VERSION.fullmatch(splits[0]):
        source, splits = f"{source}:{splits[0]}", splits[1:]
    if len(splits) not in (2, 3) or not all((source, *splits)):
        hint = did_you_mean(name.lower(), SETS)
        raise UserError(
            f"unknown transfer set '{name}'{hint}: there are {', '.join(SETS)}, and any prepared set as NAME:TRAIN:TEST "
            "or NAME:TRAIN:VALIDATION:TEST"
        )
    if len(set(splits)) < len(splits):
        raise UserError(f"transfer set '{name}' names a split twice: give splits without common images")
    return TransferSet(name, source, splits[0], splits[1] if len(splits) == 3 else "", splits[-1])


def open_set(name: str, data_dir: str) -> OpenedSet:
    """Opens a transfer set that is prepared in `data_dir` ('': TFDS's default folder).

    Raises UserError where there is no such set, it is not prepared, or its images have no labels.
    """
    chosen = transfer_set(name)
    sources = {split: open_source(chosen.source, data_dir, split) for split in chosen.splits}
    class_names = vocabulary_names("voc2007") if chosen.has_objects else sources[chosen.train].class_names
    if not class_names:
        raise UserError(f"transfer set '{name}' has no labels: give a set with classes")
    return OpenedSet(chosen, sources, class_names)
