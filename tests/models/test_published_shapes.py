"""Names, shapes and numbers of parameters of full models against open_clip's, without weights."""

import json
from pathlib import Path

import numpy as np
import pytest
from flax import nnx
from ml_collections import ConfigDict
from published_names import flat, to_clip_path, to_layout

from cliptail_jax.models.build import DTYPES, build_model
from cliptail_jax.models.image_towers import describe_image_tower
from cliptail_jax.models.text_towers import describe_text_tower

SHAPES = json.loads((Path(__file__).parents[1] / "data" / "models_open_clip_shapes.json").read_text())
TEXT = {"name": "transformer", "width": 512, "heads": 8, "layers": 12, "context_length": 77, "vocab_size": 49408}
IMAGE = {
    "RN50": {"name": "modified_resnet", "layers": (3, 4, 6, 3), "width": 64, "heads": 32, "output_dim": 1024},
    "ViT-B-32": {"name": "vit", "layers": (12,), "width": 768, "heads": 12, "patch_size": 32, "output_dim": 512},
}
# Numbers that open_clip 3.3 reports for model.visual and for the whole model.
PARAMETERS = {"RN50": (38_316_896, 102_007_137), "ViT-B-32": (87_849_216, 151_277_313)}


def describe(name: str) -> dict:
    vision_cfg = describe_image_tower(ConfigDict(IMAGE[name] | {"initialization": "clip"}), 224)
    text_cfg = describe_text_tower(ConfigDict(TEXT))
    return {"model_cfg": {"embed_dim": IMAGE[name]["output_dim"], "vision_cfg": vision_cfg, "text_cfg": text_cfg}}


def count(module: nnx.Module) -> int:
    return sum(int(np.prod(leaf.shape)) for leaf in flat(nnx.state(module, nnx.Param)).values())


@pytest.mark.parametrize("name", IMAGE)
def test_names_shapes_and_numbers_of_parameters_are_the_published_ones(name):
    """They stay float32 where the computation is in bfloat16."""
    clip = nnx.eval_shape(lambda: build_model(describe(name), dtype=DTYPES["bfloat16"], rngs=nnx.Rngs(0)))
    assert (count(clip.visual), count(clip)) == PARAMETERS[name]
    expected = {}
    for key, shape in SHAPES[name].items():
        if not key.endswith("num_batches_tracked"):
            path = to_clip_path(key, len(shape))
            expected[path] = tuple(shape[axis] for axis in to_layout(path, shape))
    found = flat(nnx.state(clip))
    assert {path: leaf.shape for path, leaf in found.items()} == expected
    assert {leaf.dtype for leaf in found.values()} == {np.dtype("float32")}
