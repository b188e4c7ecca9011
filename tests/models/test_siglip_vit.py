"""SigLIP's image towers against those that timm builds (scripts/parity/siglip_fixtures.py)."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from cliptail_jax.errors import UserError
from cliptail_jax.models.image_towers import check_image_size
from cliptail_jax.models.siglip_vit import EPSILON, SIGLIP_VITS, SiglipShape, SiglipViT, member_for

MEMBERS = json.loads((Path(__file__).parents[1] / "data" / "siglip_members.json").read_text())
ACTIVATIONS = {"gelu": "GELU", "gelu_tanh": "GELUTanh"}
SMALL = SiglipShape(8, 48, 1, 4)


def test_all_members_in_open_clips_configurations_have_timms_sizes():
    assert SIGLIP_VITS.keys() == MEMBERS.keys()
    for name, shape in SIGLIP_VITS.items():
        sizes, inner = MEMBERS[name], int(shape.mlp_ratio * shape.width)
        found = {key: getattr(shape, key) for key in ("patch_size", "width", "layers", "heads")}
        found |= {"inner": [inner, inner], "activation": ACTIVATIONS[shape.activation], "epsilon": EPSILON}
        assert found == {key: sizes[key] for key in found}, name
        assert member_for(name, sizes["side"]) == name


def test_parameters_are_as_many_as_timms():
    for name in ("vit_base_patch32_siglip_256", "vit_so400m_patch14_siglip_384"):
        tower = nnx.eval_shape(lambda n=name: SiglipViT(SIGLIP_VITS[n], MEMBERS[n]["side"], rngs=nnx.Rngs(0)))
        assert sum(leaf.size for leaf in jax.tree.leaves(nnx.state(tower))) == MEMBERS[name]["parameters"]


def test_a_tower_is_named_for_another_size_where_timm_has_the_same_one():
    assert member_for("vit_large_patch16_siglip_256", 384) == "vit_large_patch16_siglip_384"
    with pytest.raises(UserError, match="vit_large_patch16_siglip_256 for images of 256, 384 pixels, not 512"):
        member_for("vit_large_patch16_siglip_256", 512)  # which has another activation


def test_a_tower_takes_images_of_its_own_size_though_some_pixels_fill_no_patch():
    vision_cfg = {"timm_model_name": "vit_so400m_patch14_siglip_384", "image_size": 384}
    check_image_size(vision_cfg, 384)
    check_image_size(vision_cfg, 378)
    with pytest.raises(UserError, match="385 is not divisible by 14"):
        check_image_size(vision_cfg, 385)
    tower = SiglipViT(SMALL, 20, rngs=nnx.Rngs(0))
    images = np.random.default_rng(0).normal(size=(1, 20, 20, 3)).astype(np.float32)
    np.testing.assert_array_equal(tower(images), tower(images[:, :16, :16]))
    with pytest.raises(UserError, match="images of 3 × 2 cells, but this image tower has positions for 2 × 2"):
        tower(np.zeros((1, 24, 16, 3)))


def test_new_weights_are_drawn_as_by_timm():
    tower = jax.jit(lambda key: nnx.state(SiglipViT(SMALL, 32, rngs=nnx.Rngs(key))))(jax.random.key(0))
    bound = (3 * SMALL.patch_size**2) ** -0.5
    for path, variable in nnx.to_flat_state(tower):
        name, value = "/".join(map(str, path)), np.asarray(variable[...])
        if path[1] == "patch_embed":
            assert bound * (1 - 10 / value.size) < np.abs(value).max() <= bound, name
        elif path[-1] == "latent":
            assert 0.5 < value.std() * SMALL.width**0.5 < 1.2 and np.abs(value).max() <= 2 * SMALL.width**-0.5
        elif path[-1] in ("kernel", "pos_embed"):
            assert abs(value.std() / 0.02 - 1) < 5 / (2 * value.size) ** 0.5, name
        else:
            np.testing.assert_array_equal(value, path[-1] == "scale", err_msg=name)
