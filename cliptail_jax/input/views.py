"""What multi-crop draws for each view of an image: the augmentations of DINO (Caron et al. 2021, arXiv 2104.14294).

Two large crops and several small ones, each flipped, jittered in colour, turned grey, blurred and solarised at random. All
is drawn here, from (seed, epoch, record) alone; `pillow_views` and `device_views` carry it out, one on the host, one on the
accelerator, which sees the image at the size of a canvas; but for that their results are the same.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Int8

from cliptail_jax.config.training import MAX_BLUR
from cliptail_jax.input.images import Purpose, record_uniforms

NUM_GLOBAL = 2

# Chances of the augmentations; those of blur and solarisation for the first, the second, and every smaller view.
_FLIP, _JITTER, _GREY = 0.5, 0.8, 0.2
_BLUR = (1.0, 0.1, 0.5)
_SOLARIZE = (0.0, 0.2, 0.0)
# torchvision's ColorJitter(0.4, 0.4, 0.2, 0.1): factors lie this far around 1, the shift of hue around 0.
_STRENGTHS = np.array([0.4, 0.4, 0.2, 0.1])
_NEUTRAL = np.array([1.0, 1.0, 1.0, 0.0])
_BLUR_RANGE = 20  # the largest radius of blur over the smallest
BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
# As in `random_crop_box`.
_ASPECTS = (3 / 4, 4 / 3)
_CROP_TRIES = 10

_UNIFORMS = {
    "box": 4 * _CROP_TRIES,
    "flip": 1,
    "jitter": 1,
    "factors": 4,
    "order": 4,
    "grey": 1,
    "blur": 2,
    "solarize": 1,
}


@dataclass(frozen=True)
class MultiCrop:
    """How views are cropped: sides in pixels, shares of the image's area, and the largest radius of blur in pixels.

    A blur of 0 is none, and of more than `MAX_BLUR` not what `device_views` can do.
    """

    global_size: int = 224
    global_scale: tuple[float, float] = (0.14, 1.0)
    num_local: int = 8
    local_size: int = 96
    local_scale: tuple[float, float] = (0.05, 0.14)
    flip: bool = True
    max_blur: float = MAX_BLUR

    @property
    def num_views(self) -> int:
        return NUM_GLOBAL + self.num_local


class Views(NamedTuple):
    """What was drawn for the views of a batch of records: two global ones, then the local ones."""

    box: Float32[np.ndarray, "batch view 4"]  # top, left, height, width, as shares of the image's height and width
    flip: Bool[np.ndarray, "batch view"]
    jitter: Bool[np.ndarray, "batch view"]  # whether the following four adjustments are made
    factors: Float32[np.ndarray, "batch view 4"]  # brightness, contrast, saturation; hue in turns of the colour circle
    order: Int8[np.ndarray, "batch view 4"]  # of the adjustments, as positions in `factors`
    grey: Bool[np.ndarray, "batch view"]
    blur: Float32[np.ndarray, "batch view"]  # radius in pixels of the view; 0: none
    solarize: Bool[np.ndarray, "batch view"]

    def global_views(self) -> "Views":
        return Views(*(field[:, :NUM_GLOBAL] for field in self))

    def local_views(self) -> "Views":
        return Views(*(field[:, NUM_GLOBAL:] for field in self))

    def record(self, slot: int) -> "Views":
        """Those of one record of the batch: arrays [view, ...]."""
        return Views(*(field[slot] for field in self))


def draw_views(
    seed: int, epoch: int, records: Int[np.ndarray, "batch"], sizes: Int[np.ndarray, "batch 2"], multi_crop: MultiCrop
) -> Views:
    """The views of each record in an epoch, given its image's height and width.

    They depend on nothing else, least of all on the rest of the batch. A negative record is an empty slot: any views do.
    """
    count = sum(_UNIFORMS.values())
    records, sizes = np.maximum(records, 0), np.maximum(sizes, 1)
    uniforms = record_uniforms(seed, epoch, records, Purpose.VIEWS, count * multi_crop.num_views)
    uniforms = uniforms.reshape(len(records), multi_crop.num_views, count)
    ends = np.cumsum(list(_UNIFORMS.values()))
    uniform = dict(zip(_UNIFORMS, np.split(uniforms, ends[:-1], axis=-1)))
    kind = np.minimum(np.arange(multi_crop.num_views), NUM_GLOBAL)  # first, second, smaller

    scale = np.array([multi_crop.global_scale, multi_crop.global_scale, multi_crop.local_scale])[kind]
    radius = multi_crop.max_blur * (1 + (_BLUR_RANGE - 1) * uniform["blur"][..., 1]) / _BLUR_RANGE
    return Views(
        box=_boxes(uniform["box"], sizes, scale),
        flip=(uniform["flip"][..., 0] < _FLIP) & multi_crop.flip,
        jitter=uniform["jitter"][..., 0] < _JITTER,
        factors=(_NEUTRAL + _STRENGTHS * (2 * uniform["factors"] - 1)).astype(np.float32),
        order=np.argsort(uniform["order"], axis=-1).astype(np.int8),
        grey=uniform["grey"][..., 0] < _GREY,
        blur=np.where(uniform["blur"][..., 0] < np.array(_BLUR)[kind], radius, 0).astype(np.float32),
        solarize=uniform["solarize"][..., 0] < np.array(_SOLARIZE)[kind],
    )


def _boxes(
    uniforms: Float64[np.ndarray, "batch view draw"],
    sizes: Int[np.ndarray, "batch 2"],
    scale: Float64[np.ndarray, "view 2"],
) -> Float32[np.ndarray, "batch view 4"]:
    """Boxes of whole pixels by the rule of `random_crop_box`, for all views of all records at once."""
    share, log_aspect, down, across = np.moveaxis(uniforms.reshape(*uniforms.shape[:2], _CROP_TRIES, 4), -1, 0)
    height, width = sizes.T[:, :, None, None]
    area = height * width * (scale[:, :1] + (scale[:, 1:] - scale[:, :1]) * share)
    aspect = _ASPECTS[0] * (_ASPECTS[1] / _ASPECTS[0]) ** log_aspect
    tall, wide = np.rint(np.sqrt(area / aspect)), np.rint(np.sqrt(area * aspect))
    fits = (0 < tall) & (tall <= height) & (0 < wide) & (wide <= width)
    boxes = np.stack([np.floor(down * (height - tall + 1)), np.floor(across * (width - wide + 1)), tall, wide], axis=-1)
    first = np.argmax(fits, axis=-1)[..., None, None]
    box = np.take_along_axis(boxes, first, axis=2)[:, :, 0]
    box = np.where(fits.any(axis=-1, keepdims=True), box, _centred_boxes(sizes)[:, None])
    return (box / sizes[:, None, [0, 1, 0, 1]]).astype(np.float32)


def _centred_boxes(sizes: Int[np.ndarray, "batch 2"]) -> Int[np.ndarray, "batch 4"]:
    """The largest centred box of an allowed aspect, for images in which no drawn one fits."""
    height, width = sizes.T
    wide = np.minimum(width, np.rint(height * _ASPECTS[1]))
    tall = np.minimum(height, np.rint(width / _ASPECTS[0]))
    return np.stack([(height - tall) // 2, (width - wide) // 2, tall, wide], axis=-1)
