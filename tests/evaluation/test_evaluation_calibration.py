"""How far a model's confidence is from its accuracy: of which logits, counted where, and written as what."""

import jax
import numpy as np
import pytest

from cliptail_jax.config.fields import to_config
from cliptail_jax.config.sections import MeshAxes
from cliptail_jax.evaluate import evaluate, table
from cliptail_jax.evaluation.counting import ClassHead
from cliptail_jax.evaluation.results import class_results, is_evaluated
from cliptail_jax.metrics.calibration import BINS, calibration
from cliptail_jax.metrics.measures import summarize
from cliptail_jax.parallel.sharding import make_mesh
from cliptail_jax.pretrained import open_model
from tests.evaluation.pixel_model import DIM, Images, cosines, counts_of, softmax
from tests.evaluation.plain_evaluation import CLASSES, copied, evaluation_files, plain_features
from tests.evaluation.plain_evaluation import cosines as run_cosines

KEYS = {"ece", "overconfidence_head", "overconfidence_mid", "overconfidence_tail"}


@pytest.fixture(scope="module")
def meshes():
    return {number: make_mesh(to_config(MeshAxes()), jax.devices()[:number]) for number in (1, 8)}


def head_of(kind, classes=6):
    rng = np.random.default_rng(1)
    embeddings, bias = rng.normal(size=(classes, DIM)).astype(np.float32), rng.normal(size=classes).astype(np.float32)
    scale = np.float32(np.log(7.0))
    return {
        "linear": ClassHead(embeddings, bias=bias),
        "cosine": ClassHead(embeddings, logit_scale=scale),
        "sigmoid": ClassHead(embeddings, logit_scale=scale, logit_bias=np.float32(-3)),
        "no scale": ClassHead(embeddings),
    }[kind]


def error_by_a_loop(probabilities, labels):
    """Σ_b n_b / n |accuracy − confidence|, bin by bin."""
    total = 0.0
    for number in range(BINS):
        inside = [
            (p.max(), p.argmax() == label)
            for p, label in zip(probabilities, labels)
            if number / BINS < p.max() <= (number + 1) / BINS
        ]
        if inside:
            confidence, right = np.mean(inside, axis=0)
            total += len(inside) / len(labels) * abs(right - confidence)
    return total


@pytest.mark.parametrize("kind", ["linear", "cosine", "sigmoid"])
def test_calibration_is_that_of_the_models_own_logits_on_one_device_and_on_eight(meshes, kind):
    images, head = Images(96, 6), head_of(kind)
    if kind == "linear":
        logits = images.features @ np.float64(head.embeddings).T + head.bias
    else:
        logits = 7 * cosines(images.features, head.embeddings)
    probabilities = 1 / (1 + np.exp(3 - logits)) if kind == "sigmoid" else softmax(logits)
    confidence, right = probabilities.max(1), logits.argmax(1) == images.true

    one, eight = (counts_of(images, head, meshes[number]) for number in (1, 8))
    for name in ("confusion", "top5"):
        np.testing.assert_array_equal(one[name], eight[name])
    one, eight = calibration(one["calibration"]), calibration(eight["calibration"])
    np.testing.assert_array_equal(one.examples, eight.examples)
    np.testing.assert_array_equal(one.correct, eight.correct)
    np.testing.assert_allclose(one.confidence, eight.confidence, atol=1e-5)
    for label in range(6):
        of_class = images.true == label
        assert one.examples[label].sum() == of_class.sum() and one.correct[label].sum() == right[of_class].sum()
        assert one.confidence[label].sum() == pytest.approx(confidence[of_class].sum(), abs=1e-4)

    groups = (np.array([0, 1]), np.array([2, 3]), np.array([4, 5]))
    summary = summarize(class_results(counts_of(images, head, meshes[1]), None, groups, None))
    assert summary["ece"] == pytest.approx(100 * error_by_a_loop(probabilities, images.true), abs=1e-3)
    for name, ids in zip(("head", "mid", "tail"), groups):
        gaps = [confidence[images.true == c].mean() - right[images.true == c].mean() for c in ids]
        assert summary[f"overconfidence_{name}"] == pytest.approx(100 * np.mean(gaps), abs=1e-3)


