"""Images per second and core of the input, beside other libraries that do the same work image by image.

    python scripts/benchmark/input_pipeline.py --images=DIR                      # JPEGs to 224 pixels
    python scripts/benchmark/input_pipeline.py --images=DIR --enlarge=500x375    # the same, enlarged and encoded again
    python scripts/benchmark/input_pipeline.py --data=cifar100 --data_dir=DIR    # 32 pixels, cached: shifts and flips

Prints a JSON line: for random crops (of 0.9 to 1 of the area) and for evaluation, the rates of all that are installed, in
turns, each the median of `--rounds`, and their ratios to torchvision's. Encoded images are in memory (of a folder the
first 2,000), so no disk is measured; a cached data set is decoded before. The others are what one worker of torch's
DataLoader does: a loop, and a uint8 array of the batch. DINO's crops are in multi_crop.py.

Rates divide by the CPU time of all threads and workers instead of wall-clock time, which makes them repeatable on a busy
machine. With `--workers=2`, `images_per_second` of wall-clock time are there, too, with one worker and with two.
"""

import argparse
import io
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import input_peers
import numpy as np
import pyarrow as pa
from absl import flags
from machine import machine
from PIL import Image

from cliptail_jax.curation.variant import Variant, make_variant
from cliptail_jax.datasets.source import open_source
from cliptail_jax.input.pipeline import evaluation_batches, num_steps_per_epoch, training_batches
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.input.transforms import random_crop
from cliptail_jax.objectives import base_config

MOST_FILES = 2000
MANY = 10**9  # steps: a measurement ends after some seconds
WARM_UP = 6  # batches: more than are loaded ahead
Batches = Iterator[int]  # the sizes of batches that are loaded


class Folder:
    """A source of the images in a folder, one class for each folder that holds some."""

    split, wnids = "train", None

    def __init__(self, root: Path, enlarge: tuple[int, int] | None):
        files = sorted(path for path in root.rglob("*") if path.suffix.lower() in (".jpeg", ".jpg", ".png"))
        files = files[:MOST_FILES]
        self.name = str(root)
        self.class_names = tuple(sorted({file.parent.name for file in files}))
        labels = [self.class_names.index(file.parent.name) for file in files]
        self.metadata = pa.table({"label": pa.array(labels, pa.int64())})
        self._encoded = [enlarged(file.read_bytes(), enlarge) for file in files]

    def __len__(self) -> int:
        return len(self._encoded)

    def encoded_images(self, records) -> list[bytes]:
        return [self._encoded[record] for record in records]


