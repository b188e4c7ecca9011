"""Made-up data for training steps that are planned or timed: no data set is needed."""

import types

import numpy as np

from cliptail_jax.config.training import IN_STEP
from cliptail_jax.curation.variant import Variant
from cliptail_jax.training.objective import Objective


def synthetic_variant(records: int, classes: int) -> Variant:
    """A variant of records without images, equally many of each class, whose captions are the names of their classes."""
    names = tuple(f"class {label}" for label in range(classes))
    labels = np.arange(records) % classes
    source = types.SimpleNamespace(name="synthetic", split="train", class_names=names)
    captions = lambda rows, epoch: [names[label] for label in labels[rows]]  # noqa: E731
    return Variant(source, np.arange(records), labels, names, labels, captions)


def random_batch(objective: Objective, batch_size: int, classes: int) -> dict[str, np.ndarray]:
    """A batch of noise, with the arrays that the objective trains on."""
    rng, data = np.random.default_rng(0), objective.config.data
    side = data.canvas if data.resize == IN_STEP else data.image_size
    images = ((slot, rng.integers(0, 256, (side, side, 3), np.uint8)) for slot in range(batch_size))
    arrays = objective.transform(np.arange(batch_size), images, epoch=0)
    arrays.pop("reduced", None)  # is for the loader
    batch = {**arrays, "labels": rng.integers(0, classes, batch_size, np.int32), "mask": np.ones(batch_size, bool)}
    text = objective.random_text(rng, batch_size)
    return batch if text is None else batch | {"text": text}
