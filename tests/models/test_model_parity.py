"""Our encoders against outputs of torch, torchvision and open_clip (scripts/make_parity_fixtures.py)."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cliptail_jax.host.errors import UserError
from cliptail_jax.models.basic_resnet import BasicResNet
from cliptail_jax.models.build import OneKey
from cliptail_jax.models.modified_resnet import ModifiedResNet
from cliptail_jax.models.positions import OTHER_GRIDS
from cliptail_jax.models.text import TextTransformer
from cliptail_jax.models.vit import VisionTransformer
from tests.models.published_names import load, published
from tests.models.quick import QUICK

DATA = Path(__file__).parents[1] / "data"
MODELS = {
    "modified_resnet": partial(ModifiedResNet, (2, 1, 1, 1), 4, 4, 16, 64),
    "basic_resnet": partial(BasicResNet, (1, 2, 1), 4, 8),
    "vit": partial(VisionTransformer, 8, 32, 2, 4, 16, 32, activation="gelu"),
    "text": partial(TextTransformer, 10, 50, 32, 2, 4, 16, activation="quick_gelu"),
}


def pick(arrays: dict, kind: str) -> dict:
    """The entries `kind`NAME by their names."""
    return {name.removeprefix(kind): value for name, value in arrays.items() if name.startswith(kind)}


def largest_error(gradients: dict, expected: dict) -> float:
    """The largest error of any gradient, relative to the largest number of the same gradient."""
    return max(float(np.abs(gradients[key] - value).max() / np.abs(value).max()) for key, value in expected.items())


@pytest.mark.parametrize("name", MODELS)
def test_features_gradients_and_running_statistics_equal_the_reference(name):
    """In evaluation, and in a training pass.

    Gradients jump where an input of a ReLU is 0. In the ResNet, one is so near to 0 that rounding decides: its gradient has to equal the
    reference for the images, or for some that differ from them by as much as rounding does.
    """
    arrays = dict(np.load(DATA / f"models_{name}.npz"))
    model = load(partial(MODELS[name], rngs=OneKey()), pick(arrays, "weight/"))
    graphdef, params, statistics = nnx.split(model, nnx.Param, nnx.BatchStat)
    inputs = arrays["tokens"] if "tokens" in arrays else arrays["images"].astype(np.float32) / 64 - 2

    def loss(params, inputs, train):
        model = nnx.merge(graphdef, params, statistics, copy=True)
        features = model(inputs, train) if "images" in arrays else model(inputs)
        return (features * arrays["cotangent"]).sum(), (features, nnx.state(model, nnx.BatchStat))

    @partial(jax.jit, compiler_options=QUICK)
    def run(params, inputs):
        return loss(params, inputs, False)[1][0], *jax.value_and_grad(loss, has_aux=True)(params, inputs, True)

    evaluated, (_, (train_features, statistics)), gradients = run(params, inputs)
    np.testing.assert_allclose(evaluated, arrays["features"], rtol=1e-5, atol=1e-5)
    expected = arrays["train_features" if statistics else "features"]
    np.testing.assert_allclose(train_features, expected, rtol=5e-5, atol=5e-5)
    expected = pick(arrays, "gradient/")
    assert expected
    errors = [largest_error(published(gradients), expected)]
    random = np.random.default_rng(0)
    while name == "modified_resnet" and errors[-1] > 1e-4 and len(errors) < 100:
        near_inputs = (inputs * (1 + 2e-6 * random.normal(size=inputs.shape))).astype(np.float32)
        errors.append(largest_error(published(run(params, near_inputs)[2]), expected))
    assert errors[-1] < 1e-4, errors
    statistics, expected = published(statistics), pick(arrays, "running/")
    assert statistics.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(statistics[key], value, rtol=2e-5, atol=1e-6, err_msg=key)


TRUTH = np.load(DATA / "models_other_sizes.npz")


@pytest.mark.parametrize("name", ["modified_resnet", "vit"])
def test_features_of_other_sizes_equal_the_reference(name):
    weights = pick(dict(np.load(DATA / f"models_{name}.npz")), "weight/")
    cases = [key.removesuffix("/images") for key in TRUTH if key.startswith(name) and key.endswith("/images")]
    images = [TRUTH[f"{case}/images"].astype(np.float32) / 64 - 2 for case in cases]
    model = load(partial(MODELS[name], resampling=OTHER_GRIDS, rngs=OneKey()), weights)

    features = jax.jit(lambda batches: [model(batch) for batch in batches], compiler_options=QUICK)(images)

    assert len(cases) == 3
    for case, ours in zip(cases, features, strict=True):
        np.testing.assert_allclose(ours, TRUTH[f"{case}/features"], rtol=1e-5, atol=1e-5, err_msg=case)


@pytest.mark.parametrize("name, size", [("modified_resnet", 16), ("vit", 7)])
def test_an_image_too_small_for_a_single_cell_is_an_error(name, size):
    with pytest.raises(
        UserError, match="the images are too small for this image tower: they have 0 × 0 cells; give larger"
    ):
        nnx.eval_shape(lambda: MODELS[name](rngs=OneKey())(jnp.zeros((1, size, size, 3))))
