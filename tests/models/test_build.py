from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from ml_collections import ConfigDict
from published_names import flat
from quick import QUICK, draw

from cliptail_jax.errors import UserError
from cliptail_jax.models.build import DTYPES, build_classifier, build_clip, build_visual
from cliptail_jax.models.layers import BatchNorm

IMAGE = {
    "modified_resnet": {"layers": (1, 1, 1, 1), "width": 4, "heads": 4, "output_dim": 8, "initialization": "clip"},
    "basic_resnet": {"layers": (1, 1, 1), "width": 4, "output_dim": 8},
    "vit": {"layers": (2,), "width": 8, "heads": 2, "patch_size": 8, "output_dim": 8},
}


def config(name: str = "basic_resnet", **changes) -> ConfigDict:
    tree = ConfigDict(
        {
            "model": {
                "image": {"name": name, **IMAGE[name]},
                "text": {"width": 8, "heads": 2, "layers": 1, "context_length": 6, "vocab_size": 20},
                "activation": "gelu",
                "dtype": "float32",
            },
            "head": {"kind": "cosine"},
            "batch_norm": {"group_size": 0},
            "data": {"image_size": 32},
        }
    )
    tree.update_from_flattened_dict({key.replace("__", "."): value for key, value in changes.items()})
    return tree


@pytest.mark.parametrize("name", IMAGE)
def test_clip_in_bfloat16_keeps_float32_parameters_and_gives_close_float32_features(name):
    images = np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype(np.float32)
    tokens = jnp.array([[18, 3, 19, 0, 0, 0]] * 4)

    models = [draw(lambda d=dtype: build_clip(config(name, model__dtype=d), nnx.Rngs(0))) for dtype in DTYPES]

    @partial(jax.jit, compiler_options=QUICK)
    def encode(models):
        return [(model.encode_image(images, train=True), model.encode_text(tokens)) for model in models]

    assert {value.dtype for value in flat(nnx.state(models[1])).values()} == {jnp.dtype("float32")}
    exact, rough = encode(models)
    for ours, truth in zip(rough, exact, strict=True):
        assert ours.dtype == jnp.float32 and ours.shape == (4, 8)
        assert np.isfinite(ours).all()
        assert not np.array_equal(ours, truth)
        np.testing.assert_allclose(ours, truth, atol=0.05 * np.abs(truth).max())


def test_group_size_reaches_every_batch_norm():
    for name in ("modified_resnet", "basic_resnet"):
        model = nnx.eval_shape(lambda name=name: build_visual(config(name, batch_norm__group_size=4), nnx.Rngs(0)))
        norms = [module for _, module in nnx.iter_modules(model) if isinstance(module, BatchNorm)]
        assert len(norms) > 9 and all(norm.group_size == 4 for norm in norms)


def test_initialization_reaches_the_modified_resnet():
    def gain_of_a_last_norm(initialization):
        model = build_visual(config("modified_resnet", model__image__initialization=initialization), nnx.Rngs(0))
        return model.layer1[0].bn3.scale[...]

    gains = jax.jit(lambda: [gain_of_a_last_norm(name) for name in ("clip", "pytorch")], compiler_options=QUICK)()
    np.testing.assert_array_equal(gains, np.repeat([[0], [1]], 16, 1))


def test_activation_reaches_both_towers():
    model = nnx.eval_shape(lambda: build_clip(config("vit", model__activation="quick_gelu"), nnx.Rngs(0)))
    for tower in (model.visual, model.text):
        assert tower.transformer.resblocks[0].mlp.activation == "quick_gelu"


def test_random_head_has_a_row_per_class_and_std_of_the_inverse_root_of_its_width():
    head = jax.jit(lambda: build_classifier(config(), 1000, nnx.Rngs(0)).head[...], compiler_options=QUICK)()
    assert head.shape == (1000, 8)
    np.testing.assert_allclose(head.std(), 8**-0.5, rtol=0.05)


def test_given_head_is_kept_and_the_encoder_takes_its_width():
    head = np.random.default_rng(0).normal(size=(10, 12)).astype(np.float16)

    @partial(jax.jit, compiler_options=QUICK)
    def build():
        model = build_classifier(config(), 10, nnx.Rngs(0), head)
        return model.head[...], model.visual.fc.kernel[...]

    kept, kernel = build()
    assert kept.dtype == jnp.float32
    np.testing.assert_array_equal(kept, head)
    assert kernel.shape == (16, 12)


def test_head_with_another_class_count_is_an_error():
    with pytest.raises(UserError, match=r"head: its shape is \(10, 8\), but there are 9 classes"):
        build_classifier(config(), 9, nnx.Rngs(0), np.zeros((10, 8)))


@pytest.mark.parametrize(
    "name, changes, message",
    [
        ("vit", {"data__image_size": 30}, r"data\.image_size: 30 is not divisible by 8"),
        ("vit", {"model__image__heads": 3}, r"model\.image\.heads: 3 heads do not divide 8"),
        ("vit", {"model__text__heads": 3}, r"model\.text\.heads: 3 heads do not divide 8"),
        ("vit", {"model__image__layers": (1, 1)}, r"model\.image\.layers: vit takes 1 numbers, not \(1, 1\)"),
        ("basic_resnet", {"model__image__layers": (1, 1)}, r"model\.image\.layers: basic_resnet takes 3 numbers"),
        ("modified_resnet", {"data__image_size": 48}, r"data\.image_size: 48 is not divisible by 32"),
        ("modified_resnet", {"model__image__heads": 3}, r"model\.image\.heads: 3 heads do not divide 128"),
    ],
)
def test_impossible_value_is_an_error_that_names_the_key(name, changes, message):
    with pytest.raises(UserError, match=message):
        nnx.eval_shape(lambda: build_clip(config(name, **changes), nnx.Rngs(0)))
