"""References for tests/models/test_positions.py: small positional embeddings for other grids, by torch and open_clip.

torch_positions.npz has embedding_SIDE [1 + SIDE², DIM] in float32, and for each case the embedding of another grid,
computed in float64 and rounded to float32: dino/SIDE_to_HxW by DINO's rule, torch's bicubic interpolation with a scale
factor, and open_clip/SIDE_to_NEW by open_clip's `resize_pos_embed`.
"""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from open_clip.model import resize_pos_embed

DIM = 5
# From the grids of 224 px to those of 96 px and 288 px (ResNet: 32 px a cell, ViT: 16), and odd cases.
DINO_CASES = [(7, 3, 3), (7, 9, 9), (7, 7, 7), (14, 6, 6), (4, 9, 2), (1, 2, 4)]
OPEN_CLIP_CASES = [(7, 3), (7, 9), (14, 6), (4, 9), (1, 2)]


def resampled(embedding: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The embedding for a grid of `height` × `width`, by DINO's rule."""
    side = round((len(embedding) - 1) ** 0.5)
    grid = embedding[1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    factors = ((height + 0.1) / side, (width + 0.1) / side)
    grid = torch.nn.functional.interpolate(grid, scale_factor=factors, mode="bicubic")
    assert grid.shape[2:] == (height, width)
    return torch.cat([embedding[:1], grid[0].flatten(1).T])


def resized(embedding: torch.Tensor, side: int) -> torch.Tensor:
    """The embedding for a grid of `side` × `side`, by open_clip."""
    weights = {"visual.positional_embedding": embedding}
    resize_pos_embed(weights, SimpleNamespace(visual=SimpleNamespace(grid_size=(side, side))))
    return weights["visual.positional_embedding"]


def main(folder: Path) -> None:
    random = np.random.default_rng(0)
    sides = sorted({side for side, *_ in DINO_CASES + OPEN_CLIP_CASES})
    embeddings = {side: random.normal(size=(1 + side**2, DIM)).astype(np.float32) for side in sides}
    expected = {f"embedding_{side}": embedding for side, embedding in embeddings.items()}
    for side, height, width in DINO_CASES:
        of = torch.from_numpy(embeddings[side]).double()
        expected[f"dino/{side}_to_{height}x{width}"] = resampled(of, height, width).float().numpy()
    for side, new in OPEN_CLIP_CASES:
        of = torch.from_numpy(embeddings[side]).double()
        expected[f"open_clip/{side}_to_{new}"] = resized(of, new).float().numpy()
    path = folder / "torch_positions.npz"
    np.savez_compressed(path, **expected)
    print(path, path.stat().st_size, "bytes")
