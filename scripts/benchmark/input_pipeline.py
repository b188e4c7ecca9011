"""Images per second and core of the input, compared with torchvision, which works image by image.

    python scripts/benchmark/input_pipeline.py --images=DIR                      # JPEGs to 224 pixels
    python scripts/benchmark/input_pipeline.py --images=DIR --enlarge=500x375    # the same, enlarged and encoded again
    python scripts/benchmark/input_pipeline.py --data=cifar100 --data_dir=DIR    # 32 pixels, cached: shifts and flips

Prints one JSON line with the rates for random crops (of 0.9 to 1 of the area) and for evaluation, and those of
torchvision if it is installed, measured in turns. Each is the median of `--rounds`, with its ratio to torchvision's.
Encoded images are in memory (the first 2,000 of a folder), so no disk is measured; a cached data set is decoded before.
torchvision does what one worker of torch's DataLoader does: a loop, and a uint8 array of the batch. multi_crop.py
measures DINO's crops.

Rates divide by the CPU time of all threads, which is repeatable on a busy machine.
"""

import argparse
import contextlib
import io
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from absl import flags
from common import cpu_seconds, print_report, read_images
from PIL import Image

from cliptail_jax.config.training import Data
from cliptail_jax.curation.variant import Variant, make_variant
from cliptail_jax.datasets.source import open_source
from cliptail_jax.input.pipeline import evaluation_batches, num_steps_per_epoch, training_batches
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.input.transforms import random_crop

MAX_FILES = 2000
ENDLESS = 10**9  # steps: a measurement ends after some seconds
WARM_UP = 6  # batches: more than are loaded ahead
Batches = Iterator[int]  # the sizes of batches that are loaded
Peers = dict[str, Callable[[bytes], np.ndarray]]  # what torchvision does to a JPEG; empty where it is not installed
Sides = dict[str, Callable[[], Batches]]  # functions that start to load batches, by name


class Folder:
    """A source of the images in a folder, one class for each folder that contains some."""

    split, wnids = "train", None

    def __init__(self, root: Path, enlarge: tuple[int, int] | None):
        files = read_images(root, MAX_FILES)
        self.name = str(root)
        self.class_names = tuple(sorted({file.parent.name for file in files}))
        labels = [self.class_names.index(file.parent.name) for file in files]
        self.metadata = pa.table({"label": pa.array(labels, pa.int64())})
        self._files = [enlarged(data, enlarge) if enlarge else data for data in files.values()]

    def __len__(self) -> int:
        return len(self._files)

    def encoded_images(self, records) -> list[bytes]:
        return [self._files[record] for record in records]


