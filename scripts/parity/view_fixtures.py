"""References for tests/input/test_views.py and test_device_views.py: a small image, transformed by torchvision.

torchvision_views.npz has the image; the names of the cases, and for each the parameters of the view (boxes in pixels)
and the result; and the mean and standard deviation of the parameters that ColorJitter samples. The
blur is Pillow's Gaussian, which DINO uses, not torchvision's.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageColor, ImageFilter
from torchvision.transforms import ColorJitter, InterpolationMode
from torchvision.transforms import functional as F

SIDE = 24
ADJUST = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
NEUTRAL = (1.0, 1.0, 1.0, 0.0)
WHOLE = {
    "box": (0, 0, SIDE, SIDE),  # top, left, height, width in pixels
    "flip": False, "jitter": False, "factors": NEUTRAL, "order": (0, 1, 2, 3), "grey": False, "blur": 0.0, "solarize": False,
}  # fmt: skip
# Factors and radii are not round numbers, with which many results would lie exactly between two grey levels.
EVERYTHING = {"jitter": True, "blur": 1.31, "solarize": True}
CASES = {
    "whole": {},
    "flipped": {"flip": True},
    "corner": {"box": (13, 0, 11, 9)},
    "wide": {"box": (2, 3, 15, 20), "flip": True},
    "pixel": {"box": (23, 5, 1, 1)},
    **{
        f"{name}_{factor}": {"jitter": True, "factors": (*NEUTRAL[:place], factor, *NEUTRAL[place + 1 :])}
        for place, name, factors in [
            (0, "brightness", (0.613, 1.387)), (1, "contrast", (0.613, 1.387)), (2, "saturation", (0.807, 1.193)), (3, "hue", (-0.0997, 0.0423, 0.0997)),
        ]
        for factor in factors
    },  # fmt: skip
    "grey": {"grey": True},
    **{f"blur_{radius}": {"blur": radius} for radius in (0.1, 0.73, 1.1, 1.61, 1.97)},
    "solarize": {"solarize": True},
    "everything_0123": {**EVERYTHING, "box": (0, 4, 19, 20), "factors": (1.303, 0.697, 1.199, 0.0997), "order": (0, 1, 2, 3)},
    "everything_3210": {**EVERYTHING, "box": (4, 0, 20, 24), "factors": (0.607, 1.393, 0.803, -0.0997), "order": (3, 2, 1, 0), "flip": True},
    "everything_1320": {**EVERYTHING, "factors": (1.397, 1.393, 0.897, -0.0303), "order": (1, 3, 2, 0), "solarize": False},
    "everything_2031": {**EVERYTHING, "factors": (0.903, 0.607, 0.803, 0.0703), "order": (2, 0, 3, 1), "grey": True},
}  # fmt: skip
PATCHES = [ImageColor.getrgb(name) for name in "black white #4d4d4d red lime blue yellow #09c8c8".split()]


def references(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    image = colourful_image()
    cases = [{**WHOLE, **changes} for changes in CASES.values()]
    arrays = {"image": image, "names": np.array(list(CASES))}
    arrays |= {field: np.array([case[field] for case in cases]) for field in WHOLE}
    arrays["results"] = np.array([np.array(torchvision_view(Image.fromarray(image), **case)) for case in cases])

    torch.manual_seed(0)
    jitter = ColorJitter(0.4, 0.4, 0.2, 0.1)
    ranges = jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue
    factors = np.array([jitter.get_params(*ranges)[1:] for _ in range(40_000)])
    arrays["factor_statistics"] = np.array([factors.mean(axis=0), factors.std(axis=0)])

    return {"torchvision_views.npz": arrays}


def colourful_image() -> np.ndarray:
    """An image of many colours: waves with noise, and patches of black, white, grey and pure colours."""
    y, x = np.mgrid[:SIDE, :SIDE]
    waves = np.stack([np.sin(x / 3) * np.cos(y / 4), np.sin(x * y / 40), np.cos(x / 5 - y / 3)], axis=-1)
    noise = np.random.default_rng(0).integers(-30, 30, waves.shape)
    image = np.clip(127 + 120 * waves + noise, 0, 255).astype(np.uint8)
    for i, colour in enumerate(PATCHES):
        image[3 * i : 3 * i + 2, 20:22] = colour
    return image


def torchvision_view(image, box, flip, jitter, factors, order, grey, blur, solarize):
    image = F.resized_crop(image, *box, [SIDE, SIDE], InterpolationMode.BICUBIC)
    if flip:
        image = F.hflip(image)
    if jitter:
        for place in order:
            image = ADJUST[place](image, factors[place])
    if grey:
        image = F.rgb_to_grayscale(image, num_output_channels=3)
    if blur:
        image = image.filter(ImageFilter.GaussianBlur(blur))
    return F.solarize(image, 128) if solarize else image
