"""Logits less τ log π: of which logits and which π, and what it is good for."""

import json
import re
import warnings

import jax
import numpy as np
import pytest
from flax import nnx

from cliptail_jax.concepts.frequency_tables import read_frequency
from cliptail_jax.config.fields import to_config
from cliptail_jax.config.sections import MeshAxes
from cliptail_jax.errors import UserError
from cliptail_jax.evaluate import evaluate
from cliptail_jax.evaluation.adjustment import log_prior
from cliptail_jax.evaluation.counting import ClassHead, estimate_log_prior, make_sum_probabilities
from cliptail_jax.evaluation.results import evaluation_settings, is_evaluated
from cliptail_jax.files import write_json
from cliptail_jax.input.pipeline import UnreadableImages
from cliptail_jax.metrics.calibration import calibration, expected_calibration_error
from cliptail_jax.parallel.sharding import make_mesh
from cliptail_jax.pretrained import open_model
from tests.evaluation.pixel_model import DIM, PREPROCESS, SIDE, Images, Pixels, cosines, counts_of, softmax
from tests.evaluation.plain_evaluation import CLASSES, copied, count_confusion, evaluation_files, plain_features
from tests.evaluation.plain_evaluation import cosines as run_cosines

COUNTS = np.array([500, 120, 40, 9, 3, 1])


@pytest.fixture(scope="module")
def meshes():
    return {number: make_mesh(to_config(MeshAxes()), jax.devices()[:number]) for number in (1, 8)}


def head_and_logits(kind, images):
    """A head, and the logits of the images in float64."""
    rng = np.random.default_rng(2)
    embeddings, bias = rng.normal(size=(6, DIM)).astype(np.float32), rng.normal(size=6).astype(np.float32)
    if kind == "linear":
        return ClassHead(embeddings, bias=bias), images.features @ np.float64(embeddings).T + bias
    return ClassHead(embeddings, logit_scale=np.float32(np.log(9))), 9 * cosines(images.features, embeddings)


@pytest.mark.parametrize("kind, devices", [("linear", 8), ("cosine", 1)])
def test_classes_are_ranked_by_the_models_logits_less_tau_log_pi(kind, devices, meshes):
    images = Images(96, 6)
    head, logits = head_and_logits(kind, images)
    for tau in (0.5, 1.0, 2.0):
        adjusted = [[f - tau * np.log(n / COUNTS.sum()) for f, n in zip(row, COUNTS)] for row in logits]
        adjusted = np.array(adjusted)
        head = head._replace(adjustment=np.float32(tau * log_prior(COUNTS)))
        counts = counts_of(images, head, meshes[devices])
        expected = count_confusion(images.true, adjusted.argmax(1), 6)
        np.testing.assert_array_equal(counts["confusion"], expected)
        assert (expected != count_confusion(images.true, logits.argmax(1), 6)).any()
        five = [label in np.argsort(-row)[:5] for label, row in zip(images.true, adjusted)]
        assert counts["top5"] == sum(five)
        sums = calibration(counts["calibration"])
        assert sums.confidence.sum() == pytest.approx(softmax(adjusted).max(1).sum(), abs=1e-4)
        np.testing.assert_array_equal(sums.correct.sum(1), np.diag(expected))


def test_tau_1_makes_the_bayes_classifier_of_a_long_tail_that_of_equal_frequencies(meshes):
    """Classes are normal distributions of one width, N(μ_c, σ² I).

    A model that has learned them with frequencies π has the logits log p(x | c) + log π_c, and the best classifier of
    images that are equally frequent is the one by log p(x | c): the nearest mean, whose posteriors are calibrated.
    """
    classes, images, sigma = 6, 4096, 0.4
    rng = np.random.default_rng(4)
    means = rng.normal(0, 0.35, (classes, DIM))
    images = Images(images, classes, seed=5)
    drawn = means[images.labels] + rng.normal(0, sigma, (len(images.labels), DIM))
    pixels = 255 * (drawn.reshape(-1, SIDE, SIDE, 3) * PREPROCESS.std + PREPROCESS.mean)
    images.pixels = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    prior = COUNTS / COUNTS.sum()
    bias = -np.square(means).sum(1) / (2 * sigma**2) + np.log(prior)
    head = ClassHead(np.float32(means / sigma**2), bias=np.float32(bias))

    def at(tau):
        counts = counts_of(images, head._replace(adjustment=np.float32(tau * log_prior(COUNTS))), meshes[8], 512)
        return counts["confusion"], calibration(counts["calibration"])

    distances = np.square(images.features[:, None] - means).sum(-1)
    adjusted, sums = at(1.0)
    np.testing.assert_array_equal(adjusted, count_confusion(images.true, distances.argmin(1), classes))
    right = {tau: np.trace(at(tau)[0]) for tau in (0.0, 0.5, 1.0, 1.5, 2.0)}
    assert max(right, key=right.get) == 1.0 and right[1.0] > right[0.0] + 0.05 * len(images.true)
    assert expected_calibration_error(sums) < 0.02 < expected_calibration_error(at(0.0)[1])