def test_a_logit_scale_changes_confidence_and_no_prediction(meshes):
    images, head = Images(96, 6), head_of("cosine")
    plain = counts_of(images, head_of("no scale"), meshes[1])
    for scale in (0.0, np.log(100)):
        scaled = counts_of(images, head._replace(logit_scale=np.float32(scale)), meshes[1])
        np.testing.assert_array_equal(scaled["confusion"], plain["confusion"])
        np.testing.assert_array_equal(scaled["top5"], plain["top5"])
        sums = calibration(scaled["calibration"])
        expected = softmax(np.exp(scale) * cosines(images.features, head.embeddings)).max(1)
        assert sums.confidence.sum() == pytest.approx(expected.sum(), abs=2e-3)


def test_a_head_without_a_scale_has_no_calibration(meshes):
    counts = counts_of(Images(32, 6), head_of("no scale"), meshes[1])
    assert set(counts) == {"confusion", "top5", "not_finite"}
    groups = (np.array([0, 1]), np.array([2, 3]), np.array([4, 5]))
    assert not KEYS & summarize(class_results(counts, None, groups, None)).keys()


@pytest.mark.parametrize("name", ["sl_run", "clip_run"])
def test_a_runs_calibration_is_that_of_its_cosines_times_its_learned_scale(name, request):
    config, workdir = request.getfixturevalue(name)
    features, labels, head = plain_features(config, workdir)
    scale = np.exp(float(open_model(str(workdir)).model.logit_scale[...]))
    logits = scale * run_cosines(np.float64(features), np.float64(head))
    probabilities, right = softmax(logits), logits.argmax(1) == labels

    (line,), arrays = evaluation_files(workdir)
    assert line["ece"] == pytest.approx(100 * error_by_a_loop(probabilities, labels), abs=0.01)
    for part in ("head", "mid", "tail"):
        gaps = [probabilities.max(1)[labels == c].mean() - right[labels == c].mean() for c in arrays[part]]
        assert line[f"overconfidence_{part}"] == pytest.approx(100 * np.mean(gaps), abs=0.01)
    examples, confidence, correct = (arrays[f"calibration_{of}"] for of in ("examples", "confidence", "correct"))
    assert examples.shape == confidence.shape == correct.shape == (CLASSES, BINS)
    np.testing.assert_array_equal(examples.sum(1), arrays["confusion"].sum(1))
    np.testing.assert_array_equal(correct.sum(1), np.diag(arrays["confusion"]))
    assert confidence.sum() == pytest.approx(probabilities.max(1).sum(), abs=1e-3)


def test_a_runs_head_that_another_one_replaces_takes_the_calibration_with_it(sl_run, tmp_path):
    """The scale was learned with the run's own, and says nothing about how sure another one is."""
    config, workdir = copied(sl_run, tmp_path)
    path = tmp_path / "other.npy"
    np.save(path, np.random.default_rng(0).normal(size=(CLASSES, 16)).astype(np.float32))
    config.head.update({"init": str(path), "freeze": True})
    assert not KEYS & evaluate(config, workdir)["glyphs:test"].keys()
    assert not [name for name in evaluation_files(workdir)[1] if "calibration" in name]


def test_an_evaluation_from_before_calibration_is_not_repeated(sl_run):
    """Nor do its settings differ: the numbers that are missing depend on none."""
    config, workdir = sl_run
    (line,), _ = evaluation_files(workdir)
    assert is_evaluated(workdir, config.eval, uses_prompts=False)
    assert not [key for key in line["settings"] if "calibration" in key or "adjustment" in key]


def test_printed_table_has_calibration_in_percent():
    summary = {"step": 3, "epoch": 1.0, "ece": 12.345, "overconfidence_tail": -3.21}
    assert table({"glyphs:test": summary}).splitlines()[1:] == [
        "ece                  12.3 %",
        "overconfidence_tail  -3.2 %",
    ]
