"""From a variant to batches: a batch is a function of its step alone, whoever computes it.

Grain shuffles, and runs `LoadBatch` ahead of time in threads or worker processes. Since a step's batch depends on
nothing else, training resumes at any step at once, and order and contents are the same for any number of workers,
processes or devices.
"""

import dataclasses
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import grain
import jax
import numpy as np
from jax.experimental import multihost_utils
from jaxtyping import Bool, Int, UInt8
from ml_collections import ConfigDict
from tqdm import tqdm

from cliptail_jax.config.training import num_steps
from cliptail_jax.errors import UserError
from cliptail_jax.input.images import (
    Purpose,
    RgbImage,
    UnreadableImageError,
    decode_image,
    eval_image,
    random_resized_crop,
    record_rng,
    record_uniforms,
    resize,
    shift_and_flip,
)
from cliptail_jax.input.pillow_views import pillow_views
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.input.views import NUM_GLOBAL, MultiCrop, draw_views

EMPTY = -1  # the row of a slot that a batch leaves empty
THREADS = 2  # where there are no worker processes
Batch = dict[str, np.ndarray]
# What a text tower takes of captions: a tokenizer's ids, or a frozen tower's states.
ReadText = Callable[[Sequence[str]], np.ndarray]


class ImageSource(Protocol):
    """Where encoded images come from, as `cliptail_jax.datasets.source.Source` has them."""

    name: str
    split: str

    def encoded_images(self, records: Iterable[int]) -> Iterable[bytes]:
        """The bytes of each record's image."""


class Examples(Protocol):
    """What batches are made of: rows that name a record of a source, its label and its caption (a variant)."""

    source: ImageSource
    records: Int[np.ndarray, "row"]
    labels: Int[np.ndarray, "row"]
    captions: Callable[..., Sequence[str]] | None  # of rows, in an epoch

    def __len__(self) -> int:
        """The number of rows."""


def num_steps_per_epoch(records: int, config: ConfigDict) -> int:
    whole, rest = divmod(records, config.batch_size)
    return whole + (1 if rest and not config.data.drop_last else 0)


