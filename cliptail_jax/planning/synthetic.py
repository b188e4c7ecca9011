"""Synthetic data to plan or time training steps without a data set."""

import numpy as np
from jaxtyping import Int

from cliptail_jax.config.training import IN_STEP, Data
from cliptail_jax.curation.variant import Variant
from cliptail_jax.datasets.source import Source
from cliptail_jax.training.objective import Objective

# The numbers of records of the training split and of classes. Sources: Russakovsky et al. 2015 (arXiv 1409.0575) for ImageNet,
# Fang et al. 2022 (arXiv 2205.01397) for ImageNet-Captions. The configs of the paper's runs on LAIONet set the number of records.
SIZES = {"imagenet2012": (1_281_167, 1000), "imagenet_captions": (448_896, 1000), "laionet": (None, 1000)}


def known_size(data: Data) -> tuple[int, int] | None:
    """The numbers of records and classes that the section `data` selects from a set of the paper; None if not known."""
    records, classes = SIZES.get(data.name, (None, 0))
    records = data.n or records
    selects = (*vars(data.classes).values(), data.profile.name, data.match.frequency, data.tail.classes)
    if records is None or any(selects) or data.class_match.classes:
        return None
    return int(records * data.fraction), classes


class _Unprepared(Source):
    """A source without prepared data. It has a name and classes, but no records."""

    def __init__(self, class_names: tuple[str, ...]):
        vars(self).update(name="synthetic", split="train", class_names=class_names)


class _SyntheticVariant(Variant):
    @property
    def class_frequency(self) -> Int[np.ndarray, " class"]:
        """Equal frequencies, which are computed without counting billions of records."""
        classes = len(self.class_names)
        return len(self) // classes + (np.arange(classes) < len(self) % classes)


def synthetic_variant(records: int, classes: int) -> Variant:
    """A variant of records without images, with equally many of each class, and class names as captions.

    Its arrays repeat one number, so billions of records take no memory.
    """
    names, zeros = tuple(f"class {label}" for label in range(classes)), np.broadcast_to(0, records)
    captions = lambda rows, epoch: [names[row % classes] for row in rows]  # noqa: E731
    return _SyntheticVariant(_Unprepared(names), zeros, zeros, names, zeros, captions)


def random_batch(objective: Objective, batch_size: int, classes: int) -> dict[str, np.ndarray]:
    """A batch of random values, with the arrays that the objective trains on."""
    rng, data = np.random.default_rng(0), objective.config.data
    side = data.canvas if data.resize == IN_STEP else data.image_size
    images = ((slot, rng.integers(0, 256, (side, side, 3), np.uint8)) for slot in range(batch_size))
    arrays = objective.transform(np.arange(batch_size), images, epoch=0)
    arrays.pop("reduced", None)  # only the loader uses it
    batch = {
        **arrays,
        "labels": rng.integers(0, max(classes, 1), batch_size, np.int32),
        "mask": np.ones(batch_size, bool),
    }
    text = objective.random_text(rng, batch_size)
    return batch if text is None else batch | {"text": text}
