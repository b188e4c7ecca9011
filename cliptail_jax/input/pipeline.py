"""Makes batches from examples. A batch depends only on its step, not on the process that computes it.

Grain shuffles, unless a rule composes the batches by class, and runs `LoadBatch` ahead of time in threads or worker
processes. Training resumes at any step at once, and order and contents are the same for any number of workers,
processes or devices.
"""

import dataclasses
import itertools
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import grain
import jax
import numpy as np
from jax.experimental import multihost_utils
from jaxtyping import Bool, Int
from tqdm import tqdm

from cliptail_jax.formats.decoding import ImageSource, RgbImage, UnreadableImageError, decode_image
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.interrupts import RESOURCE_TRACKER_WARNINGS
from cliptail_jax.host.printing import one_line
from cliptail_jax.input.composition import Composer, Composition
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.input.transforms import CenterCrop, Transform
from cliptail_jax.input.views import Views

EMPTY = -1  # the row of a slot that a batch leaves empty
PASS = 2**40  # more than any number of records: each use of a record in an epoch has its own random numbers
THREADS = 2  # where there are no worker processes
Batch = dict[str, np.ndarray | Views]
# From captions to the input of a text tower: a tokenizer's ids, or a frozen tower's states.
ReadText = Callable[[Sequence[str]], np.ndarray]


class Examples(Protocol):
    """The rows for batches, each a record of a source with a label and a caption, such as a variant."""

    source: ImageSource
    records: Int[np.ndarray, " row"]
    labels: Int[np.ndarray, " row"]
    captions: Callable[..., Sequence[str]] | None  # those of rows, in an epoch

    def __len__(self) -> int:
        """The number of rows."""


def num_steps_per_epoch(records: int, batch_size: int, drop_last: bool) -> int:
    """The number of batches in an epoch of `records` records."""
    return records // batch_size if drop_last else -(-records // batch_size)


def training_batches(
    examples: Examples,
    transform: Transform,
    read_text: ReadText | None,
    *,
    seed: int,
    batch_size: int,
    total_steps: int,
    drop_last: bool = False,
    composition: Composition | None = None,
    start: int = 0,
    slots: slice = slice(None),
    workers: int = 0,
    cache: bool = False,
    records_in: Callable[[int], Int[np.ndarray, " row"]] | None = None,
) -> Iterator[Batch]:
    """Yields this process's `slots` of every global batch, from step `start` to the end of training.

    Keys: the image arrays of `transform`, labels [slot], mask [slot] (False: padding or unreadable), text [slot, ...]
    if captions are read, unreadable [any], the records that could not be decoded, and loading [3]: the seconds that a
    core was busy with the batch, the number of images that were reduced to their canvas, and their longest side. Each
    epoch is shuffled anew; its last partial batch is filled up with masked slots, or dropped. A `composition` chooses
    the images of each batch.

    Args:
        seed: the seed of the order of the data.
        batch_size: the size of the global batch.
        total_steps: the number of steps of the whole run.
        workers: processes that load data; 0 for threads of this one.
        cache: whether each process that loads data keeps decoded images in memory.
        records_in: the record of each row in an epoch; by default those of the examples.
    """
    # Grain adds the epoch to its seed: neighbouring seeds would share their orders, an epoch apart.
    order_seed = int(np.random.SeedSequence(seed).generate_state(1)[0])
    steps_per_epoch = num_steps_per_epoch(len(examples), batch_size, drop_last)
    if composition:
        compose = Composer(examples.labels, composition, order_seed, batch_size, steps_per_epoch)
        rows = grain.MapDataset.range(total_steps).map(compose)
    else:
        rows = grain.MapDataset.range(len(examples)).shuffle(seed=order_seed)
        rows = rows.batch(batch_size, drop_remainder=drop_last, batch_fn=np.asarray)
        rows = rows.repeat(-(-total_steps // steps_per_epoch))
    images = {} if cache else None
    load = LoadBatch(examples, transform, read_text, batch_size, steps_per_epoch, slots, images, records_in)
    return iterate(rows.map_with_index(load)[start:total_steps], workers)


def evaluation_batches(
    examples: Examples,
    preprocess: Preprocess,
    *,
    batch_size: int,
    slots: slice = slice(None),
    workers: int = 0,
    cache: bool = False,
    fast: bool = False,
    scaled_decoding: bool = False,
    keep_workers: bool = False,
) -> Callable[[], Iterator[Batch]]:
    """Returns a function that starts a pass over the examples in order: batches as in training, without augmentation.

    Args:
        fast: whether images are resized by the faster library of `cliptail_jax.formats.resizing`.
        scaled_decoding: whether large JPEGs are decoded at a fraction of their size.
        keep_workers: whether processes, which take seconds to start, stay for the next pass after a complete one.
    """
    rows = grain.MapDataset.range(len(examples)).batch(batch_size, drop_remainder=False, batch_fn=np.asarray)
    transform = CenterCrop(preprocess, fast, preprocess.least_side if scaled_decoding else 0)
    load = LoadBatch(examples, transform, None, batch_size, len(rows), slots, {} if cache else None)
    dataset = rows.map_with_index(load)
    idle: list[Iterator[Batch]] = []

    def start() -> Iterator[Batch]:
        batches = idle.pop() if idle else iterate(dataset.repeat(), workers)
        yield from itertools.islice(batches, len(dataset))
        idle.append(batches)

    return start if workers and keep_workers else lambda: iterate(dataset, workers)


def iterate(dataset: grain.MapDataset, workers: int) -> Iterator[Batch]:
    options = grain.ReadOptions(num_threads=THREADS, prefetch_buffer_size=2 * THREADS)
    batches = dataset.to_iter_dataset(options)
    if workers:
        sys.warnoptions.append(RESOURCE_TRACKER_WARNINGS)
        batches = batches.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2))
    return iter(batches)