def training_batches(
    variant: Examples, config: ConfigDict, read: ReadText | None, start: int, slots: slice
) -> Iterator[Batch]:
    """This process's `slots` of every global batch from step `start` on, to the end of training.

    Keys: images [slot, height, width, 3] uint8, labels [slot], mask [slot] (False: padding or unreadable), text [slot, ...]
    where captions are read, and unreadable [any], the records that could not be decoded. For DINO, images are whole, at
    the size of `multi_crop.canvas`, and `views` says how the step augments them; without `on_device` there are
    global_crops and local_crops [slot, view, height, width, 3] uint8 in their place. Each epoch is shuffled anew; its last
    partial batch is filled up with masked slots.
    """
    # Grain adds the epoch to its seed: neighbouring seeds would share their orders, an epoch apart.
    seed = int(np.random.SeedSequence(config.seed).generate_state(1)[0])
    rows = grain.MapDataset.range(len(variant)).shuffle(seed=seed)
    rows = rows.batch(config.batch_size, drop_remainder=config.data.drop_last, batch_fn=np.asarray)
    steps_per_epoch = num_steps_per_epoch(len(variant), config)
    load = LoadBatch(variant, config, read, slots, config.batch_size, steps_per_epoch, train=True)
    total_steps = num_steps(config, steps_per_epoch)
    dataset = rows.repeat(-(-total_steps // steps_per_epoch)).map_with_index(load)
    return iterate(dataset[start:total_steps], config.data.workers)


def evaluation_batches(
    variant: Examples, config: ConfigDict, slots: slice, frame: Preprocess | None = None
) -> Callable[[], Iterator[Batch]]:
    """A function that starts a pass over the variant in order: batches as in training, without augmentation.

    Images are the centre of `data.image_size` pixels after a resize to `data.eval_resize`, or what `frame` makes of them.
    """
    size = config.eval.batch_size
    rows = grain.MapDataset.range(len(variant)).batch(size, drop_remainder=False, batch_fn=np.asarray)
    load = LoadBatch(variant, config, None, slots, size, steps_per_epoch=len(rows), train=False, frame=frame)
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

    variant: Examples
    config: ConfigDict
    read: ReadText | None
    slots: slice
    batch_size: int
    steps_per_epoch: int
    train: bool
    frame: Preprocess | None = None
    cache: dict[int, RgbImage | None] = dataclasses.field(default_factory=dict)  # decoded images by record

    def __call__(self, step: int, rows: Int[np.ndarray, "row"]) -> Batch:
        epoch = step // self.steps_per_epoch
        rows = spread(rows, self.batch_size)[self.slots]
        filled = rows != EMPTY
        records = self.variant.records[rows]
        make_images = self.views if self.train and self.config.objective == "dino" else self.images
        images, readable = make_images(records, filled, epoch)
        batch = {
            **images,
            "labels": np.where(filled, self.variant.labels[rows], 0).astype(np.int32),
            "mask": filled & readable,
            "unreadable": records[filled & ~readable],
        }
        if self.read:
            captions = self.variant.captions(np.maximum(rows, 0), epoch)  # any caption will do for an empty slot
            batch["text"] = self.read(captions)
        return batch

    def images(
        self, records: Int[np.ndarray, "slot"], filled: np.ndarray, epoch: int
    ) -> tuple[Batch, Bool[np.ndarray, "slot"]]:
        """The images of the filled slots as the model sees them, before normalisation, and which could be decoded."""
        data = self.config.data
        size = self.frame.size if self.frame else data.image_size
        images = np.zeros((len(records), size, size, 3), np.uint8)
        readable = np.ones(len(records), bool)
        used = np.flatnonzero(filled)
        for slot, decoded in zip(used, self.decoded(records[used])):
            if decoded is None:
                readable[slot] = False
            else:
                images[slot] = self.framed(decoded, int(records[slot]), epoch)
        if self.train and (data.shift or data.flip):
            uniforms = record_uniforms(self.config.seed, epoch, records, Purpose.SHIFT_AND_FLIP, 3)
            images = shift_and_flip(images, uniforms, data.shift, data.flip)
        return {"images": images}, readable

    def views(
        self, records: Int[np.ndarray, "slot"], filled: np.ndarray, epoch: int
    ) -> tuple[Batch, Bool[np.ndarray, "slot"]]:
        """The views of the filled slots, or what the step makes them from, and which images could be decoded."""
        data, crops, seed = self.config.data, multi_crop(self.config.data), self.config.seed
        slots, canvas = len(records), data.multi_crop.canvas
        if data.multi_crop.on_device:
            shapes = {"images": (canvas, canvas)}
        else:
            local = (crops.num_local, crops.local_size, crops.local_size)
            shapes = {"global_crops": (NUM_GLOBAL, crops.global_size, crops.global_size), "local_crops": local}
        arrays = {name: np.zeros((slots, *shape, 3), np.uint8) for name, shape in shapes.items()}
        readable, sizes = np.ones(slots, bool), np.full((slots, 2), canvas)
        used = np.flatnonzero(filled)
        for slot, decoded in zip(used, self.decoded(records[used])):
            if decoded is None:
                readable[slot] = False
                continue
            sizes[slot] = decoded.shape[:2]
            if data.multi_crop.on_device:
                arrays["images"][slot] = resize(decoded, canvas, canvas)
            else:
                drawn = draw_views(seed, epoch, records[[slot]], sizes[[slot]], crops)
                for array, made in zip(arrays.values(), pillow_views(decoded, drawn.record(0), crops)):
                    array[slot] = made
        if data.multi_crop.on_device:
            arrays["views"] = draw_views(seed, epoch, records, sizes, crops)
        return arrays, readable

    def framed(self, image: RgbImage, record: int, epoch: int) -> UInt8[np.ndarray, "size size 3"]:
        """The part of an image that the model sees, at the model's size: drawn in training, else its centre."""
        data = self.config.data
        if self.frame:
            return self.frame.square(image)
        if not self.train:
            return eval_image(image, data.image_size, data.eval_resize)
        if image.shape[:2] == (data.image_size, data.image_size) and tuple(data.crop_scale) == (1.0, 1.0):
            return image
        rng = record_rng(self.config.seed, epoch, record, Purpose.CROP)
        return random_resized_crop(image, rng, data.crop_scale, data.image_size)

    def decoded(self, records: Int[np.ndarray, "record"]) -> Iterable[RgbImage | None]:
        """Decoded images, None for one that cannot be read. With a cache each is decoded once, in each worker anew."""
        if not self.config.data.cache:
            return decode(self.variant, records)
        new = [record for record in records.tolist() if record not in self.cache]
        self.cache.update(zip(new, decode(self.variant, new)))
        return [self.cache[record] for record in records.tolist()]


def multi_crop(data: ConfigDict) -> MultiCrop:
    """The crops that `config.data` asks for."""
    chosen = data.multi_crop
    return MultiCrop(
        global_size=data.image_size,
        global_scale=tuple(data.crop_scale),
        num_local=chosen.num_local,
        local_size=chosen.local_size,
        local_scale=tuple(chosen.local_scale),
        flip=data.flip,
        max_blur=chosen.max_blur,
    )


def decode(variant: Examples, records: Iterable[int]) -> Iterator[RgbImage | None]:
    """Decoded images, None for one that cannot be read; one at a time, for a batch of photographs is large."""
    for encoded in variant.source.encoded_images(records):
        try:
            yield decode_image(encoded)
        except UnreadableImageError:
            yield None


def spread(rows: Int[np.ndarray, "row"], size: int) -> Int[np.ndarray, "slot"]:
    """The rows of a partial batch, evenly over `size` slots: every group of neighbours gets its share of them."""
    slots = np.full(size, EMPTY, np.int64)
    slots[np.arange(len(rows)) * size // max(len(rows), 1)] = rows
    return slots


class UnreadableImages:
    """Collects the records that could not be decoded, names each once, and stops the program when they are too many."""

    def __init__(self, variant: Examples, allowed: float):
        self._variant, self._allowed = variant, allowed
        self._seen: set[int] = set()

    def take_from(self, batch: Batch) -> None:
        """Takes the batch's `unreadable` records out of it, and into account."""
        for record in sorted(set(batch.pop("unreadable").tolist()) - self._seen):
            self._seen.add(record)
            tqdm.write(
                f"warning: the image of record {record} of {self._set()} is unreadable; it is left out", file=sys.stderr
            )

    def check(self) -> None:
        """Raise UserError where all processes together have seen too many. Every process calls this at the same step."""
        seen = self._seen
        if jax.process_count() > 1:
            counts = multihost_utils.process_allgather(np.array(len(seen)))
            padded = np.full(max(counts.max(), 1), EMPTY)
            padded[: len(seen)] = sorted(seen)
            seen = set(multihost_utils.process_allgather(padded).ravel().tolist()) - {EMPTY}
        if len(seen) > self._allowed * len(self._variant):
            some = ", ".join(map(str, sorted(seen)[:5])) + (", ..." if len(seen) > 5 else "")
            raise UserError(
                f"{len(seen)} of {len(self._variant)} images of {self._set()} are unreadable (records {some}): "
                f"more than data.max_unreadable={self._allowed}"
            )

    def _set(self) -> str:
        return f"{self._variant.source.name} ({self._variant.source.split})"
