"""The reference for `device_views`: multi-crop views by Pillow's operations, as in torchvision's transforms."""

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from cliptail_jax.images.decoding import RgbImage
from cliptail_jax.images.resizing import resize
from cliptail_jax.input.views import HUE, NUM_GLOBAL, MultiCrop, Views

_SOLARIZE_FROM = 128
# By index in `Views.factors`.
_ENHANCERS = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)


def pillow_views(
    image: RgbImage, views: Views, multi_crop: MultiCrop
) -> tuple[UInt8[np.ndarray, "2 global_size global_size 3"], UInt8[np.ndarray, "num_local local_size local_size 3"]]:
    """The global and the local views of one image, given its parameters as arrays [view, ...]."""
    sizes = [multi_crop.global_size] * NUM_GLOBAL + [multi_crop.local_size] * multi_crop.num_local
    crops = [_view(image, Views(*view), size) for view, size in zip(zip(*views), sizes)]
    no_crops = np.empty((0, multi_crop.local_size, multi_crop.local_size, 3), np.uint8)
    return np.stack(crops[:NUM_GLOBAL]), np.stack(crops[NUM_GLOBAL:]) if multi_crop.num_local else no_crops


def views_of_record(views: Views, slot: int) -> Views:
    """The parameters of one record of a batch: arrays [view, ...]."""
    return Views(*(field[slot] for field in views))


def _view(image: RgbImage, view: Views, size: int) -> UInt8[np.ndarray, "size size 3"]:
    top, left, height, width = view.box.astype(int)
    # Cropped before resizing, as the filter must not see pixels outside of the box.
    cropped = resize(image[top : top + height, left : left + width], size, size)
    result = Image.fromarray(cropped[:, ::-1] if view.flip else cropped)
    if view.jitter:
        for adjustment in view.order:
            result = _adjust(result, adjustment, float(view.factors[adjustment]))
    if view.grey:
        result = result.convert("L").convert("RGB")
    if view.blur:
        result = result.filter(ImageFilter.GaussianBlur(float(view.blur)))
    if view.solarize:
        result = ImageOps.solarize(result, _SOLARIZE_FROM)
    return np.asarray(result)


def _adjust(image: Image.Image, adjustment: int | np.integer, factor: float) -> Image.Image:
    return _turn_hue(image, factor) if adjustment == HUE else _ENHANCERS[adjustment](image).enhance(factor)


def _turn_hue(image: Image.Image, turns: float) -> Image.Image:
    """Shifts each hue by `turns` of the colour circle, which in Pillow has 256 hues."""
    shift = int(turns * 255)
    hue, saturation, value = image.convert("HSV").split()
    hue = hue.point([(level + shift) % 256 for level in range(256)])
    return Image.merge("HSV", (hue, saturation, value)).convert("RGB")
