import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from ml_collections import ConfigDict

from cliptail_jax.config.training import ImageTower, TextTower
from cliptail_jax.host.errors import UserError
from cliptail_jax.models.build import DTYPES, OneKey, build_model
from cliptail_jax.models.image_towers import build_image_tower, describe_image_tower
from cliptail_jax.models.layers import BatchNorm
from cliptail_jax.models.open_clip import named_architecture
from cliptail_jax.models.text_towers import describe_text_tower
from tests.models.published_names import flat
from tests.models.quick import QUICK, can_be_computed_again, draw

IMAGE = {
    "modified_resnet": {"layers": (1, 1, 1, 1), "width": 4, "heads": 4},
    "basic_resnet": {"layers": (1, 1, 1), "width": 4},
    "vit": {"layers": (2,), "width": 8, "heads": 2, "patch_size": 8},
    "convnext": {"layers": (1, 1, 1, 1), "width": 4},
}
TEXT = {"name": "transformer", "width": 8, "heads": 2, "layers": 1, "context_length": 6, "vocab_size": 20}
TOKENS = jnp.array([[18, 3, 19, 0, 0, 0]] * 4)


def describe(image: str = "basic_resnet", size: int = 32, **changes) -> dict:
    """The description of a tiny CLIP, after a pass through JSON."""
    section = {"heads": 1, **IMAGE.get(image, {"layers": (1,), "width": 1})}
    model = ConfigDict({"image": {"name": image, **section}, "text": TEXT, "quick_gelu": False})
    model.update_from_flattened_dict({key.replace("__", "."): value for key, value in changes.items()})
    model_cfg = {
        "embed_dim": 8,
        "quick_gelu": model.quick_gelu,
        "vision_cfg": describe_image_tower(ImageTower(**model.image), size, quick_gelu=model.quick_gelu),
        "text_cfg": describe_text_tower(TextTower(**model.text)),
    }
    return json.loads(json.dumps({"model_cfg": model_cfg}))


def build_visual(description: dict, output_dim: int = 8, **options) -> nnx.Module:
    return build_image_tower(description["model_cfg"]["vision_cfg"], output_dim, rngs=OneKey(), **options)


@pytest.mark.usefixtures("tiny_members")
# Those of other towers are in tests/training/test_step.py and test_timm_towers.py.
@pytest.mark.parametrize("image, text", [("modified_resnet", "transformer"), ("convnext", "bert")])
def test_clip_in_bfloat16_keeps_float32_parameters_and_gives_close_float32_features(image, text):
    images = np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype(np.float32)
    description = describe(image, text__name=text)
    models = [draw(lambda d=d: build_model(description, dtype=d, rngs=OneKey())) for d in DTYPES.values()]

    @partial(jax.jit, compiler_options=QUICK)
    def encode(models):
        return [(model.encode_image(images, train=True), model.encode_text(TOKENS)) for model in models]

    assert {value.dtype for value in flat(nnx.state(models[1])).values()} == {jnp.dtype("float32")}
    exact, rough = encode(models)
    for ours, truth in zip(rough, exact, strict=True):
        assert ours.dtype == jnp.float32 and ours.shape == (4, 8)
        assert np.isfinite(ours).all()
        assert not np.array_equal(ours, truth)
        np.testing.assert_allclose(ours, truth, atol=0.05 * np.abs(truth).max())


@pytest.mark.parametrize("name, size", [("ViTamin-tiny", 64), ("MobileCLIP-tiny", 40), ("ViT-B-32", 64)])
def test_an_image_tower_by_open_clips_name_has_its_parameters_and_the_runs_sizes(name, size, tiny_members):
    architecture = named_architecture(name)
    ours = nnx.eval_shape(lambda: build_visual(describe(name, size)))
    theirs = nnx.eval_shape(lambda: build_image_tower(architecture["vision_cfg"], 8, rngs=OneKey()))
    shapes, expected = ({p: v.shape for p, v in flat(nnx.state(m)).items()} for m in (ours, theirs))
    assert shapes.keys() == expected.keys()
    assert {path[-1] for path in shapes if shapes[path] != expected[path]} <= {"positional_embedding", "pos_embed"}
    images = jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)
    assert nnx.eval_shape(lambda m, x: m(x), ours, images).shape == (2, 8)


