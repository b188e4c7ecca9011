"""What other libraries do to a JPEG before a model sees it: functions from a file's bytes to an image, by name.

A library that is not installed is left out.
"""

import contextlib
import io
from collections.abc import Callable

import numpy as np
from PIL import Image

Peers = dict[str, Callable[[bytes], np.ndarray]]


def random_crops(size: int, scale: tuple[float, float]) -> Peers:
    """A random box of 3/4 to 4/3 in aspect, resized to a square; bicubic and antialiased where the library can."""
    return _peers(
        lambda v, bicubic: [v.RandomResizedCrop(size, scale=scale, interpolation=bicubic)],
        lambda a, cubic: [a.RandomResizedCrop((size, size), scale=scale, interpolation=cubic)],
    )


def centers(size: int, short_side: int) -> Peers:
    """The short side resized, and the centre cut out."""
    return _peers(
        lambda v, bicubic: [v.Resize(short_side, bicubic), v.CenterCrop(size)],
        lambda a, cubic: [a.SmallestMaxSize(short_side, interpolation=cubic), a.CenterCrop(size, size)],
    )


def shifts(size: int, shift: int) -> Callable[[Image.Image], np.ndarray]:
    """torchvision's random shifts and flips of a decoded image."""
    from torchvision import transforms

    steps = [transforms.RandomCrop(size, padding=shift, padding_mode="reflect"), transforms.RandomHorizontalFlip()]
    return transforms.Compose([*steps, np.asarray])


def pillow_image(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def _peers(torchvision_steps: Callable, albumentations_steps: Callable) -> Peers:
    peers: Peers = {}
    with contextlib.suppress(ImportError):
        import torch
        from torchvision import io as torchvision_io
        from torchvision import transforms
        from torchvision.transforms import v2

        torch.set_num_threads(1)
        bicubic, rgb = transforms.InterpolationMode.BICUBIC, torchvision_io.ImageReadMode.RGB
        of_pillow = transforms.Compose(torchvision_steps(transforms, bicubic))
        of_tensors = v2.Compose(torchvision_steps(v2, bicubic))

        def by_torch(data: bytes) -> np.ndarray:
            return of_tensors(torchvision_io.decode_jpeg(torch.frombuffer(data, dtype=torch.uint8), rgb)).numpy()

        peers |= {
            "torchvision": lambda data: np.asarray(of_pillow(pillow_image(data))),
            "torchvision v2, tensors": lambda data: of_tensors(v2.functional.pil_to_tensor(pillow_image(data))).numpy(),
            "torchvision v2, its decode_jpeg": by_torch,
        }
    with contextlib.suppress(ImportError):
        import albumentations
        import cv2

        crop = albumentations.Compose(albumentations_steps(albumentations, cv2.INTER_CUBIC))

        def by_opencv(data: bytes) -> np.ndarray:
            return crop(image=cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB))["image"]

        peers["OpenCV and albumentations, not antialiased"] = by_opencv
    return peers
