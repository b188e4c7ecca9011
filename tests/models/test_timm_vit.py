"""timm's vision transformers where open_clip is no truth: gradients, precision, rotary positions, wrong values."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from quick import QUICK

from cliptail_jax.errors import UserError
from cliptail_jax.models.image_towers import build_image_tower
from cliptail_jax.models.remat import rematerialize
from cliptail_jax.models.rotary import Rotary, rotate
from cliptail_jax.models.timm_vit import TimmViT
from tests.tiny_members import TIMM_VITS

IMAGES = jnp.asarray(np.random.default_rng(0).normal(size=(4, 32, 32, 3)), jnp.float32)
EVA02 = {"timm_model_name": "eva02_base_patch16_clip_224", "timm_pool": "token", "timm_proj": None}


# Between them, these have all kinds of blocks, pooling and stems.
NAMES = (
    *("eva02_parity", "eva02_parity_post_norm", "pe_core_parity", "mobileclip_vit_parity", "gap_vit_parity"),
    "siglip_parity_32",
)


def build(name, dtype=jnp.float32):
    return TimmViT(replace(TIMM_VITS[name][1], layers=1), 16, 32, dtype=dtype, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("name", NAMES)
def test_all_parameters_are_trained_also_with_rematerialization_and_in_bfloat16(name):
    graphdefs = {"float32": nnx.graphdef(nnx.eval_shape(lambda: build(name)))}
    graphdefs["bfloat16"] = nnx.graphdef(nnx.eval_shape(lambda: build(name, jnp.bfloat16)))
    model = nnx.eval_shape(lambda: build(name))
    rematerialize(model)
    graphdefs["remat"] = nnx.graphdef(model)

    @jax.jit
    def gradients():
        params, rest = nnx.state(build(name), nnx.Param), nnx.state(build(name), nnx.BatchStat)

        def loss(params, graphdef):
            features = nnx.merge(graphdef, params, rest, copy=True)(IMAGES, train=True)
            return (features * jnp.arange(features.shape[1])).mean(), features

        return {key: jax.grad(loss, has_aux=True)(params, graphdef) for key, graphdef in graphdefs.items()}

    found = gradients.lower().compile(QUICK)()
    (whole, features), (again, _), (rounded, rough) = (found[key] for key in ("float32", "remat", "bfloat16"))
    for (path, x), (_, y), (_, z) in zip(*(nnx.to_flat_state(each) for each in (whole, again, rounded)), strict=True):
        assert x.dtype == z.dtype == jnp.float32 and np.abs(x[...]).max() > 0, path
        np.testing.assert_allclose(y[...], x[...], atol=1e-5 * np.abs(x[...]).max(), err_msg=str(path))
    assert rough.dtype == jnp.float32 and not np.array_equal(rough, features)
    np.testing.assert_allclose(rough, features, atol=0.05 * np.abs(features).max())


def test_products_of_rotated_queries_and_keys_depend_on_the_distance_only():
    side, random = 5, np.random.default_rng(0)
    angles = Rotary(side).angles(side, side, 16)
    query, key = (jnp.asarray(np.tile(random.normal(size=16), (1, side**2, 1, 1)), jnp.float32) for _ in range(2))
    products = np.asarray(rotate(query, angles)[0, :, 0] @ rotate(key, angles)[0, :, 0].T).reshape((side,) * 4)
    np.testing.assert_allclose(products[1:, 2:, 1:, 2:], products[:-1, :-2, :-1, :-2], rtol=1e-4, atol=1e-4)
    assert np.ptp(products[0, 0]) > 1 and not np.allclose(products[0, 0], products[0, 0].T, atol=0.1)


def test_tokens_before_the_grid_are_not_rotated():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 10, 1, 8)), jnp.float32)
    rotated = rotate(x, Rotary(3, offset=1).angles(3, 3, 8))
    np.testing.assert_array_equal(rotated[0, 0, 0], np.concatenate([x[0, 0, 0, ::2], x[0, 0, 0, 1::2]]))
    assert np.abs(rotated[0, 1:, 0] - x[0, 1:, 0]).max() > 0.1


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ({"timm_pool": "avg"}, 'vision_cfg.timm_pool="avg", which is not supported; "token" are'),
        ({"timm_pool": "map"}, 'vision_cfg.timm_pool="map", which is not supported'),
        ({"timm_proj": "mlp"}, 'vision_cfg.timm_proj="mlp", which is not supported; null are'),
        ({"timm_model_name": None, "cliptail_model_name": "eva"}, "cliptail_model_name='eva', which is not supported"),
        ({"timm_model_name": "vit_medium_patch16_gap_256"}, 'vision_cfg.timm_pool="token", which is not supported'),
    ],
)
def test_other_pooling_and_projections_than_a_family_has_are_named(changes, complaint):
    with pytest.raises(UserError, match=complaint):
        build_image_tower(EVA02 | changes, 16, rngs=nnx.Rngs(0))


def test_open_clips_defaults_hold_for_what_a_configuration_leaves_out():
    with pytest.raises(UserError, match='vision_cfg.timm_pool="avg", which is not supported'):
        build_image_tower({"timm_model_name": EVA02["timm_model_name"]}, 16, rngs=nnx.Rngs(0))
