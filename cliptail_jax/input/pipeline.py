"""From a variant to batches: a batch is a function of its step alone, whoever computes it.

Grain shuffles, and runs `LoadBatch` ahead of time in threads or worker processes. Since a step's batch depends on
nothing else, training resumes at any step at once, and order and contents are the same for any number of workers,
processes or devices.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator

import grain
import numpy as np
from jaxtyping import Int, UInt8
from ml_collections import ConfigDict
from tqdm import tqdm

from cliptail_jax.curation.variant import Variant
from cliptail_jax.errors import UserError
from cliptail_jax.input.images import (
    Purpose,
    UnreadableImageError,
    decode_image,
    eval_image,
    random_resized_crop,
    record_rng,
    record_uniforms,
    shift_and_flip,
)
from cliptail_jax.input.tokenizer import Tokenizer

EMPTY = -1  # the row of a slot that a batch leaves empty
THREADS = 2  # where there are no worker processes
Batch = dict[str, np.ndarray]


def num_steps_per_epoch(variant: Variant, config: ConfigDict) -> int:
    whole, rest = divmod(len(variant), config.batch_size)
    return whole + (1 if rest and not config.data.drop_last else 0)


def training_batches(
    variant: Variant, config: ConfigDict, tokenizer: Tokenizer | None, start: int, slots: slice
) -> Iterator[Batch]:
    """This process's `slots` of every global batch from step `start` on, to the end of training.

    Keys: images [slot, height, width, 3] uint8, labels [slot], mask [slot] (False: padding or unreadable), tokens
    [slot, context] with a tokenizer, and unreadable [any], the records that could not be decoded. Each epoch is shuffled
    anew; its last partial batch is filled up with masked slots.
    """
    rows = grain.MapDataset.range(len(variant)).shuffle(seed=config.seed)
    rows = rows.batch(config.batch_size, drop_remainder=config.data.drop_last, batch_fn=np.asarray)
    steps_per_epoch = num_steps_per_epoch(variant, config)
    load = LoadBatch(variant, config, tokenizer, slots, config.batch_size, steps_per_epoch, train=True)
    dataset = rows.repeat(config.total_epochs).map_with_index(load)
    return iterate(dataset[start:], config.data.workers)


def evaluation_batches(variant: Variant, config: ConfigDict, slots: slice) -> Callable[[], Iterator[Batch]]:
    """A function that starts a pass over the variant in order: batches as in training, without augmentation."""
    size = config.eval.batch_size
    rows = grain.MapDataset.range(len(variant)).batch(size, drop_remainder=False, batch_fn=np.asarray)
    load = LoadBatch(variant, config, None, slots, size, steps_per_epoch=len(rows), train=False)
    dataset = rows.map_with_index(load)
    return lambda: iterate(dataset, config.data.workers)


def iterate(dataset: grain.MapDataset, workers: int) -> Iterator[Batch]:
    options = grain.ReadOptions(num_threads=THREADS, prefetch_buffer_size=2 * THREADS)
    batches = dataset.to_iter_dataset(options)
    if workers:
        batches = batches.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2))
    return iter(batches)


@dataclasses.dataclass
class LoadBatch:
    """Loads the batch of a step, given the variant's rows in it."""

    variant: Variant
    config: ConfigDict
    tokenizer: Tokenizer | None
    slots: slice
    batch_size: int
    steps_per_epoch: int
    train: bool

    def __call__(self, step: int, rows: Int[np.ndarray, "row"]) -> Batch:
        epoch = step // self.steps_per_epoch
        rows = spread(rows, self.batch_size)[self.slots]
        filled = rows != EMPTY
        records = self.variant.records[rows]
        images, readable = self.images(records, filled, epoch)
        batch = {
            "images": images,
            "labels": np.where(filled, self.variant.labels[rows], 0).astype(np.int32),
            "mask": filled & readable,
            "unreadable": records[filled & ~readable],
        }
        if self.tokenizer:
            batch["tokens"] = self.tokenizer(self.variant.captions(rows, epoch))
        return batch

    def images(
        self, records: Int[np.ndarray, "slot"], filled: np.ndarray, epoch: int
    ) -> tuple[UInt8[np.ndarray, "slot size size 3"], np.ndarray]:
        """The images of the filled slots as the model sees them, before normalisation, and which could be decoded."""
        data = self.config.data
        size = data.image_size
        images = np.zeros((len(records), size, size, 3), np.uint8)
        readable = np.ones(len(records), bool)
        used = np.flatnonzero(filled)
        for slot, decoded in zip(used, self.decoded(records[used])):
            if decoded is None:
                readable[slot] = False
            elif not self.train:
                images[slot] = eval_image(decoded, size, data.eval_resize)
            elif decoded.shape[:2] == (size, size) and tuple(data.crop_scale) == (1.0, 1.0):
                images[slot] = decoded
            else:
                rng = record_rng(self.config.seed, epoch, int(records[slot]), Purpose.CROP)
                images[slot] = random_resized_crop(decoded, rng, data.crop_scale, size)
        if self.train and (data.shift or data.flip):
            uniforms = record_uniforms(self.config.seed, epoch, records, Purpose.SHIFT_AND_FLIP, 3)
            images = shift_and_flip(images, uniforms, data.shift, data.flip)
        return images, readable

    def decoded(self, records: Int[np.ndarray, "record"]) -> list[np.ndarray | None]:
        if self.config.data.cache:
            return [self.cache[record] for record in records]
        return decode(self.variant, records)

    @functools.cached_property
    def cache(self) -> dict[int, np.ndarray | None]:
        """Every record's decoded image, made at the first batch, in each worker its own."""
        cache = {}
        records = self.variant.records
        starts = range(0, len(records), 1024)
        for start in tqdm(starts, desc="decoding images", disable=None, leave=False):
            some = records[start : start + 1024]
            cache.update(zip(some.tolist(), decode(self.variant, some)))
        return cache

    def __getstate__(self):
        return {name: value for name, value in self.__dict__.items() if name != "cache"}


def decode(variant: Variant, records: Int[np.ndarray, "record"]) -> list[np.ndarray | None]:
    """Decoded images; None for one that cannot be read."""
    images = []
    for encoded in variant.source.encoded_images(records):
        try:
            images.append(decode_image(encoded))
        except UnreadableImageError:
            images.append(None)
    return images


def spread(rows: Int[np.ndarray, "row"], size: int) -> Int[np.ndarray, "slot"]:
    """The rows of a partial batch, evenly over `size` slots: every group of neighbours gets its share of them."""
    slots = np.full(size, EMPTY, np.int64)
    slots[np.arange(len(rows)) * size // max(len(rows), 1)] = rows
    return slots


class UnreadableImages:
    """Counts the records that could not be decoded, names each once, and stops the program when they are too many."""

    def __init__(self, variant: Variant, allowed: float):
        self._variant, self._allowed = variant, allowed
        self._seen: set[int] = set()

    def take_from(self, batch: Batch) -> None:
        """Takes the batch's `unreadable` records out of it, and into account."""
        source = self._variant.source
        for record in set(batch.pop("unreadable").tolist()) - self._seen:
            self._seen.add(record)
            share = len(self._seen) / len(self._variant)
            found = f"{len(self._seen)} of {len(self._variant)} images are unreadable, the last of them record {record}"
            where = f"of {source.name} ({source.split})"
            if share > self._allowed:
                raise UserError(f"{found} {where}: more than data.max_unreadable={self._allowed}")
            tqdm.write(f"warning: {found} {where}; it is left out")
