"""Every family of open_clip's that loads, against features that open_clip computed (scripts/make_parity_fixtures.py)."""

from functools import partial

import jax
import numpy as np
import pytest
from flax import nnx
from seeded_weights import draw_images
from tiny_models import CASES, write_model

from cliptail_jax.pretrained.published_clip import load
from tests.models.quick import QUICK

RELATIVE = 1e-5
features = jax.jit(lambda tower, inputs: tower(inputs), compiler_options=QUICK)  # families share their towers


@pytest.mark.parametrize("name", CASES)
def test_features_equal_those_of_open_clip(name, tmp_path):
    case = CASES[name]
    pretrained = load(write_model(tmp_path / name, name))
    if size := case.get("opened_at"):
        pretrained = pretrained.at_size(size)
    images = draw_images(2, pretrained.preprocess.size)
    model = pretrained.model
    for kind, tower, inputs in (("image", model.visual, images), ("text", model.text, np.array(case["tokens"]))):
        expected = np.array(case[f"{kind}_features"])
        difference = np.abs(features(tower, inputs) - expected).max()
        assert difference <= RELATIVE * np.abs(expected).max(), kind


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "trained_features" in case])
def test_batch_statistics_in_training_equal_those_of_open_clip(name, tmp_path):
    """Both those of the batch, and the running ones that they update."""
    case = CASES[name]
    pretrained = load(write_model(tmp_path / name, name))
    images = draw_images(2, case.get("opened_at", pretrained.preprocess.size))
    graphdef, state = nnx.split(pretrained.model.visual)

    @partial(jax.jit, compiler_options=QUICK)
    def train(state):
        tower = nnx.merge(graphdef, state, copy=True)
        return tower(images, train=True), nnx.state(tower)

    found, after = train(state)
    for value, key in (
        (found, "trained_features"),
        (features(nnx.merge(graphdef, after), images), "features_after_training"),
    ):
        expected = np.array(case[key])
        assert np.abs(value - expected).max() <= 1e-4 * np.abs(expected).max(), key
