"""timm's image towers where open_clip is no truth: gradients and precision."""

import json
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cliptail_jax.models.build import OneKey
from cliptail_jax.models.image_towers import TIMM_DEFAULTS, build_image_tower, image_tower
from cliptail_jax.models.timm_members import TIMM_VITS
from tests.models.published_names import flat
from tests.models.quick import QUICK, can_be_computed_again, draw

IMAGES = jnp.asarray(np.random.default_rng(0).normal(size=(8, 32, 32, 3)), jnp.float32)
# Between them, these have all kinds of blocks, pooling and stems.
NAMES = ("eva02_parity", "pe_core_parity", "mobileclip_vit_parity", "siglip_parity_32", "vitamin_parity")


def build(name, dtype=jnp.float32):
    choices = image_tower({"timm_model_name": name}).values({"timm_model_name": name})
    values = {key: default if default in choices[key] else choices[key][0] for key, default in TIMM_DEFAULTS.items()}
    return build_image_tower({"timm_model_name": name, "image_size": 32} | values, 32, dtype=dtype, rngs=OneKey())


@pytest.mark.parametrize("name", NAMES)
def test_all_parameters_are_trained_and_features_in_bfloat16_are_close(name, tiny_members):
    model, half = draw(lambda: build(name)), draw(lambda: build(name, jnp.bfloat16))

    @partial(jax.jit, compiler_options=QUICK)
    def compute(model, half):
        def loss(model):
            features = model(IMAGES, train=True)
            return (features * jnp.arange(features.shape[1])).mean(), features

        return nnx.grad(loss, has_aux=True)(model), half(IMAGES, train=True)

    (gradients, features), rough = compute(model, half)
    for path, gradient in flat(gradients).items():
        assert np.abs(gradient).max() > 0, path
    assert rough.dtype == jnp.float32 and not np.array_equal(rough, features)
    np.testing.assert_allclose(rough, features, atol=0.05 * np.abs(features).max())


@pytest.mark.parametrize("name", [*NAMES, "fastvit_parity"])
def test_blocks_can_be_computed_again(name, tiny_members):
    assert can_be_computed_again(draw(lambda: build(name)), IMAGES)


MEMBERS = json.loads((Path(__file__).parents[1] / "data" / "siglip_members.json").read_text())
ACTIVATIONS = {"gelu": "GELU", "gelu_tanh": "GELUTanh"}


def saved_name(name, side):
    """open_clip's name of the tower `name` for images of another size."""
    vision_cfg = {"timm_model_name": name, "image_size": side}
    return image_tower(vision_cfg).for_open_clip(vision_cfg)["timm_model_name"]


def test_all_members_in_open_clips_configurations_have_timms_sizes():
    assert {name for name in TIMM_VITS if name.startswith("vit_") and "_siglip_" in name} == MEMBERS.keys()
    for name, sizes in MEMBERS.items():
        member = TIMM_VITS[name]
        member_sizes = {key: getattr(member, key) for key in ("patch_size", "width", "layers", "heads", "epsilon")}
        member_sizes |= {
            "side": member.image_size,
            "inner": [member.inner] * 2,
            "activation": ACTIVATIONS[member.activation],
        }
        assert member_sizes == {key: sizes[key] for key in member_sizes}, name
        assert saved_name(name, sizes["side"]) == name