def enlarged(data: bytes, size: tuple[int, int] | None) -> bytes:
    """A JPEG of this width and height, of quality 90."""
    if size is None:
        return data
    file = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("RGB").resize(size, Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def ours(variant: Variant, data, batch_size: int, workers: int) -> dict[str, Callable[[], Batches]]:
    """Functions that start to load training batches, by name."""

    def start(changes: dict) -> Batches:
        changed = data.copy_and_resolve_references()
        changed.update(changes)
        options = dict(seed=0, batch_size=batch_size, total_steps=MANY, workers=workers, cache=data.cache)
        for batch in training_batches(variant, random_crop(changed, 0), None, **options):
            yield len(batch["images"])

    if data.cache:
        return {"ours": lambda: start({})}
    ways = {
        "ours, 'fast'": {},
        "ours, 'pillow'": {"resize": "pillow"},
        "ours, 'step'": {"resize": "step", "canvas": 384},
    }
    scaled = {f"{name}, scaled_decoding": change | {"scaled_decoding": True} for name, change in ways.items()}
    return {name: lambda change=change: start(change) for name, change in (ways | scaled).items()}


def ours_evaluating(variant: Variant, data, batch_size: int) -> dict[str, Callable[[], Batches]]:
    def start(**options) -> Batches:
        while True:
            preprocess = Preprocess(data.image_size, short_side=data.eval_resize)
            for batch in evaluation_batches(variant, preprocess, batch_size=batch_size, **options)():
                yield len(batch["images"])

    return {
        "ours, 'fast'": lambda: start(fast=True),
        "ours, 'pillow'": start,
        "ours, 'fast', scaled_decoding": lambda: start(fast=True, scaled_decoding=True),
    }


def loop(variant: Variant, transform: Callable[[bytes], np.ndarray], batch_size: int) -> Batches:
    """Loads batches image by image, in random order."""
    encoded = variant.source.encoded_images(variant.records)
    while True:
        order = np.random.permutation(len(variant))
        for rows in np.split(order, range(batch_size, len(order), batch_size)):
            yield len(np.stack([transform(encoded[row]) for row in rows]))


def cached_loop(variant: Variant, data, batch_size: int) -> dict[str, Callable[[], Batches]]:
    """torchvision's shifts and flips of images that are decoded before; {} where it is not installed."""
    try:
        from torchvision import transforms
    except ImportError:
        return {}
    steps = [transforms.RandomCrop(data.image_size, padding=data.shift, padding_mode="reflect")]
    augment = transforms.Compose([*steps, transforms.RandomHorizontalFlip(), np.asarray])
    encoded = variant.source.encoded_images(variant.records)
    decoded = [Image.open(io.BytesIO(image)).convert("RGB") for image in encoded]

    def start() -> Batches:
        while True:
            order = np.random.permutation(len(variant))
            for rows in np.split(order, range(batch_size, len(order), batch_size)):
                yield len(np.stack([augment(decoded[row]) for row in rows]))

    return {"torchvision": start}


def measure(sides: dict[str, Callable[[], Batches]], warm_up: int, seconds: float, rounds: int) -> dict[str, dict]:
    """The rates of all sides, in turns: medians of several rounds of some seconds, and their ratio to torchvision's."""
    rates = {name: [] for name in sides}
    for _ in range(rounds):
        for name, start in sides.items():
            batches = start()
            for _ in range(warm_up):
                next(batches)
            rates[name].append(rate(batches, seconds))
            batches.close()
    medians = {name: [statistics.median(column) for column in zip(*values)] for name, values in rates.items()}
    peer = medians.get("torchvision", [None])[0]
    return {
        name: {"per_core": round(per_core), "images_per_second": round(clock)}
        | ({"ratio": round(per_core / peer, 2)} if peer else {})
        for name, (per_core, clock) in medians.items()
    }


def rate(batches: Batches, seconds: float) -> tuple[float, float]:
    """Images per second of CPU time, and of wall-clock time."""
    cpu, began, images = cpu_seconds(), time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        images += next(batches)
    return images / (cpu_seconds() - cpu), images / (time.perf_counter() - began)


def cpu_seconds() -> float:
    """CPU time that this process, all its threads and its living children have used."""
    ticks = 0
    for child in multiprocessing.active_children():
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])  # utime and stime
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--images", type=Path, help="a folder of images, at any depth")
    what.add_argument("--data", help="a prepared data set of 32-pixel images, such as cifar100 or glyphs")
    parser.add_argument("--data_dir", default="", help="where --data is prepared")
    parser.add_argument("--enlarge", default="", help="width x height to which the images of --images are enlarged")
    parser.add_argument("--workers", type=int, default=0, help="measure worker processes, from one to this number")
    parser.add_argument("--seconds", type=float, default=4, help="how long each side runs in a round")
    parser.add_argument("--rounds", type=int, default=5, help="how often each side runs")
    args = parser.parse_args()
    flags.FLAGS(["input_pipeline"])  # Grain's workers inherit absl's flags, and refuse unparsed ones

    data = base_config().data
    report = {"benchmark": "input_pipeline", "data": args.data or "folder"}
    if args.images:
        enlarge = tuple(int(side) for side in args.enlarge.split("x")) if args.enlarge else None
        variant, batch_size = make_variant(Folder(args.images, enlarge), data), 64
        crops = ours(variant, data, batch_size, 0) | {
            name: lambda peer=peer: loop(variant, peer, batch_size)
            for name, peer in input_peers.random_crops(data.image_size, tuple(data.crop_scale)).items()
        }
        evaluation = ours_evaluating(variant, data, batch_size) | {
            name: lambda peer=peer: loop(variant, peer, batch_size)
            for name, peer in input_peers.centers(data.image_size, data.eval_resize).items()
        }
        warm_up = WARM_UP
    else:
        data.update(dict(image_size=32, crop_scale=(1.0, 1.0), shift=4, flip=True, cache=True))
        variant, batch_size = make_variant(open_source(args.data, args.data_dir, "train"), data), 128
        crops = ours(variant, data, batch_size, 0) | cached_loop(variant, data, batch_size)
        evaluation = {}
        warm_up = num_steps_per_epoch(len(variant), batch_size, drop_last=False)  # fills the cache
    report |= {"images": len(variant), "enlarged": args.enlarge, "batch_size": batch_size}
    if args.workers:
        sides = {
            f"{workers} workers": next(iter(ours(variant, data, batch_size, workers).values()))
            for workers in range(1, args.workers + 1)
        }
        report["workers"] = measure(sides, warm_up * args.workers, args.seconds, args.rounds)
    else:
        report["crops"] = measure(crops, warm_up, args.seconds, args.rounds)
        if evaluation:
            report["evaluation"] = measure(evaluation, warm_up, args.seconds, args.rounds)
    print(json.dumps(report | {"machine": machine()}))


if __name__ == "__main__":
    main()