@dataclasses.dataclass
class LoadBatch:
    """Loads the batch of a step, given its rows in the numbering of `Composer`."""

    examples: Examples
    transform: Transform
    read_text: ReadText | None
    batch_size: int
    steps_per_epoch: int
    slots: slice = dataclasses.field(default_factory=lambda: slice(None))
    cache: dict[int, RgbImage | None] | None = None  # prepared images by record, if they are kept
    records_in: Callable[[int], Int[np.ndarray, " row"]] | None = None  # those of an epoch, if they change

    def __call__(self, step: int, rows: Int[np.ndarray, " row"]) -> Batch:
        start, epoch = time.thread_time(), step // self.steps_per_epoch
        rows = spread(rows, self.batch_size)[self.slots]
        is_filled = rows != EMPTY
        passes = np.where(is_filled, rows // len(self.examples), 0)
        rows = np.where(is_filled, rows % len(self.examples), EMPTY)
        records = (self.records_in(epoch) if self.records_in else self.examples.records)[rows]
        is_readable = is_filled.copy()
        arrays = self.transform(records + PASS * passes, self.readable_images(records, is_readable), epoch)
        reduced_sides = arrays.pop("reduced", np.zeros(1))
        batch = {
            **arrays,
            "labels": np.where(is_filled, self.examples.labels[rows], 0).astype(np.int32),
            "mask": is_readable,
            "unreadable": records[is_filled & ~is_readable],
        }
        if self.read_text:
            captions = self.examples.captions(np.maximum(rows, 0), epoch)  # an empty slot may have any caption
            batch["text"] = self.read_text(captions)
        batch["loading"] = np.array([time.thread_time() - start, np.count_nonzero(reduced_sides), reduced_sides.max()])
        return batch

    def readable_images(
        self, records: Int[np.ndarray, " slot"], is_readable: Bool[np.ndarray, " slot"]
    ) -> Iterator[tuple[np.integer, RgbImage]]:
        """Yields the prepared images of readable slots, one at a time. Those that cannot be decoded become unreadable."""
        slots = np.flatnonzero(is_readable)
        for slot, image in zip(slots, self.decoded(records[slots])):
            if image is None:
                is_readable[slot] = False
            else:
                yield slot, image

    def decoded(self, records: Int[np.ndarray, " record"]) -> Iterable[RgbImage | None]:
        """The prepared images of records; None for an unreadable one. With a cache, each is decoded once."""
        if self.cache is None:
            return decode(self.examples, records, self.transform)
        new_records = [record for record in records.tolist() if record not in self.cache]
        self.cache.update(zip(new_records, decode(self.examples, new_records, self.transform)))
        return [self.cache[record] for record in records.tolist()]


def decode(examples: Examples, records: Iterable[int | np.integer], transform: Transform) -> Iterator[RgbImage | None]:
    """Yields prepared images, None for an unreadable one; one at a time, because a batch of photographs is large."""
    for content in examples.source.encoded_images(records):
        try:
            yield transform.prepare(decode_image(content, transform.least_side))
        except UnreadableImageError:
            yield None


def spread(rows: Int[np.ndarray, " row"], size: int) -> Int[np.ndarray, " slot"]:
    """Spreads the rows of a partial batch evenly over `size` slots, so every group of neighbours gets its share."""
    slots = np.full(size, EMPTY, np.int64)
    slots[np.arange(len(rows)) * size // max(len(rows), 1)] = rows
    return slots


class UnreadableImages:
    """Collects unreadable records, warns once about each, and stops the program if there are too many."""

    def __init__(self, examples: Examples, max_share: float):
        self._examples, self._max_share = examples, max_share
        self._records: set[int] = set()

    def take_from(self, batch: Batch) -> None:
        """Removes the batch's `unreadable` records from it and collects them."""
        for record in sorted(set(batch.pop("unreadable").tolist()) - self._records):
            self._records.add(record)
            file = self._examples.source.file_of(record)
            note = f"the image of record {record} of {self._set()} is unreadable; it is left out (file {file})"
            tqdm.write(one_line(f"warning: {note}"), file=sys.stderr)

    def check(self) -> None:
        """Raises UserError if all processes together have seen too many. Every process calls this at the same step."""
        records = self._records
        if jax.process_count() > 1:
            counts = multihost_utils.process_allgather(np.array(len(records)))
            padded_records = np.full(max(counts.max(), 1), EMPTY)
            padded_records[: len(records)] = sorted(records)
            records = set(multihost_utils.process_allgather(padded_records).ravel().tolist()) - {EMPTY}
        if len(records) > self._max_share * len(self._examples):
            first_records = ", ".join(map(str, sorted(records)[:5])) + (", ..." if len(records) > 5 else "")
            file = self._examples.source.file_of(min(records))
            raise UserError(
                f"{len(records)} of {len(self._examples)} images of {self._set()} are unreadable (records {first_records}): "
                f"more than data.max_unreadable={self._max_share}; the first is in {file}"
            )

    def _set(self) -> str:
        return f"{self._examples.source.name} ({self._examples.source.split})"
