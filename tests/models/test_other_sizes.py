"""Image towers on images of other sizes than their own, against open_clip (scripts/parity/sizes_fixtures.py)."""

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
from cliptail_jax.models.positions import token_positions
from cliptail_jax.models.vit import VisionTransformer

DATA = Path(__file__).parents[1] / "data"
TRUTH = np.load(DATA / "models_other_sizes.npz")
MODELS = {
    "modified_resnet": lambda: ModifiedResNet((2, 1, 1, 1), 4, 4, 16, 64, rngs=nnx.Rngs(0)),
    "vit": lambda: VisionTransformer(8, 32, 2, 4, 16, 32, activation="gelu", rngs=nnx.Rngs(0)),
}


@pytest.mark.parametrize("name", MODELS)
def test_features_of_other_sizes_equal_the_reference(name):
    with np.load(DATA / f"models_{name}.npz") as stored:
        weights = {k.removeprefix("weight/"): stored[k] for k in stored if k.startswith("weight/")}
    cases = [key.removesuffix("/images") for key in TRUTH if key.startswith(name) and key.endswith("/images")]
    images = [TRUTH[f"{case}/images"].astype(np.float32) / 64 - 2 for case in cases]
    model = load(MODELS[name], weights)

    features = jax.jit(lambda batches: [model(batch) for batch in batches], compiler_options=QUICK)(images)

    assert len(cases) == 3
    for case, ours in zip(cases, features, strict=True):
        np.testing.assert_allclose(ours, TRUTH[f"{case}/features"], rtol=1e-5, atol=1e-5, err_msg=case)


def test_positions_of_the_size_they_were_made_for_are_returned_as_they_are():
    embedding = jnp.arange(10.0).reshape(5, 2)
    assert token_positions(embedding, 2, 2) is embedding
    assert token_positions(embedding, 1, 4).shape == (5, 2)  # as many cells, but another shape
    assert not np.array_equal(token_positions(embedding, 1, 4), embedding)


@pytest.mark.parametrize("name, size", [("modified_resnet", 16), ("vit", 7)])
def test_an_image_too_small_for_a_single_cell_is_an_error(name, size):
    with pytest.raises(
        UserError, match="images too small for this image tower, which get a grid of 0 × 0: give larger"
    ):
        nnx.eval_shape(lambda: MODELS[name]()(jnp.zeros((1, size, size, 3))))
