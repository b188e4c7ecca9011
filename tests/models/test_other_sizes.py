"""Image towers on images of other sizes than their own, as DINO has them (scripts/parity/sizes_fixtures.py)."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from published_names import load
from quick import QUICK

from cliptail_jax.errors import UserError
from cliptail_jax.models.modified_resnet import ModifiedResNet
from cliptail_jax.models.positions import OTHER_GRIDS
from cliptail_jax.models.vit import VisionTransformer

DATA = Path(__file__).parents[1] / "data"
TRUTH = np.load(DATA / "models_other_sizes.npz")
MODELS = {
    "modified_resnet": lambda **options: ModifiedResNet((2, 1, 1, 1), 4, 4, 16, 64, rngs=nnx.Rngs(0), **options),
    "vit": lambda **options: VisionTransformer(8, 32, 2, 4, 16, 32, activation="gelu", rngs=nnx.Rngs(0), **options),
}


@pytest.mark.parametrize("name", MODELS)
def test_features_of_other_sizes_equal_the_reference(name):
    with np.load(DATA / f"models_{name}.npz") as stored:
        weights = {k.removeprefix("weight/"): stored[k] for k in stored if k.startswith("weight/")}
    cases = [key.removesuffix("/images") for key in TRUTH if key.startswith(name) and key.endswith("/images")]
    images = [TRUTH[f"{case}/images"].astype(np.float32) / 64 - 2 for case in cases]
    model = load(partial(MODELS[name], resampling=OTHER_GRIDS), weights)

    features = jax.jit(lambda batches: [model(batch) for batch in batches], compiler_options=QUICK)(images)

    assert len(cases) == 3
    for case, ours in zip(cases, features, strict=True):
        np.testing.assert_allclose(ours, TRUTH[f"{case}/features"], rtol=1e-5, atol=1e-5, err_msg=case)


@pytest.mark.parametrize("name, size", [("modified_resnet", 16), ("vit", 7)])
def test_an_image_too_small_for_a_single_cell_is_an_error(name, size):
    with pytest.raises(
        UserError, match="images too small for this image tower, which get a grid of 0 × 0: give larger"
    ):
        nnx.eval_shape(lambda: MODELS[name]()(jnp.zeros((1, size, size, 3))))
