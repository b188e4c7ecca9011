"""Preprocesses images for a model; a published model's preprocessing comes from open_clip's preprocess_cfg."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jax import Array
from jaxtyping import Float32, Num, UInt8
from PIL import Image

from cliptail_jax.formats.decoding import RgbImage, as_rgb
from cliptail_jax.formats.resizing import FILTERS, resized_center
from cliptail_jax.models.open_clip import NUMBER, PIXELS, POSITIVE, SIDE, Kind, check_keys

# Channel means and standard deviations of CLIP's training images, values in 0..1 (github.com/openai/CLIP).
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
# The same for ImageNet, as torchvision's models use them.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def one_or_three(kind: Kind) -> Kind:
    """One value of a kind for all channels, or one for each."""
    return Kind(
        f"{kind.text}, or three, one for each channel",
        lambda value: (
            all(element in kind for element in value) and len(value) == 3
            if isinstance(value, list | tuple)
            else value in kind
        ),
    )


# Supported values of a preprocess_cfg by key; the size of the images is that of the model.
PREPROCESS = {
    "size": SIDE,
    "mode": ("RGB",),
    "mean": one_or_three(NUMBER),
    "std": one_or_three(POSITIVE),
    "interpolation": tuple(FILTERS),
    "resize_mode": ("shortest", "longest", "squash"),
    "fill_color": (0,),
    "short_side": Kind(f"0 or {PIXELS.text}", lambda value: value == 0 or value in PIXELS),
}


@dataclass(frozen=True)
class Preprocess:
    """Resizes images with antialiasing, cuts or pads them to squares of `size` pixels, then normalizes by channel.

    `resize_mode`: `size` becomes the short side, the long side, or both sides whatever the aspect. If `short_side` is
    not 0, the short side becomes `short_side` before the centre of `size` pixels is cut out.
    """

    size: int
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD
    interpolation: str = "bicubic"
    resize_mode: str = "shortest"
    short_side: int = 0

    def __call__(self, image: np.ndarray | Image.Image | str | os.PathLike) -> Float32[np.ndarray, "size size 3"]:
        """The model's input of one image: Pillow's, of any mode, the path of a file, or uint8 pixels [height, width, 3].

        Raises:
            UserError: It is none of these, or not an image.
        """
        return self.normalize(self.square(as_rgb(image)))

    def normalize(
        self, images: Num[Array | np.ndarray, "*images height width 3"]
    ) -> Float32[Array | np.ndarray, "*images height width 3"]:
        """Standardizes values in 0..255 by `mean` and `std`. For batches, call it in a jitted step."""
        return (images.astype(np.float32) / 255 - np.float32(self.mean)) / np.float32(self.std)

    def square(self, image: RgbImage, fast: bool = False) -> UInt8[np.ndarray, "size size 3"]:
        """The image at the model's size, before normalization; `fast` is explained in `cliptail_jax.formats.resizing`."""
        sides = image.shape[:2]
        if self.resize_mode == "squash":
            height = width = self.size
        elif self.resize_mode == "longest":
            scale = self.size / max(sides)
            height, width = (max(round(side * scale), 1) for side in sides)
        else:
            target = self.short_side or self.size
            height, width = (int(target * side / min(sides)) for side in sides)  # rounded down as in torchvision
        return resized_center(image, height, width, self.size, self.interpolation, fast)

    @property
    def least_side(self) -> int:
        """The least side in pixels of a reduced image that loses no resolution; 0 if there is no such number."""
        return (self.short_side or self.size) if self.resize_mode == "shortest" else 0

    def to_config(self) -> dict[str, Any]:
        """open_clip's preprocess_cfg; the size is in the model's own configuration."""
        return {key: value for key, value in asdict(self).items() if key not in ("size", "short_side")}


def read_preprocess(config: Mapping[str, Any], size: int) -> Preprocess:
    """Reads a `preprocess_cfg` for a model with images of `size` pixels; the defaults are CLIP's.

    That of a run also has `short_side`. Raises UserError for unknown values.
    """
    values = {key: config[key] for key in PREPROCESS if config.get(key) is not None}
    check_keys("preprocess_cfg.", values, PREPROCESS)
    mean, std = (three(values.get(key, default)) for key, default in (("mean", CLIP_MEAN), ("std", CLIP_STD)))
    interpolation, resize_mode = values.get("interpolation", "bicubic"), values.get("resize_mode", "shortest")
    return Preprocess(size, mean, std, interpolation, resize_mode, values.get("short_side", 0))


def three(value: float | Sequence[float]) -> tuple[float, float, float]:
    """One number for each channel."""
    return tuple(value) if isinstance(value, list | tuple) else (value,) * 3
