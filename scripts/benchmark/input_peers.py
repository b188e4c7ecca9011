"""What other libraries do to a JPEG before a model of 224 pixels sees it: one function an image, where they are installed.

Each is a dict of functions from a file's bytes to [224, 224, 3] or [3, 224, 224] uint8, by name.
"""

import contextlib
import io
from collections.abc import Callable

import numpy as np
from PIL import Image

Peers = dict[str, Callable[[bytes], np.ndarray]]


def random_crops(size: int, scale: tuple[float, float]) -> Peers:
    """A random box of 3/4 to 4/3 in aspect, resized to a square; bicubic and antialiased where the library can."""
    peers: Peers = {}
    with contextlib.suppress(ImportError):
        peers |= _torchvision(lambda v: [v.RandomResizedCrop(size, scale=scale, interpolation=_bicubic())])
    with contextlib.suppress(ImportError):
        import albumentations
        import cv2

        crop = albumentations.RandomResizedCrop((size, size), scale=scale, interpolation=cv2.INTER_CUBIC)
        peers["OpenCV and albumentations, not antialiased"] = lambda data: crop(image=_opencv(data))["image"]
    return peers


def centers(size: int, short_side: int) -> Peers:
    """The short side resized, and the centre cut out."""
    peers: Peers = {}
    with contextlib.suppress(ImportError):
        peers |= _torchvision(lambda v: [v.Resize(short_side, _bicubic()), v.CenterCrop(size)])
    with contextlib.suppress(ImportError):
        import albumentations
        import cv2

        steps = [
            albumentations.SmallestMaxSize(short_side, interpolation=cv2.INTER_CUBIC),
            albumentations.CenterCrop(size, size),
        ]
        crop = albumentations.Compose(steps)
        peers["OpenCV and albumentations, not antialiased"] = lambda data: crop(image=_opencv(data))["image"]
    return peers


def _torchvision(steps: Callable) -> Peers:
    import torch
    from torchvision import io as torchvision_io
    from torchvision import transforms
    from torchvision.transforms import v2

    torch.set_num_threads(1)
    on_pillow, on_tensors = transforms.Compose(steps(transforms)), v2.Compose(steps(v2))

    def by_torch(data: bytes) -> np.ndarray:
        tensor = torchvision_io.decode_jpeg(torch.frombuffer(data, dtype=torch.uint8), torchvision_io.ImageReadMode.RGB)
        return on_tensors(tensor).numpy()

    return {
        "torchvision": lambda data: np.asarray(on_pillow(_pillow(data))),
        "torchvision v2, tensors": lambda data: on_tensors(v2.functional.pil_to_tensor(_pillow(data))).numpy(),
        "torchvision v2, its decode_jpeg": by_torch,
    }


def _bicubic():
    from torchvision.transforms import InterpolationMode

    return InterpolationMode.BICUBIC


def _pillow(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def _opencv(data: bytes) -> np.ndarray:
    import cv2

    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
