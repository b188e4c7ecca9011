import json

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from flax import nnx

from cliptail_jax.errors import UserError
from cliptail_jax.parallel.sharding import make_mesh
from cliptail_jax.train import train
from cliptail_jax.transfer.models import open_transfer_model
from configs import dino


def test_a_dino_runs_image_tower_is_the_teachers(small_config, tmp_path):
    config = small_config(dino)
    config.total_steps = 1
    config.dino.update({"prototypes": 40, "hidden": 16, "bottleneck": 8, "teacher_momentum": 0.5})
    config.data.multi_crop.update({"num_local": 1})
    train(config, tmp_path)
    model = open_transfer_model(str(tmp_path))
    graphdef, state, image_size = model.load(make_mesh(config.mesh))
    assert (model.run.step, image_size) == (1, config.data.image_size)
    found = nnx.to_pure_dict(nnx.state(nnx.merge(graphdef, state).visual, nnx.Param))
    with ocp.PyTreeCheckpointer() as checkpointer, pytest.warns(UserWarning, match="Sharding info not provided"):
        stored = checkpointer.restore(tmp_path / "checkpoints" / "1" / "default")
    teachers, students = (jax.tree.leaves(stored[part]["visual"]) for part in ("ema", "trainable"))
    for own, teacher in zip(jax.tree.leaves(found), teachers, strict=True):
        np.testing.assert_array_equal(own, teacher)
    assert any(np.any(teacher != student) for teacher, student in zip(teachers, students))


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
    with pytest.raises(UserError, match="holds evaluations of a published model: give the name of that model"):
        open_transfer_model(str(tmp_path))


def test_an_architecture_that_is_not_supported_is_an_error():
    model = open_transfer_model("EVA01-g-14/laion400m_s11b_b41k")
    with pytest.raises(UserError, match="is an EVA-CLIP, whose architecture is not supported"):
        model.load(None)
