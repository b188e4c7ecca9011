"""Multi-crop views on the accelerator: torchvision's operations on Pillow images for whole batches, in a jitted step.

Each operation rounds to whole grey levels as Pillow does; this costs almost nothing and allows exact tests. Colour is
the first axis, as in `device_crops`.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float32, Int, UInt8

from cliptail_jax.input.device_crops import Planes, crop, to_planes
from cliptail_jax.input.views import CONTRAST, HUE, SATURATION, Views

# ITU-R 601 luma in Pillow's fixed point: 2^-16. The sums are exact in float32.
_LUMA = (19595.0, 38470.0, 7471.0)
_BLUR_PASSES = 3
_BLUR_REACH = 2  # pixels on each side that a pass of the largest radius reaches


def device_views(
    images: UInt8[Array, "batch side side 3"], views: Views, size: int, blur: bool = True
) -> UInt8[Array, "batch view {size} {size} 3"]:
    """The views of one size.

    Args:
        images: whole images on canvases.
        views: their parameters as arrays [batch, view, ...] (`Views.global_views`, `Views.local_views`).
        size: the side of a view.
        blur: False skips blurring, to save time where no view is blurred.
    """
    planes = to_planes(images)
    view_of_images = jax.vmap(lambda image, view: _view(image, view, size, blur))
    # The views are computed one after the other, each for all images: TPUs then keep its pixels on the chip.
    parameters = jax.tree.map(lambda parameter: jnp.swapaxes(parameter, 0, 1), views)
    pixels = jax.lax.map(lambda view: view_of_images(planes, view), parameters)
    return jnp.moveaxis(pixels, (0, 2), (1, -1))


def _view(image: Planes, view: Views, size: int, blur: bool) -> UInt8[Array, "3 {size} {size}"]:
    result = crop(image, view.box, view.flip, size)
    result = _jitter(result, view)
    result = jnp.where(view.grey, _grey(result), result)
    result = _blur(result, view.blur) if blur else result
    return jnp.where(view.solarize & (result >= 128), 255 - result, result).astype(jnp.uint8)


# Colour


def _jitter(image: Planes, view: Views) -> Planes:
    """Adjusts brightness, contrast, saturation and hue in the given order.

    The first three have one formula, which is applied three times before and three times after the shift of hue; three of
    these six change nothing. So the hue, which is expensive, is computed only once.
    """
    hue_place = jnp.argmax(view.order == HUE)
    other_adjustments = [view.order[place + (place >= hue_place)] for place in range(3)]
    for place in range(3):
        image = _adjust(image, view, other_adjustments[place], view.jitter & (place < hue_place))
    image = jnp.where(view.jitter, _turn_hue(image, view.factors[HUE]), image)
    for place in range(3):
        image = _adjust(image, view, other_adjustments[place], view.jitter & (place >= hue_place))
    return image


def _adjust(image: Planes, view: Views, adjustment: Int[Array, ""], apply: Bool[Array, ""]) -> Planes:
    """Scales the difference from black (brightness), the mean grey (contrast) or each pixel's grey (saturation)."""
    grey = _grey(image)
    mean = jnp.floor(grey.mean() + 0.5)
    origin = jnp.where(adjustment == SATURATION, grey, jnp.where(adjustment == CONTRAST, mean, 0))
    factor = jnp.where(apply, view.factors[adjustment], 1)
    return jnp.floor(jnp.clip(origin + factor * (image - origin), 0, 255))


def _grey(image: Planes) -> Float32[Array, "height width"]:
    red, green, blue = image
    return jnp.floor((_LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue + 2**15) / 2**16)


def _turn_hue(image: Planes, turns: Float32[Array, ""]) -> Planes:
    """Shifts each hue by `turns` of the colour circle; hue, saturation and value are integers up to 255."""
    red, green, blue = image
    value, minimum = image.max(axis=0), image.min(axis=0)
    range_ = value - minimum
    red_is_max, green_is_max = red == value, green == value
    offset = jnp.where(red_is_max, green - blue, jnp.where(green_is_max, blue - red, red - green))
    sixth = jnp.where(red_is_max, jnp.where(offset < 0, 6, 0), jnp.where(green_is_max, 2, 4))
    divisor = jnp.maximum(range_, 1)
    hue = jnp.floor((sixth * divisor + offset) * (255 / 6) / divisor)
    saturation = jnp.floor(range_ * 255 / jnp.maximum(value, 1))

    hue += jnp.trunc(turns * 255)
    hue += jnp.where(hue < 0, 256, jnp.where(hue > 255, -256, 0))

    # The position of each primary on the circle of six, such that it is below its maximum in 0..4.
    places = hue * (6 / 255) + jnp.array([5.0, 3.0, 1.0])[:, None, None]
    places = jnp.where(places < 6, places, places - 6)
    reduction = jnp.clip(jnp.minimum(places, 4 - places), 0, 1)
    return jnp.floor(value * (1 - saturation / 255 * reduction) + 0.5)


# Blur


def _blur(image: Planes, radius: Float32[Array, ""]) -> Planes:
    """Pillow's GaussianBlur: on each axis three extended box filters, which together have the Gaussian's variance.

    Gwosdek et al. (2011), "Theoretical foundations of Gaussian convolution by extended box filtering".
    """
    variance = radius**2 / _BLUR_PASSES
    reach = jnp.floor((jnp.sqrt(12 * variance + 1) - 1) / 2)
    fraction = (2 * reach + 1) * (reach * (reach + 1) - 3 * variance) / (6 * (variance - (reach + 1) ** 2))
    box = reach + fraction
    weights = jnp.clip(box + 1 - jnp.arange(_BLUR_REACH + 1), 0, 1) / (2 * box + 1)
    for axis in (2, 1):
        for _ in range(_BLUR_PASSES):
            image = _box_filter(image, weights, axis)
    return image


def _box_filter(image: Planes, weights: Float32[Array, " distance"], axis: int) -> Planes:
    """A symmetric filter along an axis; the pixels at the ends are repeated beyond them."""
    side = image.shape[axis]
    padding = [(0, 0)] * 3
    padding[axis] = (_BLUR_REACH, _BLUR_REACH)
    # Without the barrier, XLA recomputes the padding for each shift, which is several times slower on a CPU.
    padded_image = jax.lax.optimization_barrier(jnp.pad(image, padding, mode="edge"))
    shifts = [
        jax.lax.slice_in_dim(padded_image, start, start + side, axis=axis) for start in range(2 * _BLUR_REACH + 1)
    ]
    total = weights[0] * shifts[_BLUR_REACH]
    for distance in range(1, _BLUR_REACH + 1):
        total += weights[distance] * (shifts[_BLUR_REACH - distance] + shifts[_BLUR_REACH + distance])
    return jnp.floor(total + 0.5)
