import json

import jax
import numpy as np
import pytest
from flax import nnx

from cliptail_jax.errors import UserError
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.parallel.sharding import make_mesh
from cliptail_jax.transfer.models import open_transfer_model
from tests.saved_state import read_state


def test_a_dino_runs_image_tower_is_the_teachers(trained_run):
    config, workdir = trained_run("dino")
    model = open_transfer_model(str(workdir))
    graphdef, state, preprocess = model.load(make_mesh(config.mesh))
    assert (model.run.step, preprocess) == (2, Preprocess(config.data.image_size))
    found = nnx.to_pure_dict(nnx.state(nnx.merge(graphdef, state).visual, nnx.Param))
    teachers = jax.tree.leaves(read_state(workdir)["ema"]["visual"])
    for own, teacher in zip(jax.tree.leaves(found), teachers, strict=True):
        np.testing.assert_array_equal(own, teacher)


def test_names_are_runs_or_published_models(published, sup_run):
    assert open_transfer_model(str(sup_run)).run.step > 0
    assert open_transfer_model(str(published)).run is None
    of_the_hub = open_transfer_model("RN50-quickgelu/cc12m")
    assert of_the_hub.weights == "hf-hub:timm/resnet50_clip.cc12m"  # without a look at the Hub
    assert open_transfer_model("RN50/cc12m").weights != of_the_hub.weights  # the same ones, with another activation
    with pytest.raises(UserError, match="unknown model 'RN50-quickgelu/cc12n'.*did you mean RN50-quickgelu/cc12m"):
        open_transfer_model("RN50-quickgelu/cc12n")


def test_evaluations_of_a_published_model_are_no_model(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"config": {"objective": "zero_shot"}}))
    with pytest.raises(UserError, match="contains evaluations of a published model: give the name of that model"):
        open_transfer_model(str(tmp_path))