def test_a_class_without_training_images_counts_as_one_with_a_single_image(meshes):
    """By log 0 it would be what every image is taken for."""
    counts = np.array([500, 120, 40, 9, 1, 0])
    np.testing.assert_allclose(np.exp(log_prior(counts)), np.maximum(counts, 1) / 671)
    np.testing.assert_allclose(log_prior(np.zeros(4, int)), np.log(np.full(4, 1 / 4)))
    images = Images(96, 6)
    head, logits = head_and_logits("linear", images)
    confusion = counts_of(images, head._replace(adjustment=np.float32(log_prior(counts))), meshes[1])["confusion"]
    expected = (logits - np.log(np.maximum(counts, 1))).argmax(1)
    np.testing.assert_array_equal(confusion, count_confusion(images.true, expected, 6))
    assert len(set(expected)) > 2


class Readable(UnreadableImages):
    """All images can be read."""

    def __init__(self):
        pass

    def take_from(self, batch):
        del batch["unreadable"]

    def check(self):
        pass


def estimated(images, head, mesh):
    graphdef, state = nnx.split(Pixels())
    batches = (batch | {"unreadable": None, "loading": None} for batch in images.batches(16))
    sum_probabilities = make_sum_probabilities(graphdef, mesh, PREPROCESS)
    return estimate_log_prior(sum_probabilities, (state,), head, batches, Readable(), mesh)


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_an_estimated_prior_is_the_mean_predicted_probability_of_the_images_that_are_not_masked(kind, meshes):
    images = Images(96, 6)
    head, logits = head_and_logits(kind, images)
    expected = np.mean([softmax(row) for row in logits], axis=0)
    one, eight = (estimated(images, head, meshes[number]) for number in (1, 8))
    np.testing.assert_allclose(np.exp(one), expected, rtol=1e-4)
    np.testing.assert_allclose(one, eight, atol=1e-5)


def test_a_class_that_is_never_likely_has_an_estimated_prior_nevertheless(meshes):
    """Of about e^-300, which no float32 holds: adjusted, it is as likely as any other class."""
    images = Images(96, 6)
    head, _ = head_and_logits("linear", images)
    head = head._replace(bias=head.bias - np.float32([0, 0, 0, 0, 0, 300]))
    prior = estimated(images, head, meshes[1])
    assert np.isfinite(prior).all() and prior[5] < -250
    predicted = counts_of(images, head._replace(adjustment=np.float32(prior)), meshes[1])["confusion"].sum(0)
    assert 0 < predicted[5] < predicted.sum() / 2


def test_a_prior_of_no_image_is_not_a_number_and_no_warning(meshes):
    """The pass that follows says that there is none."""
    images = Images(16, 6)
    images.mask[:] = False
    with warnings.catch_warnings(action="error"):
        assert np.isnan(estimated(images, head_and_logits("linear", images)[0], meshes[1])).all()


def own_logits(config, workdir):
    features, labels, head = plain_features(config, workdir)
    scale = np.exp(float(open_model(str(workdir)).model.logit_scale[...]))
    return scale * run_cosines(np.float64(features), np.float64(head)), labels


