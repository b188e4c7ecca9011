"""References for tests/models/test_positions.py and test_model_parity.py: positional embeddings for other grids.

torch_positions.npz has embedding_SIDE [1 + SIDE², DIM] in float32, and for each case the embedding of another grid,
computed in float64 and rounded to float32: dino/SIDE_to_HxW by DINO's rule, torch's bicubic interpolation with a scale
factor, and open_clip/SIDE_to_NEW by open_clip's `resize_pos_embed`.

models_other_sizes.npz has outputs of open_clip's image towers, those of model_fixtures.py, whose embeddings are resampled by
DINO's rule: for each TOWER and size TOWER/HxW/images, bytes b for the values b / 64 - 2, channels last, and
TOWER/HxW/features, computed in float64 and rounded to float32.
"""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from open_clip.model import resize_pos_embed
from parity.model_fixtures import TOWERS

DIM = 5
# From the grids of 224 px to those of 96 px and 288 px (ResNet: 32 px a cell, ViT: 16), and odd cases.
DINO_CASES = [(7, 3, 3), (7, 9, 9), (7, 7, 7), (14, 6, 6), (4, 9, 2), (1, 2, 4)]
OPEN_CLIP_CASES = [(7, 3), (7, 9), (14, 6), (4, 9), (1, 2)]
# Image size to grid. Grids shrink, grow and are no longer square; not all sizes are multiples of 32 and 8 pixels.
GRIDS = {
    "modified_resnet": {(32, 32): (1, 1), (96, 96): (3, 3), (40, 72): (1, 2)},
    "vit": {(24, 24): (3, 3), (48, 48): (6, 6), (44, 29): (5, 3)},
}
POSITIONS = {"modified_resnet": "attnpool.positional_embedding", "vit": "positional_embedding"}


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


def embeddings() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    sides = sorted({side for side, *_ in DINO_CASES + OPEN_CLIP_CASES})
    embeddings = {side: random.normal(size=(1 + side**2, DIM)).astype(np.float32) for side in sides}
    doubles = {side: torch.from_numpy(embedding).double() for side, embedding in embeddings.items()}
    arrays = {f"embedding_{side}": embedding for side, embedding in embeddings.items()}
    for side, height, width in DINO_CASES:
        arrays[f"dino/{side}_to_{height}x{width}"] = resampled(doubles[side], height, width).float().numpy()
    for side, new in OPEN_CLIP_CASES:
        arrays[f"open_clip/{side}_to_{new}"] = resized(doubles[side], new).float().numpy()
    return arrays


def other_sizes(folder: Path) -> dict[str, np.ndarray]:
    random, arrays = np.random.default_rng(0), {}
    for name, grids in GRIDS.items():
        models = np.load(folder / f"models_{name}.npz")
        weights = {k.removeprefix("weight/"): torch.from_numpy(models[k]) for k in models if k.startswith("weight/")}
        model = TOWERS[name]().double().eval()
        model.load_state_dict(weights)
        module, _, attribute = POSITIONS[name].rpartition(".")
        for size, grid in grids.items():
            images = random.integers(0, 256, (1, *size, 3), dtype=np.uint8)
            positions = torch.nn.Parameter(resampled(weights[POSITIONS[name]].double(), *grid))
            setattr(model.get_submodule(module), attribute, positions)
            with torch.no_grad():
                features = model(torch.from_numpy(images).permute(0, 3, 1, 2).double() / 64 - 2)
            case = "{}/{}x{}".format(name, *size)
            arrays |= {f"{case}/images": images, f"{case}/features": features.float().numpy()}
    return arrays


def references(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    return {"torch_positions.npz": embeddings(), "models_other_sizes.npz": other_sizes(folder)}
