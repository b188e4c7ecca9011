"""Images per second and core of the training input, beside a plain loop that does the same work image by image.

    python scripts/benchmark/input_pipeline.py --images=DIR                      # JPEGs: crops of 0.9 to 1 at 224
    python scripts/benchmark/input_pipeline.py --data=cifar100 --data_dir=DIR    # 32 px, cached: shifts of 4 and flips

Prints one JSON line. Encoded images are in memory (of a folder the first 2,000), so no disk is measured; a cached data set
is decoded before the measurement on both sides. The plain loop is what one worker of torch's DataLoader does: with
torchvision's transforms where torchvision is installed, else with Pillow alone. Both produce uint8 batches.

`per_core` divides by the CPU time of all threads and workers instead of wall-clock time, which makes it repeatable on a
busy machine. `ratio` compares `per_core`.
"""

import argparse
import io
import json
import math
import multiprocessing
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from absl import flags
from machine import machine
from ml_collections import ConfigDict
from PIL import Image

from cliptail_jax.curation.variant import Variant, make_variant
from cliptail_jax.datasets.source import open_source
from cliptail_jax.input.pipeline import num_steps_per_epoch, training_batches
from cliptail_jax.input.transforms import random_crop
from cliptail_jax.objectives import base_config

MOST_FILES = 2000
MANY = 10**9  # steps: the measurement ends after some seconds


class Folder:
    """A source of the images in a folder, one class for each folder that holds some."""

    split = "train"

    def __init__(self, root: Path):
        files = sorted(path for path in root.rglob("*") if path.suffix.lower() in (".jpeg", ".jpg", ".png"))
        files = files[:MOST_FILES]
        self.name = str(root)
        self.class_names = tuple(sorted({file.parent.name for file in files}))
        labels = [self.class_names.index(file.parent.name) for file in files]
        self.metadata = pa.table({"label": pa.array(labels, pa.int64())})
        self._encoded = [file.read_bytes() for file in files]

    def __len__(self) -> int:
        return len(self._encoded)

    def encoded_images(self, records) -> list[bytes]:
        return [self._encoded[record] for record in records]


def settings(photographs: bool) -> tuple[ConfigDict, int]:
    """The section `data` of a config, and the batch size."""
    data = base_config().data
    if photographs:
        data.update(dict(image_size=224, crop_scale=(0.9, 1.0)))
        return data, 256
    data.update(dict(image_size=32, crop_scale=(1.0, 1.0), shift=4, flip=True, cache=True))
    return data, 128


def plain_batches(variant: Variant, transform: Callable, batch_size: int, cache: bool) -> Iterator[int]:
    """Loads batches image by image, in random order; yields their sizes."""
    encoded = variant.source.encoded_images(variant.records)
    decoded = [decode(image) for image in encoded] if cache else None
    while True:
        order = np.random.permutation(len(variant))
        for rows in np.split(order, range(batch_size, len(order), batch_size)):
            images = [transform(decoded[row] if decoded else decode(encoded[row])) for row in rows]
            yield len(np.stack(images))


def decode(encoded: bytes) -> Image.Image:
    return Image.open(io.BytesIO(encoded)).convert("RGB")


def plain_transform(data: ConfigDict) -> tuple[str, Callable[[Image.Image], np.ndarray]]:
    """The library that augments, and its function for one image."""
    try:
        from torchvision import transforms
    except ImportError:
        return "pillow", lambda image: pillow_transform(image, data)
    size = data.image_size
    if data.shift:
        steps = [transforms.RandomCrop(size, padding=data.shift, padding_mode="reflect")]
    else:
        bicubic = transforms.InterpolationMode.BICUBIC
        steps = [transforms.RandomResizedCrop(size, scale=data.crop_scale, interpolation=bicubic)]
    if data.flip:
        steps.append(transforms.RandomHorizontalFlip())
    return "torchvision", transforms.Compose([*steps, np.asarray])


def pillow_transform(image: Image.Image, data: ConfigDict) -> np.ndarray:
    if data.shift:
        padded = np.pad(np.asarray(image), [(data.shift, data.shift), (data.shift, data.shift), (0, 0)], "reflect")
        top, left = (random.randint(0, 2 * data.shift) for _ in range(2))
        pixels = padded[top : top + image.height, left : left + image.width]
    else:
        area = image.width * image.height * random.uniform(*data.crop_scale)
        aspect = math.exp(random.uniform(-1, 1) * math.log(4 / 3))
        width, height = min(image.width, math.sqrt(area * aspect)), min(image.height, math.sqrt(area / aspect))
        left, top = random.uniform(0, image.width - width), random.uniform(0, image.height - height)
        crop = image.crop((round(left), round(top), round(left + width), round(top + height)))
        pixels = np.asarray(crop.resize((data.image_size, data.image_size), Image.Resampling.BICUBIC))
    return pixels[:, ::-1] if data.flip and random.random() < 0.5 else pixels


def measure(batch_sizes: Iterator[int], seconds: float) -> dict[str, float]:
    cpu, began, images = cpu_seconds(), time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        images += next(batch_sizes)
    wall = time.perf_counter() - began
    cpu = cpu_seconds() - cpu
    return {"images_per_second": round(images / wall, 1), "per_core": round(images / cpu, 1)}


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
    parser.add_argument("--workers", type=int, default=0, help="worker processes of the input; 0 = threads")
    parser.add_argument("--seconds", type=float, default=20, help="how long each side runs")
    args = parser.parse_args()
    flags.FLAGS(["input_pipeline"])  # Grain's workers inherit absl's flags, and refuse unparsed ones

    data, batch_size = settings(photographs=args.images is not None)
    source = Folder(args.images) if args.images else open_source(args.data, args.data_dir, "train")
    variant = make_variant(source, data)
    library, transform = plain_transform(data)
    plain = plain_batches(variant, transform, batch_size, data.cache)
    batches = training_batches(
        variant,
        random_crop(data, seed=0),
        None,
        seed=0,
        batch_size=batch_size,
        total_steps=MANY,
        workers=args.workers,
        cache=data.cache,
    )
    ours = (len(batch["images"]) for batch in batches)
    epoch = num_steps_per_epoch(len(variant), batch_size, drop_last=False)
    sides = {}
    for name, batch_sizes in (("ours", ours), ("plain", plain)):
        # Each of several workers has a cache of its own, which an epoch fills.
        for _ in range(epoch * max(args.workers, 1) if data.cache else 2):
            next(batch_sizes)
        sides[name] = measure(batch_sizes, args.seconds)
        batch_sizes.close()
    print(
        json.dumps(
            {
                "benchmark": "input_pipeline",
                "data": args.data or "folder",
                "images": len(variant),
                "size": data.image_size,
                "batch_size": batch_size,
                "workers": args.workers,
                **sides["ours"],
                "plain": {"library": library, **sides["plain"]},
                "ratio": round(sides["ours"]["per_core"] / sides["plain"]["per_core"], 2),
                "machine": machine(),
            }
        )
    )


if __name__ == "__main__":
    main()
