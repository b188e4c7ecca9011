"""SigLIP's image towers against those that timm builds (scripts/parity/siglip_fixtures.py)."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from cliptail_jax.errors import UserError
from cliptail_jax.models.image_towers import check_image_size, image_tower
from cliptail_jax.models.timm_members import SIGLIPS
from cliptail_jax.models.timm_vit import TimmViT
from tests.tiny_members import TIMM_VITS

MEMBERS = json.loads((Path(__file__).parents[1] / "data" / "siglip_members.json").read_text())
ACTIVATIONS = {"gelu": "GELU", "gelu_tanh": "GELUTanh"}


def saved_name(name, side):
    """open_clip's name of the tower `name` for images of another size."""
    vision_cfg = {"timm_model_name": name, "image_size": side}
    return image_tower(vision_cfg).for_open_clip(vision_cfg)["timm_model_name"]


def test_all_members_in_open_clips_configurations_have_timms_sizes():
    assert {name for name in SIGLIPS if name.startswith("vit_")} == MEMBERS.keys()
    for name, sizes in MEMBERS.items():
        member = SIGLIPS[name]
        found = {key: getattr(member, key) for key in ("patch_size", "width", "layers", "heads", "epsilon")}
        found |= {"side": member.image_size, "inner": [member.inner] * 2, "activation": ACTIVATIONS[member.activation]}
        assert found == {key: sizes[key] for key in found}, name
        assert saved_name(name, sizes["side"]) == name


def test_parameters_are_as_many_as_timms():
    for name in ("vit_base_patch32_siglip_256", "vit_so400m_patch14_siglip_384"):
        side, width = MEMBERS[name]["side"], MEMBERS[name]["width"]
        tower = nnx.eval_shape(lambda n=name, w=width, s=side: TimmViT(SIGLIPS[n], w, s, rngs=nnx.Rngs(0)))
        assert sum(leaf.size for leaf in jax.tree.leaves(nnx.state(tower))) == MEMBERS[name]["parameters"]


def test_a_tower_is_named_for_another_size_where_timm_has_the_same_one():
    assert saved_name("vit_large_patch16_siglip_256", 384) == "vit_large_patch16_siglip_384"
    with pytest.raises(UserError, match="vit_large_patch16_siglip_256 for images of 256, 384 pixels, not 512"):
        saved_name("vit_large_patch16_siglip_256", 512)  # which has another activation


def test_a_tower_takes_images_of_its_own_size_though_some_pixels_fill_no_patch():
    vision_cfg = {"timm_model_name": "vit_so400m_patch14_siglip_384", "image_size": 384}
    check_image_size(vision_cfg, 384)
    check_image_size(vision_cfg, 378)
    with pytest.raises(UserError, match="385 is not divisible by 14"):
        check_image_size(vision_cfg, 385)
    _, member = TIMM_VITS["siglip_parity_32"]
    tower = TimmViT(member, member.width, 20, rngs=nnx.Rngs(0))
    images = np.random.default_rng(0).normal(size=(1, 20, 20, 3)).astype(np.float32)
    np.testing.assert_array_equal(tower(images), tower(images[:, :16, :16]))
    with pytest.raises(UserError, match="images of 3 × 2 cells, but this image tower has positions for 2 × 2"):
        tower(np.zeros((1, 24, 16, 3)))