# After so few steps, SL predicts a single class by far.
@pytest.mark.parametrize(("name", "tau"), [("sl_run", 20.0), ("clip_run", 1.5)])
def test_a_run_is_adjusted_by_its_training_frequency_or_by_what_it_predicts(name, tau, request, tmp_path):
    config, workdir = copied(request.getfixturevalue(name), tmp_path)
    config.eval.neural_collapse = False
    logits, labels = own_logits(config, workdir)
    _, frequency = read_frequency(workdir / "class_frequency.tsv")
    assert frequency.min() == 0
    plain = evaluation_files(workdir)[1]["confusion"]

    config.eval.logit_adjustment = tau
    summary = evaluate(config, workdir)["glyphs:test"]
    adjusted = logits - tau * np.log(np.maximum(frequency, 1))
    (_, line), arrays = evaluation_files(workdir)
    np.testing.assert_array_equal(arrays["confusion"], count_confusion(labels, adjusted.argmax(1)))
    assert (arrays["confusion"] != plain).any()
    assert summary["top1"] == line["top1"] == pytest.approx(100 * np.mean(adjusted.argmax(1) == labels))
    assert line["settings"]["logit_adjustment"] == tau and "estimate_prior" not in line["settings"]

    config.eval.estimate_prior = True
    evaluate(config, workdir)
    adjusted = logits - tau * np.log(softmax(logits).mean(0))
    arrays = evaluation_files(workdir)[1]
    np.testing.assert_array_equal(arrays["confusion"], count_confusion(labels, adjusted.argmax(1)))
    assert arrays["confusion"].shape == (CLASSES, CLASSES)


def test_an_adjusted_evaluation_is_not_taken_for_a_plain_one(sl_run):
    options, found = sl_run[0].eval.copy_and_resolve_references(), []
    for adjusted in ((0.0, False), (1.0, False), (2.0, False), (1.0, True)):
        options.logit_adjustment, options.estimate_prior = adjusted
        assert is_evaluated(sl_run[1], options, uses_prompts=False) == (adjusted == (0.0, False))
        settings = evaluation_settings(options, uses_prompts=False)
        assert settings not in found
        found.append(settings)


def test_a_run_that_was_trained_with_adjusted_logits_is_adjusted_again_with_a_warning(sl_run, tmp_path, capsys):
    config, workdir = copied(sl_run, tmp_path)
    config.loss.logit_adjustment = 1.0
    noted = json.loads((workdir / "config.json").read_text())
    noted["config"]["loss.logit_adjustment"] = 1.0
    write_json(workdir / "config.json", noted)
    (workdir / "sha256.json").unlink(missing_ok=True)
    for options, warned in (((0.5, True), False), ((0.5, False), True)):
        config.eval.logit_adjustment, config.eval.estimate_prior = options
        evaluate(config, workdir)
        warning = "warning: the run was trained with loss.logit_adjustment=1, .*: eval.logit_adjustment=0.5 adjusts them again"
        assert bool(re.search(warning, capsys.readouterr().err)) == warned


@pytest.mark.parametrize(
    "options, message",
    [
        ({"logit_adjustment": -0.5}, "'eval.logit_adjustment' is -0.5; it must not be negative"),
        ({"logit_adjustment": float("nan")}, "'eval.logit_adjustment' is nan; it must be finite"),
        ({"logit_adjustment": float("inf")}, "'eval.logit_adjustment' is inf; it must be finite"),
        ({"estimate_prior": True}, "eval.estimate_prior is used by logit adjustment alone: set eval.logit_adjustment"),
        ({"logit_adjustment": 1.0}, "eval.logit_adjustment=1 needs logits, but head.init replaces the head"),
    ],
)
def test_an_adjustment_that_makes_no_sense_is_one_line(options, message, sl_run, tmp_path):
    """The last one does for the run's own head, but not for one that replaces it, which has no logits."""
    config, workdir = copied(sl_run, tmp_path)
    path = tmp_path / "other.npy"
    np.save(path, np.random.default_rng(0).normal(size=(CLASSES, 16)).astype(np.float32))
    config.head.update({"init": str(path), "freeze": True})
    config.eval.update(options)
    with pytest.raises(UserError, match=message) as raised:
        evaluate(config, workdir)
    assert "\n" not in str(raised.value)
