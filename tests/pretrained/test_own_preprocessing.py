"""Runs that start from an image tower with its own pixel statistics, resize mode and interpolation."""

import dataclasses
import io
import json
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from cliptail_jax.datasets.source import open_source
from cliptail_jax.host.files import write_json
from cliptail_jax.input.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from cliptail_jax.jobs.evaluate import evaluate
from cliptail_jax.pretrained.export import export
from cliptail_jax.pretrained.model import open_run
from cliptail_jax.pretrained.published_clip import load
from cliptail_jax.runs.evaluations import last_evaluation
from configs import clip, dino
from tests.synthetic import objective_of, trained_anew

HALF = (0.5, 0.5, 0.5)
PREPROCESS_CFG = {"mean": HALF, "std": HALF, "interpolation": "bilinear", "resize_mode": "squash"}
SIDE = 32


@pytest.fixture(scope="session")
def half(published, tmp_path_factory):
    """The folder of a published CLIP whose pixel statistics are those of SigLIP."""
    folder = shutil.copytree(published, tmp_path_factory.mktemp("half") / "model")
    (folder / "sha256.json").unlink()
    document = json.loads((folder / "open_clip_config.json").read_text())
    write_json(folder / "open_clip_config.json", document | {"preprocess_cfg": PREPROCESS_CFG})
    return folder


@pytest.fixture(scope="session")
def half_run(half, small_config, tmp_path_factory):
    """The config and work directory of a CLIP run of three steps, each saved, on that tower, which is frozen."""
    config = small_config(clip)
    config.image.update({"init": str(half), "freeze": True})
    config.model.activation = "quick_gelu"  # as the tower has it, so that open_clip can have both
    config.total_steps, config.checkpoint.every_steps = 3, 1
    return trained_anew(config, tmp_path_factory)


def glyphs(config):
    """The test images of the run's classes as they are, and wider ones."""
    source = open_source("glyphs", config.data.data_dir, "test")
    records = np.flatnonzero(source.metadata["label"].to_numpy() < 12)
    images = [Image.open(io.BytesIO(encoded_image)).convert("RGB") for encoded_image in source.encoded_images(records)]
    return [np.asarray(image) for image in images], [np.asarray(image.resize((60, 40))) for image in images]


def features_of(model, images):
    """What the model makes of images, squashed by Pillow and normalised in float64."""
    squashed = [Image.fromarray(image).resize((SIDE, SIDE), Image.BILINEAR) for image in images]
    return np.asarray(jax.jit(model.encode_image)(np.float32((np.float64(squashed) / 255 - 0.5) / 0.5)))


def test_a_step_sees_what_the_published_model_sees(clip_config, half):
    clip_config.image.init = str(half)
    objective, model = objective_of(clip_config), load(half).model
    own_images, wide_images = glyphs(clip_config)
    for images in own_images, wide_images:
        batch = {"images": np.stack([objective.preprocess.square(image) for image in images])}
        features = jax.jit(lambda batch: model.encode_image(objective.images(batch)))(batch)
        np.testing.assert_allclose(features, features_of(model, images), rtol=1e-4, atol=1e-5)


def test_a_run_has_its_towers_preprocessing_from_training_to_export(half, half_run, tmp_path):
    config, workdir = half_run
    preprocess = Preprocess(SIDE, HALF, HALF, "bilinear", "squash", config.data.eval_resize)
    opened = open_run(workdir)
    assert opened.preprocess == preprocess and load(half).preprocess == dataclasses.replace(preprocess, short_side=0)
    in_training = last_evaluation(workdir, "glyphs:test")
    config.eval.save_features = True
    summary = evaluate(config, workdir)["glyphs:test"]
    assert (summary["top1"], summary["ece"]) == pytest.approx((in_training["top1"], in_training["ece"]))
    own_images, wide_images = glyphs(config)
    expected = features_of(load(half).model, own_images)  # the tower is frozen
    np.testing.assert_allclose(np.load(workdir / "eval/glyphs_test/features.npy"), expected, rtol=1e-4, atol=1e-5)
    export(workdir, tmp_path / "out")
    preprocess_cfg = json.loads((tmp_path / "out" / "open_clip_config.json").read_text())["preprocess_cfg"]
    assert preprocess_cfg == PREPROCESS_CFG | {"mean": list(HALF), "std": list(HALF)}
    exported = load(tmp_path / "out")
    features = exported.model.encode_image(np.stack([exported.preprocess(image) for image in wide_images]))
    np.testing.assert_allclose(features, features_of(load(half).model, wide_images), rtol=1e-4, atol=1e-5)


def test_dino_has_imagenets_pixel_statistics_or_those_of_its_tower(small_config, half, published):
    config = small_config(dino)
    config.data.multi_crop.num_local = 0
    statistics = {"random": (IMAGENET_MEAN, IMAGENET_STD), published: (IMAGENET_MEAN, IMAGENET_STD), half: (HALF, HALF)}
    for name, (mean, std) in statistics.items():
        config.image.init = str(name)
        preprocess = objective_of(config).view_preprocess
        assert (preprocess.mean, preprocess.std) == (mean, std), name
