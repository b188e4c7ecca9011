"""The random parameters of multi-crop views: the augmentations of DINO (Caron et al. 2021, arXiv 2104.14294).

A view is one of two large or several small crops, randomly flipped, jittered in colour, converted to grey, blurred and
solarized. Its parameters depend on (seed, epoch, record) only. The training step applies them (`device_views`).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int, Int8

from cliptail_jax.config.training import MAX_BLUR
from cliptail_jax.input.images import CROP_TRIES, FLIP, Purpose, crop_boxes, record_uniforms

NUM_GLOBAL = 2

# Probabilities of the augmentations other than flips; of blur and solarization, for the first, the second, and every small view.
_JITTER, _GREY = 0.8, 0.2
_BLUR = (1.0, 0.1, 0.5)
_SOLARIZE = (0.0, 0.2, 0.0)
# torchvision's ColorJitter(0.4, 0.4, 0.2, 0.1): the ranges of factors around 1, and of the hue's shift around 0.
_STRENGTHS = np.array([0.4, 0.4, 0.2, 0.1])
_NEUTRAL = np.array([1.0, 1.0, 1.0, 0.0])
_BLUR_RANGE = 20  # the largest radius of blur, divided by the smallest
BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)

# How many random numbers each parameter takes.
_UNIFORMS = dict(box=4 * CROP_TRIES, flip=1, jitter=1, factors=4, order=4, grey=1, blur=2, solarize=1)


@dataclass(frozen=True)
class MultiCrop:
    """Options of multi-crop: sides of views and the largest radius of blur in pixels, and shares of the image's area.

    A radius of 0 is no blur; `device_views` supports up to `MAX_BLUR`.
    """

    global_size: int = 224
    global_scale: tuple[float, float] = (0.14, 1.0)
    num_local: int = 8
    local_size: int = 96
    local_scale: tuple[float, float] = (0.05, 0.14)
    flip: bool = True
    max_blur: float = MAX_BLUR


class Views(NamedTuple):
    """The parameters of the views of a batch of records: two global ones, then the local ones."""

    box: Float32[np.ndarray, "batch view 4"]  # top, left, height, width in pixels of the image or its canvas
    flip: Bool[np.ndarray, "batch view"]
    jitter: Bool[np.ndarray, "batch view"]  # whether the four colour adjustments are made
    factors: Float32[np.ndarray, "batch view 4"]  # brightness, contrast, saturation; hue in turns of the colour circle
    order: Int8[np.ndarray, "batch view 4"]  # of the adjustments, as indices into `factors`
    grey: Bool[np.ndarray, "batch view"]
    blur: Float32[np.ndarray, "batch view"]  # radius in pixels of the view; 0 for none
    solarize: Bool[np.ndarray, "batch view"]

    def global_views(self) -> "Views":
        return Views(*(field[:, :NUM_GLOBAL] for field in self))

    def local_views(self) -> "Views":
        return Views(*(field[:, NUM_GLOBAL:] for field in self))


def draw_views(
    seed: int, epoch: int, records: Int[np.ndarray, " batch"], sizes: Int[np.ndarray, "batch 2"], multi_crop: MultiCrop
) -> Views:
    """The views of each record in an epoch, given the height and width of its image.

    They do not depend on the other records of the batch.
    """
    count, num_views = sum(_UNIFORMS.values()), NUM_GLOBAL + multi_crop.num_local
    uniforms = record_uniforms(seed, epoch, records, Purpose.VIEWS, count * num_views)
    uniforms = uniforms.reshape(len(records), num_views, count)
    ends = np.cumsum(list(_UNIFORMS.values()))
    uniform = dict(zip(_UNIFORMS, np.split(uniforms, ends[:-1], axis=-1)))
    kind = np.minimum(np.arange(num_views), NUM_GLOBAL)  # first, second, small

    scale = np.array([multi_crop.global_scale, multi_crop.global_scale, multi_crop.local_scale])[kind]
    tries = uniform["box"].reshape(*uniforms.shape[:2], CROP_TRIES, 4)
    boxes = crop_boxes(tries, sizes[:, None, 0], sizes[:, None, 1], scale)
    radius = multi_crop.max_blur * (1 + (_BLUR_RANGE - 1) * uniform["blur"][..., 1]) / _BLUR_RANGE
    return Views(
        box=boxes.astype(np.float32),
        flip=(uniform["flip"][..., 0] < FLIP) & multi_crop.flip,
        jitter=uniform["jitter"][..., 0] < _JITTER,
        factors=(_NEUTRAL + _STRENGTHS * (2 * uniform["factors"] - 1)).astype(np.float32),
        order=np.argsort(uniform["order"], axis=-1).astype(np.int8),
        grey=uniform["grey"][..., 0] < _GREY,
        blur=np.where(uniform["blur"][..., 0] < np.array(_BLUR)[kind], radius, 0).astype(np.float32),
        solarize=uniform["solarize"][..., 0] < np.array(_SOLARIZE)[kind],
    )
