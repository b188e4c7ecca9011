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
    "RN50": {
        "name": "modified_resnet",
        "layers": (3, 4, 6, 3),
        "width": 64,
        "heads": 32,
        "output_dim": 1024,
        "initialization": "clip",
    },
    "ViT-B-32": {
        "name": "vit",
        "layers": (12,),
        "width": 768,
        "heads": 12,
        "patch_size": 32,
        "output_dim": 512,
        "initialization": "clip",
    },
    "ViT-B-16": {
        "name": "vit",
        "layers": (12,),
        "width": 768,
        "heads": 12,
        "patch_size": 16,
        "output_dim": 512,
        "initialization": "clip",
    },
}
# Numbers that open_clip 3.3 reports for model.visual and for the whole model.
VISUAL_PARAMETERS = {"RN50": 38_316_896, "ViT-B-32": 87_849_216, "ViT-B-16": 86_192_640}
PARAMETERS = {"RN50": 102_007_137, "ViT-B-32": 151_277_313, "ViT-B-16": 149_620_737}


def describe(name: str) -> dict:
    vision_cfg = describe_image_tower(ConfigDict(IMAGE[name]), 224)
    text_cfg = describe_text_tower(ConfigDict(TEXT))
    return {"model_cfg": {"embed_dim": IMAGE[name]["output_dim"], "vision_cfg": vision_cfg, "text_cfg": text_cfg}}


@pytest.fixture(scope="module", params=IMAGE)
def model(request):
    return request.param, nnx.eval_shape(
        lambda: build_model(describe(request.param), dtype=DTYPES["bfloat16"], rngs=nnx.Rngs(0))
    )


def count(module: nnx.Module) -> int:
    return sum(int(np.prod(leaf.shape)) for leaf in flat(nnx.state(module, nnx.Param)).values())


def test_parameter_counts_are_the_published_ones(model):
    name, clip = model
    assert count(clip.visual) == VISUAL_PARAMETERS[name]
    assert count(clip) == PARAMETERS[name]


def test_state_dict_names_and_shapes_map_one_to_one(model):
    name, clip = model
    expected = {}
    for key, shape in SHAPES[name].items():
        if not key.endswith("num_batches_tracked"):
            path = to_clip_path(key, len(shape))
            expected[path] = tuple(shape[axis] for axis in to_layout(path, shape))
    assert {path: leaf.shape for path, leaf in flat(nnx.state(clip)).items()} == expected


def test_parameters_stay_float32_under_bfloat16_compute(model):
    _, clip = model
    assert {leaf.dtype for leaf in flat(nnx.state(clip)).values()} == {np.dtype("float32")}
