"""Images per second of DINO's augmentation (ten crops) on the device, compared with torchvision's on the host.

    python scripts/benchmark/multi_crop.py --images=DIR    # JPEGs: 2 crops of 224 and 8 of 96 pixels
    python scripts/benchmark/multi_crop.py                 # made-up images of 32 pixels: 2 crops of 32 and 8 of 16

Prints one JSON line. Encoded images are in memory; those of 32 pixels are already decoded, as in a cached data set.

- `device`: the host's part (decoding, copying to the canvas, random numbers) in images per second of CPU time, which is
  what one core does, and the jitted function alone, on arrays that are on the device, in images per second of wall-clock
  time; on CPUs also per core.
- `torchvision`, where it is installed: decoding and its own transforms of Pillow images, in images per second of CPU time.
"""

import argparse
import contextlib
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np
from common import print_report, rates, read_images
from PIL import Image, ImageFilter

from cliptail_jax.formats.decoding import RgbImage, decode_image
from cliptail_jax.formats.resizing import resize
from cliptail_jax.input.device_views import device_views
from cliptail_jax.input.transforms import CanvasWithViews, Transform
from cliptail_jax.input.views import MultiCrop

PHOTOGRAPHS = MultiCrop()
SMALL = MultiCrop(global_size=32, global_scale=(0.3, 1.0), local_size=16, local_scale=(0.08, 0.3), max_blur=0.5)


def images_of(args: argparse.Namespace) -> list[Callable[[], RgbImage]]:
    """Functions that return each image, decoded."""
    if args.images:
        files = read_images(args.images, args.batch_size).values()
        return [lambda data=data: decode_image(data) for data in files]
    coarse = np.random.default_rng(0).integers(0, 256, (args.batch_size, 6, 6, 3), np.uint8)
    return [lambda image=resize(image, 32, 32): image for image in coarse]


def batch_of(images: list[Callable[[], RgbImage]], transform: Transform, epoch: int):
    """What the host makes of the images."""
    return transform(np.arange(len(images)), ((slot, image()) for slot, image in enumerate(images)), epoch)


def torchvision_crops(multi_crop: MultiCrop) -> Callable[[Image.Image], list[Image.Image]]:
    """DINO's augmentation in torchvision's transforms; raises ImportError if it is not installed."""
    from torchvision import transforms

    def crop(size, scale, blur, solarize):
        steps = [
            transforms.RandomResizedCrop(size, scale=scale, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.RandomHorizontalFlip(),
            transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.2, 0.1)], p=0.8),
            transforms.RandomGrayscale(0.2),
            transforms.RandomApply([transforms.Lambda(gaussian)], p=blur),
            transforms.RandomSolarize(128, p=solarize),
        ]
        return transforms.Compose(steps)

    def gaussian(image: Image.Image) -> Image.Image:
        return image.filter(ImageFilter.GaussianBlur(random.uniform(multi_crop.max_blur / 20, multi_crop.max_blur)))

    large, small = (multi_crop.global_size, multi_crop.global_scale), (multi_crop.local_size, multi_crop.local_scale)
    crops = [crop(*large, 1.0, 0.0), crop(*large, 0.1, 0.2), *[crop(*small, 0.5, 0.0)] * multi_crop.num_local]
    return lambda image: [np.asarray(crop(image)) for crop in crops]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="a folder of photographs, at any depth")
    parser.add_argument("--canvas", type=int, default=384, help="side of the canvas of photographs in pixels")
    parser.add_argument("--batch_size", type=int, default=48, help="number of different images")
    parser.add_argument("--seconds", type=float, default=10, help="duration of each measurement")
    args = parser.parse_args(arguments)

    multi_crop, canvas = (PHOTOGRAPHS, args.canvas) if args.images else (SMALL, 32)
    images = images_of(args)
    count, report = len(images), {}

    @jax.jit
    def augment(canvases, views):
        return (
            device_views(canvases, views.global_views(), multi_crop.global_size),
            device_views(canvases, views.local_views(), multi_crop.local_size),
        )

    on_canvas = CanvasWithViews(0, multi_crop, canvas)
    batch = batch_of(images, on_canvas, 0)
    on_device = jax.device_put((batch["images"], batch["views"]))
    host_per_core = rates(lambda: batch_of(images, on_canvas, 0), count, args.seconds)[1]
    clock, per_core = rates(lambda: jax.block_until_ready(augment(*on_device)), count, args.seconds)
    device = jax.devices()[0]
    report["device"] = {"host_per_core": host_per_core, "images_per_second": clock, "kind": device.device_kind}
    if device.platform == "cpu":
        report["device"]["per_core"] = per_core

    with contextlib.suppress(ImportError):
        crops = torchvision_crops(multi_crop)
        by_torchvision = lambda: [crops(Image.fromarray(image())) for image in images]  # noqa: E731
        report["torchvision"] = {"per_core": rates(by_torchvision, count, args.seconds)[1]}
    sizes = f"2x{multi_crop.global_size} {multi_crop.num_local}x{multi_crop.local_size}"
    kind = "photographs" if args.images else "made up"
    print_report("multi_crop", images=kind, crops=sizes, canvas=canvas, batch_size=count, **report)


if __name__ == "__main__":
    main()
