"""SigLIP's step against itself on other meshes, and a whole run."""

import functools
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cliptail_jax.evaluate import evaluate
from cliptail_jax.evaluation.published import evaluate_published
from cliptail_jax.objectives import make_objective
from cliptail_jax.objectives.sigmoid import sigmoid_loss
from cliptail_jax.planning.synthetic import synthetic_variant
from cliptail_jax.pretrained.export import export
from cliptail_jax.pretrained.model import open_model
from cliptail_jax.pretrained.published_clip import load
from cliptail_jax.train import train
from configs import clip, zero_shot
from tests.synthetic import CLASSES, assert_close, masked_noise, mesh_of, sgd_config, train_steps


@pytest.fixture(scope="module")
def make_config(glyphs_dir):
    """Makes configs of a SigLIP of two transformers."""
    return functools.partial(sgd_config, clip, glyphs_dir, "loss=sigmoid")


@pytest.fixture(scope="module")
def plain(make_config):
    config = make_config()
    return train_steps(config, masked_noise(config), steps=3)


def test_scale_and_bias_start_as_in_the_paper_and_are_trained_without_limits(plain, make_config):
    start, end = (state.trainable for state in (plain.states[0], plain.states[-1]))
    assert (float(start["logit_scale"][...]), float(start["logit_bias"][...])) == (pytest.approx(np.log(10)), -10.0)
    assert start["logit_scale"][...] != end["logit_scale"][...] and start["logit_bias"][...] != end["logit_bias"][...]
    assert plain.metrics[-1]["train/logit_bias"] == end["logit_bias"][...]
    nothing = plain.batch | {"mask": jax.device_put(np.zeros(32, bool), plain.batch["mask"].sharding)}
    state = jax.tree.map(lambda leaf: leaf, plain.states[0])
    high = jax.device_put(np.float32(6), state.trainable["logit_scale"][...].sharding)
    state.trainable["logit_scale"] = state.trainable["logit_scale"].replace(high)
    assert plain.step(state, nothing)[0].trainable["logit_scale"][...] == 6


def test_devices_blocks_and_micro_batches_compute_what_one_device_does(plain, make_config):
    config = make_config(contrastive__block=8, accumulate_steps=2)
    assert_close(train_steps(config, masked_noise(config), steps=3, devices=8, fsdp=4), plain)


def test_the_loss_of_chance_is_the_least_that_equal_features_can_have(make_config):
    objective = make_objective(make_config(), synthetic_variant(320, CLASSES))
    same, mask = jnp.ones((32, 4)), jnp.ones(32, bool)
    loss = jax.jit(lambda bias: sigmoid_loss(same, same, jnp.float32(0), bias, mask, mesh_of(1)))
    assert min(loss(jnp.float32(bias)) for bias in np.linspace(-6, -3, 301)) == pytest.approx(
        objective.chance_loss, rel=1e-4
    )


# A run


@pytest.fixture(scope="module")
def run(make_config, tmp_path_factory):
    config, workdir = (
        make_config(batch_size=16, total_steps=4, checkpoint__every_steps=2, model__text__context_length=77),
        tmp_path_factory.mktemp("run"),
    )
    config.optimizer.update({"name": "adamw", "learning_rate": 1e-3})
    train(config, workdir)
    return config, workdir


def test_a_run_opens_and_is_exported_with_its_bias_as_open_clip_names_it(run, tmp_path):
    model = open_model(str(run[1])).model
    assert float(model.logit_bias[...]) != -10.0
    export(run[1], tmp_path / "out")
    saved = json.loads((tmp_path / "out" / "open_clip_config.json").read_text())["model_cfg"]
    assert (saved["init_logit_scale"], saved["init_logit_bias"]) == (pytest.approx(np.log(10)), -10.0)
    jax.tree.map(np.testing.assert_array_equal, nnx.state(load(tmp_path / "out").model), nnx.state(model))


def ece_by_sigmoids(model, directory):
    """Of saved features and class embeddings, in percent, in float64 and example by example."""
    features, head, labels = (np.load(directory / f"{name}.npy") for name in ("features", "head", "labels"))
    scale, bias = np.exp(np.float64(model.logit_scale[...])), np.float64(model.logit_bias[...])
    bins = {}
    for feature, label in zip(np.float64(features), labels):
        cosines = [feature @ c / np.sqrt((feature @ feature) * (c @ c)) for c in np.float64(head)]
        probability = 1 / (1 + np.exp(-(scale * max(cosines) + bias)))
        bins.setdefault(int(np.ceil(15 * probability)), []).append(probability - (np.argmax(cosines) == label))
    return 100 * sum(abs(sum(gaps)) for gaps in bins.values()) / len(labels)


def test_calibration_by_sigmoids_is_of_a_run_and_of_the_published_model_that_it_becomes(run, tmp_path):
    config, workdir = run[0].copy_and_resolve_references(), shutil.copytree(run[1], tmp_path / "run")
    config.eval.save_features = True
    softmax = evaluate(config, workdir)["glyphs:test"]
    assert "confidence" not in softmax["settings"]
    config.eval.confidence = "sigmoid"
    summary, model = evaluate(config, workdir)["glyphs:test"], open_model(str(workdir)).model
    expected = ece_by_sigmoids(model, workdir / "eval/glyphs_test")
    assert summary["settings"]["confidence"] == "sigmoid" and summary["top1"] == softmax["top1"]
    assert summary["ece"] == pytest.approx(expected, abs=1e-3) and abs(summary["ece"] - softmax["ece"]) > 0.1
    export(workdir, tmp_path / "out")
    published = zero_shot.get_config(f"model={tmp_path / 'out'},sets=glyphs:test,template=simple")
    published.data.data_dir = config.data.data_dir
    published.eval.update({"save_features": True, "confidence": "sigmoid"})
    (summary,) = evaluate_published(published, tmp_path / "zero")
    expected = ece_by_sigmoids(load(tmp_path / "out").model, tmp_path / "zero/eval/glyphs_test")
    assert summary["ece"] == pytest.approx(expected, abs=1e-3)