def enlarged(data: bytes, size: tuple[int, int]) -> bytes:
    """A JPEG of this width and height, of quality 90."""
    file = io.BytesIO()
    pillow_image(data).resize(size, Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def ours(variant: Variant, data: Data, batch_size: int) -> Sides:
    """Our training batches, with every way to resize."""

    def start(changes: dict) -> Batches:
        section = replace(data, **changes)
        options = dict(seed=0, batch_size=batch_size, total_steps=ENDLESS, workers=0, cache=data.cache)
        for batch in training_batches(variant, random_crop(section, 0), None, **options):
            yield len(batch["images"])

    if data.cache:
        return {"ours": lambda: start({})}
    ways = {
        "ours, 'fast'": {},
        "ours, 'fast', scaled_decoding": {"scaled_decoding": True},
        "ours, 'pillow'": {"resize": "pillow"},
        "ours, 'step'": {"resize": "step", "canvas": 384},
    }
    return {name: lambda change=change: start(change) for name, change in ways.items()}


def ours_evaluating(variant: Variant, data: Data, batch_size: int) -> Sides:
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


def loops(images: Sequence, transforms: dict[str, Callable], batch_size: int) -> Sides:
    """Functions that load batches image by image, in random order."""

    def start(transform: Callable) -> Batches:
        while True:
            order = np.random.permutation(len(images))
            for rows in np.split(order, range(batch_size, len(order), batch_size)):
                yield len(np.stack([transform(images[row]) for row in rows]))

    return {name: lambda transform=transform: start(transform) for name, transform in transforms.items()}


def random_crops(size: int, scale: tuple[float, float]) -> Peers:
    """A random box of 3/4 to 4/3 in aspect, resized to a square; bicubic and antialiased."""
    return _peers(lambda v, bicubic: [v.RandomResizedCrop(size, scale=scale, interpolation=bicubic)])


def centers(size: int, short_side: int) -> Peers:
    """The short side resized, and the centre cut out."""
    return _peers(lambda v, bicubic: [v.Resize(short_side, bicubic), v.CenterCrop(size)])


def shifts(size: int, shift: int) -> Callable[[Image.Image], np.ndarray]:
    """torchvision's random shifts and flips of a decoded image."""
    from torchvision import transforms

    steps = [transforms.RandomCrop(size, padding=shift, padding_mode="reflect"), transforms.RandomHorizontalFlip()]
    return transforms.Compose([*steps, np.asarray])


def pillow_image(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def _peers(steps: Callable) -> Peers:
    peers: Peers = {}
    with contextlib.suppress(ImportError):
        import torch
        from torchvision import io as torchvision_io
        from torchvision import transforms
        from torchvision.transforms import v2

        torch.set_num_threads(1)
        bicubic, rgb = transforms.InterpolationMode.BICUBIC, torchvision_io.ImageReadMode.RGB
        pillow_transform = transforms.Compose(steps(transforms, bicubic))
        tensor_transform = v2.Compose(steps(v2, bicubic))

        def by_torch(data: bytes) -> np.ndarray:
            return tensor_transform(torchvision_io.decode_jpeg(torch.frombuffer(data, dtype=torch.uint8), rgb)).numpy()

        peers |= {
            "torchvision": lambda data: np.asarray(pillow_transform(pillow_image(data))),
            "torchvision v2, tensors": lambda data: tensor_transform(
                v2.functional.pil_to_tensor(pillow_image(data))
            ).numpy(),
            "torchvision v2, its decode_jpeg": by_torch,
        }
    return peers


def measure(sides: Sides, warm_up: int, seconds: float, rounds: int) -> dict[str, dict]:
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
    cpu_before, began, images = cpu_seconds(), time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        images += next(batches)
    return images / (cpu_seconds() - cpu_before), images / (time.perf_counter() - began)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    setting = parser.add_mutually_exclusive_group(required=True)
    setting.add_argument("--images", type=Path, help="a folder of images, at any depth")
    setting.add_argument("--data", help="a prepared data set of 32-pixel images, such as cifar100 or glyphs")
    parser.add_argument("--data_dir", default="", help="where --data is prepared")
    parser.add_argument("--enlarge", default="", help="width x height to which the images of --images are enlarged")
    parser.add_argument("--seconds", type=float, default=4, help="how long each side runs in a round")
    parser.add_argument("--rounds", type=int, default=5, help="how often each side runs")
    options = parser.parse_args(arguments)

    data = Data()
    if options.images:
        size = tuple(int(side) for side in options.enlarge.split("x")) if options.enlarge else None
        variant, batch_size, warm_up = make_variant(Folder(options.images, size), data), 64, WARM_UP
        files = variant.source.encoded_images(variant.records)
        crops = random_crops(data.image_size, tuple(data.crop_scale))
        centre_crops = centers(data.image_size, data.eval_resize)
        parts = {
            "crops": ours(variant, data, batch_size) | loops(files, crops, batch_size),
            "evaluation": ours_evaluating(variant, data, batch_size) | loops(files, centre_crops, batch_size),
        }
    else:
        data = Data(image_size=32, crop_scale=(1.0, 1.0), shift=4, flip=True, cache=True)
        variant, batch_size = make_variant(open_source(options.data, options.data_dir, "train"), data), 128
        warm_up = num_steps_per_epoch(len(variant), batch_size, drop_last=False)  # fills the cache
        parts = {"crops": ours(variant, data, batch_size)}
        with contextlib.suppress(ImportError):
            peer = {"torchvision": shifts(data.image_size, data.shift)}
            images = [pillow_image(image) for image in variant.source.encoded_images(variant.records)]
            parts["crops"] |= loops(images, peer, batch_size)
    numbers = {name: measure(sides, warm_up, options.seconds, options.rounds) for name, sides in parts.items()}
    setting = {"data": options.data or "folder", "enlarged": options.enlarge}
    print_report("input_pipeline", **setting, images=len(variant), batch_size=batch_size, **numbers)


if __name__ == "__main__":
    flags.FLAGS(["input_pipeline"])  # Grain's workers inherit absl's flags, and refuse unparsed ones
    main()
