import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cliptail_jax import runs
from cliptail_jax.errors import UserError
from cliptail_jax.parallel.sharding import make_mesh
from cliptail_jax.runs.checkpoints import Checkpoints
from cliptail_jax.training.optimizer import make_optimizer
from cliptail_jax.training.state import init_state
from cliptail_jax.transfer.models import PublishedModel, RunModel, find_image_model
from configs import dino


def test_a_dino_runs_image_tower_is_the_teachers(small_config, tmp_path):
    config = small_config(dino)
    config.dino.update({"prototypes": 40, "hidden": 16, "bottleneck": 8})
    mesh = make_mesh(config.mesh)
    _, state, _ = init_state(config, make_optimizer(config, 1), mesh, 12)
    state = state.replace(step=jnp.asarray(1), ema=jax.tree.map(lambda x: 2 * x + 1, state.ema))
    runs.claim(tmp_path, config, overwrite=False)
    with Checkpoints(tmp_path / "checkpoints", keep=2) as checkpoints:
        checkpoints.save(1, state)
    model = find_image_model(str(tmp_path))
    assert isinstance(model, RunModel) and model.step == 1
    tower = model.load(mesh)
    assert tower.image_size == config.data.image_size
    weights = nnx.state(nnx.merge(tower.graphdef, *tower.parts).visual, nnx.Param)
    for found, teachers in zip(jax.tree.leaves(weights), jax.tree.leaves(state.ema["visual"]), strict=True):
        np.testing.assert_array_equal(found, teachers)


def test_names_are_runs_or_published_models(published, sup_run):
    assert isinstance(find_image_model(str(sup_run)), RunModel)
    assert isinstance(find_image_model(str(published)), PublishedModel)
    of_the_hub = find_image_model("RN50-quickgelu/cc12m")
    assert of_the_hub.weights == "hf-hub:timm/resnet50_clip.cc12m"  # without a look at the Hub
    assert find_image_model("RN50/cc12m").weights != of_the_hub.weights  # the same ones, with another activation
    with pytest.raises(UserError, match="unknown model 'RN50-quickgelu/cc12n'.*did you mean RN50-quickgelu/cc12m"):
        find_image_model("RN50-quickgelu/cc12n")


def test_a_run_without_a_checkpoint_is_an_error(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"config": {"objective": "supervised"}}))
    with pytest.raises(UserError, match="there is no sound checkpoint in .*checkpoints: train until"):
        find_image_model(str(tmp_path)).weights


def test_evaluations_of_a_published_model_are_no_model(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"config": {"objective": "zero_shot"}}))
    with pytest.raises(UserError, match="holds evaluations of a published model: name that model itself"):
        find_image_model(str(tmp_path))


def test_an_architecture_that_is_not_supported_is_an_error(small_config):
    model = find_image_model("EVA01-g-14/laion400m_s11b_b41k")
    with pytest.raises(UserError, match="is an EVA-CLIP, whose architecture is not supported"):
        model.load(None)
