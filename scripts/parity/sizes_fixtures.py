"""References for tests/models/test_other_sizes.py: open_clip's image towers on images of other sizes than their own.

The towers and their weights are those of model_fixtures.py, their positional embeddings resampled by DINO's rule.
models_other_sizes.npz has for each TOWER and size TOWER/HxW/images, bytes b for the values b / 64 - 2,
channels last, and TOWER/HxW/features, computed in float64 and rounded to float32.
"""

from pathlib import Path

import numpy as np
import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.transformer import VisionTransformer
from parity.positions_fixtures import resampled

# Image size to grid. Grids shrink, grow and are no longer square; not all sizes are multiples of 32 and 8 pixels.
GRIDS = {
    "modified_resnet": {(32, 32): (1, 1), (96, 96): (3, 3), (40, 72): (1, 2)},
    "vit": {(24, 24): (3, 3), (48, 48): (6, 6), (44, 29): (5, 3)},
}
POSITIONS = {"modified_resnet": "attnpool.positional_embedding", "vit": "positional_embedding"}


def make(name: str) -> torch.nn.Module:
    if name == "vit":
        return VisionTransformer(32, 8, width=32, layers=2, heads=4, mlp_ratio=4.0, output_dim=16)
    return ModifiedResNet([2, 1, 1, 1], output_dim=16, heads=4, image_size=64, width=4)


def main(folder: Path) -> None:
    random = np.random.default_rng(0)
    expected = {}
    for name, grids in GRIDS.items():
        stored = np.load(folder / f"models_{name}.npz")
        weights = {k.removeprefix("weight/"): torch.from_numpy(stored[k]) for k in stored if k.startswith("weight/")}
        tower = make(name).double().eval()
        tower.load_state_dict(weights)
        module, _, attribute = POSITIONS[name].rpartition(".")
        for size, grid in grids.items():
            images = random.integers(0, 256, (1, *size, 3), dtype=np.uint8)
            positions = torch.nn.Parameter(resampled(weights[POSITIONS[name]].double(), *grid))
            setattr(tower.get_submodule(module), attribute, positions)
            with torch.no_grad():
                features = tower(torch.from_numpy(images).permute(0, 3, 1, 2).double() / 64 - 2)
            case = "{}/{}x{}".format(name, *size)
            expected |= {f"{case}/images": images, f"{case}/features": features.float().numpy()}
    path = folder / "models_other_sizes.npz"
    np.savez_compressed(path, **expected)
    print(path, path.stat().st_size, "bytes")
