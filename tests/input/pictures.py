"""A source of pictures in memory, and batches of it."""

import dataclasses

import jax
import numpy as np
import pyarrow as pa
from PIL import Image

from cliptail_jax.config.training import CaptionOptions, Data
from cliptail_jax.curation.variant import make_variant
from cliptail_jax.datasets.source import Source
from cliptail_jax.input.pipeline import num_steps_per_epoch, training_batches
from cliptail_jax.input.transforms import random_crop
from tests.formats.plain_resizing import encoded

BATCH, EPOCHS = 8, 3


class Pictures(Source):
    """A source in memory."""

    name, split, class_names, wnids, folder = "pictures", "train", ("ant", "bee", "cat"), None, None
    __setattr__ = object.__setattr__  # a source is frozen

    def __init__(self, contents):
        self._encoded = contents
        self.metadata = pa.table(
            {"label": np.arange(len(contents)) % 3, "title": [f"number {r}" for r in range(len(contents))]}
        )
        self.requested = []

    def __len__(self):
        return len(self._encoded)

    def encoded_images(self, records):
        self.requested += [int(record) for record in records]
        return [self._encoded[record] for record in records]

    def file_of(self, record):
        return f"pictures-{record // 20}"


def plain(number):
    """`number` pictures of one colour each."""
    return Pictures([encoded(Image.new("RGB", (8, 8), (record, 255 - record, 7)), "PNG") for record in range(number)])


def noisy(number, height=8, width=8):
    pixels = np.random.default_rng(0).integers(0, 256, (number, height, width, 3))
    return Pictures([encoded(Image.fromarray(image), "PNG") for image in pixels.astype(np.uint8)])


def make_data(**changes):
    """For images of 8 pixels."""
    return dataclasses.replace(Data(image_size=8, eval_resize=8, crop_scale=(1.0, 1.0)), **changes)


def batches_of(source, data, read_text=None, *, seed=0, transform=None, batch_size=BATCH, epochs=EPOCHS, **options):
    variant = make_variant(source, data)
    batches = training_batches(
        variant,
        transform or random_crop(data, seed),
        read_text,
        seed=seed,
        batch_size=batch_size,
        total_steps=epochs * num_steps_per_epoch(len(variant), batch_size, data.drop_last),
        drop_last=data.drop_last,
        workers=data.workers,
        cache=data.cache,
        **options,
    )
    return [without_times(batch) for batch in batches]


def without_times(batch):
    """All but how long a batch took to load, which differs."""
    return {name: value for name, value in batch.items() if name != "loading"}


def assert_same(batches, other_batches):
    for a, b in zip(batches, other_batches, strict=True):
        jax.tree.map(np.testing.assert_array_equal, a, b)


def joined(parts):
    """The batches whose slots several processes have loaded."""
    return [jax.tree.map(lambda *slots: np.concatenate(slots), *step) for step in zip(*parts, strict=True)]


def assert_same_resumed_and_in_several_processes(load):
    """`load` gives the nine batches of eight slots of a run, from step `start` or the `slots` of a process."""
    all_batches = load()
    assert len(all_batches) == 9
    for start in (0, 1, 3, 8, 9):  # within epochs, at the border of two, and at the end
        assert_same(load(start=start), all_batches[start:])
    assert_same(joined([load(slots=slice(first, first + 2)) for first in (0, 2, 4, 6)]), all_batches)


RESAMPLED = CaptionOptions(template="simple", words=("title",), resample=True)


def varied_data(**changes):
    """Everything that could depend on the step: partial batches, augmentation, captions that are drawn anew."""
    return make_data(shift=2, flip=True, crop_scale=(0.5, 0.9), captions=RESAMPLED, **changes)
