"""References for tests/pretrained/test_preprocess.py: outputs of open_clip's evaluation transforms.

pretrained_images.npz has MODE_INTERPOLATION_SIZE_ORIENTATION, bytes before normalization, of the image in
torchvision_images.npz as it is (wide) and transposed (tall); `normalized` is the first, with CLIP's statistics, and `siglip` a squashed one with SigLIP's.
"""

import itertools
from pathlib import Path

import numpy as np
from open_clip.transform import image_transform
from PIL import Image

CASES = list(itertools.product(("shortest", "longest", "squash"), ("bicubic", "bilinear"), (11, 29), ("wide", "tall")))


def references(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    wide = np.load(folder / "torchvision_images.npz")["image"]
    images = {"wide": wide, "tall": np.ascontiguousarray(wide.transpose(1, 0, 2))}
    expected = {}
    for mode, interpolation, size, orientation in CASES:
        options = {"is_train": False, "resize_mode": mode, "interpolation": interpolation}
        raw = image_transform(size, mean=(0.0,) * 3, std=(1.0,) * 3, **options)(Image.fromarray(images[orientation]))
        name = f"{mode}_{interpolation}_{size}_{orientation}"
        expected[name] = np.rint(raw.permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    expected["normalized"] = image_transform(11, is_train=False)(Image.fromarray(wide)).permute(1, 2, 0).numpy()
    of_siglip = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "resize_mode": "squash", "interpolation": "bicubic"}
    expected["siglip"] = image_transform(11, False, **of_siglip)(Image.fromarray(wide)).permute(1, 2, 0).numpy()
    return {"pretrained_images.npz": expected}
