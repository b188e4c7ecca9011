"""References for tests/models/test_positions.py: small grids, resized by torch's bicubic interpolation.

torch_bicubic.npz has grid_HxW, channels last, in float32, and for each case HxW_to_HxW the result, computed in float64
and rounded to float32.
"""

from pathlib import Path

import numpy as np
import torch

DIM = 5
# From the grids of 224 px to those of 96 px and 288 px (ResNet: 32 px a cell, ViT: 16), and odd cases.
CASES = [((7, 7), (3, 3)), ((7, 7), (9, 9)), ((14, 14), (6, 6)), ((4, 7), (9, 2)), ((2, 3), (3, 3)), ((1, 1), (2, 4))]


def main(folder: Path) -> None:
    random = np.random.default_rng(0)
    expected = {}
    for shape, size in CASES:
        name = "{}x{}".format(*shape)
        grid = expected.setdefault(f"grid_{name}", random.normal(size=(*shape, DIM)).astype(np.float32))
        channels_first = torch.from_numpy(grid).double().permute(2, 0, 1)[None]
        resized = torch.nn.functional.interpolate(channels_first, size=size, mode="bicubic", align_corners=False)
        expected["{}_to_{}x{}".format(name, *size)] = resized[0].permute(1, 2, 0).float().numpy()
    path = folder / "torch_bicubic.npz"
    np.savez_compressed(path, **expected)
    print(path, path.stat().st_size, "bytes")
