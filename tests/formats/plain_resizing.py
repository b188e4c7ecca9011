"""Pictures, and a direct version of resizing them."""

import io

import numpy as np
from PIL import Image


def pictures(count: int = 12):
    """Made-up pictures of several sizes, half of them noise and half smooth."""
    random = np.random.default_rng(0)
    for number in range(count):
        height, width = random.integers(20, 300, 2)
        sides = (height, width) if number % 2 else (height // 9 + 2, width // 9 + 2)
        picture = Image.fromarray(random.integers(0, 256, (*sides, 3), np.uint8))
        yield np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))


def encoded(image: Image.Image, format: str, **options) -> bytes:
    """The content of a picture's file, written with Pillow's options of the format."""
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def resampled(image: np.ndarray, height: int, width: int, filter: str) -> np.ndarray:
    """A direct version in float64, value by value of each axis; grey levels are rounded after each axis."""

    def kernel(x):
        x = abs(x)
        if filter == "bilinear":
            return max(1 - x, 0)
        return 1.5 * x**3 - 2.5 * x**2 + 1 if x < 1 else -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0

    def along_rows(pixels, size):
        step = len(pixels) / size
        rows = []
        for row in range(size):
            centre = (row + 0.5) * step
            weights = np.array([kernel((source + 0.5 - centre) / max(step, 1)) for source in range(len(pixels))])
            rows.append(np.tensordot(weights / weights.sum(), pixels, 1))
        return np.floor(np.clip(rows, 0, 255) + 0.5)

    narrow = along_rows(image.astype(np.float64).swapaxes(0, 1), width).swapaxes(0, 1)
    return along_rows(narrow, height)


def assert_near(results, truth):
    """At most one grey level apart in 99.9 % of all values, and nowhere more than two."""
    differences = np.concatenate([np.abs(a.astype(int) - b).ravel() for a, b in zip(results, truth, strict=True)])
    assert np.mean(differences > 1) < 0.001 and differences.max() <= 2 and np.mean(differences > 0) < 0.02