def test_a_text_tower_by_the_name_of_an_encoder_has_its_sizes_and_the_runs_vocabulary():
    description = describe(text__name="roberta-base")
    shapes = flat(nnx.state(nnx.eval_shape(lambda: build_model(description, rngs=OneKey()))))
    assert shapes["text", "transformer", "embeddings", "word_embeddings", "embedding"].shape == (20, 768)
    assert ("text", "transformer", "encoder", "layer", 11, "output", "dense", "kernel") in shapes


def test_group_size_reaches_every_batch_norm(tiny_members):
    numbers = {"modified_resnet": 9, "basic_resnet": 9, "MobileCLIP-B": 1, "MobileCLIP-tiny": 9}
    for name, number in numbers.items():
        model = nnx.eval_shape(lambda name=name: build_visual(describe(name), group_size=4))
        norms = [module for _, module in nnx.iter_modules(model) if isinstance(module, BatchNorm)]
        assert len(norms) > number and all(norm.group_size == 4 for norm in norms)


def test_initialization_reaches_the_modified_resnet():
    def gain_of_a_last_norm(initialization):
        model = build_visual(describe("modified_resnet", image__initialization=initialization))
        return model.layer1[0].bn3.scale[...]

    gains = jax.jit(lambda: [gain_of_a_last_norm(name) for name in ("clip", "pytorch")], compiler_options=QUICK)()
    np.testing.assert_array_equal(gains, np.repeat([[0], [1]], 16, 1))


@pytest.mark.parametrize("image, text", [("modified_resnet", "bert"), ("convnext", "transformer")])
def test_blocks_of_each_tower_can_be_computed_again(image, text):
    model = draw(lambda: build_model(describe(image, text__name=text), rngs=OneKey()))
    for tower, inputs in ((model.visual, jnp.zeros((1, 32, 32, 3))), (model.text, TOKENS)):
        assert can_be_computed_again(tower, inputs)


def test_a_given_head_is_kept_if_it_is_as_wide_as_the_features():
    def kept(output_dim):
        model_cfg = describe()["model_cfg"] | {"embed_dim": output_dim}
        description = {"model_cfg": model_cfg, "head": {"kind": "cosine", "classes": 10}}
        return build_model(description, head=head, rngs=nnx.Rngs(0)).head[...]

    head = np.random.default_rng(0).normal(size=(10, 12)).astype(np.float16)
    initial_head = jax.jit(lambda: kept(12), compiler_options=QUICK)()
    assert initial_head.dtype == jnp.float32
    np.testing.assert_array_equal(initial_head, head)
    with pytest.raises(UserError, match="head: its rows are 12 wide: set model.image.output_dim to that"):
        kept(8)


@pytest.mark.parametrize(
    "image, size, changes, message",
    [
        ("vit", 30, {}, r"data\.image_size: 30 is not divisible by 8"),
        ("vit", 32, {"image__heads": 3}, r"model\.image\.heads: 3 heads do not divide 8"),
        ("vit", 32, {"text__heads": 3}, r"model\.text\.heads: 3 heads do not divide 8"),
        (
            "basic_resnet",
            32,
            {"image__layers": (1, 1)},
            r"model\.image\.layers is \(1, 1\): basic_resnet takes one number for each of its stages, 3",
        ),
        ("modified_resnet", 32, {"image__heads": 3}, r"model\.image\.heads: 3 heads do not divide 128"),
        ("ViT-L-14", 32, {}, r"data\.image_size: 32 is not divisible by 14"),
        ("ViT-B-32-quickgelu", 32, {}, "ViT-B-32-quickgelu has QuickGELU: set model.activation='quick_gelu'"),
        ("vitamin", 32, {}, r"'model.image.name' is 'vitamin' \(did you mean .*; it must be one of .*, or a name in"),
        ("vit", 32, {"text__name": "roberta"}, r"'model.text.name' is 'roberta' \(did you mean roberta-base"),
        ("vit", 32, {"text__name": "roberta-base", "text__context_length": 514}, "514 is more than the 513 positions"),
    ],
)
def test_impossible_value_is_an_error_that_names_the_key(image, size, changes, message):
    with pytest.raises(UserError, match=message) as error:
        describe(image, size, **changes)
    assert "\n" not in str(error.value)
