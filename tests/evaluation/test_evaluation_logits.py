"""How far a run's confidence is from its accuracy, and its logits less τ log π: of which logits and which π."""

import dataclasses
import json
import re

import numpy as np
import pytest

from cliptail_jax.evaluation.results import evaluation_settings, is_evaluated
from cliptail_jax.formats.frequency_tables import read_frequency
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import write_json
from cliptail_jax.jobs import train
from cliptail_jax.jobs.evaluate import evaluate
from cliptail_jax.jobs.predict import logits_of_run
from cliptail_jax.metrics.calibration import BINS
from cliptail_jax.objectives import OBJECTIVES, base_config, own_config, typed_config
from cliptail_jax.predictions.forecast import own_prior
from cliptail_jax.pretrained import open_model
from cliptail_jax.results.run import Run
from tests.evaluation.plain_evaluation import (
    CLASSES,
    copied,
    cosines,
    count_confusion,
    error_by_a_loop,
    evaluation_files,
    plain_features,
    softmax,
)
from tests.synthetic import sections

DEVICES = 8


def own_logits(config, workdir):
    features, labels, head = plain_features(config, workdir)
    scale = np.exp(float(open_model(str(workdir)).model.logit_scale[...]))
    return scale * cosines(features, head), labels


def trained_with_adjustment(workdir, tau):
    """Note in a run's files that it was trained with adjusted logits."""
    noted = json.loads((workdir / "config.json").read_text())
    noted["config"]["loss.logit_adjustment"] = tau
    write_json(workdir / "config.json", noted)
    (workdir / "sha256.json").unlink(missing_ok=True)


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


@pytest.mark.parametrize("tau", [0.0, 0.25])
def test_the_prior_of_the_runs_own_loss_is_subtracted(sl_run, tau, tmp_path):
    """As if SL were adjusted by τ = 1; after training with adjusted logits, by what is left of it."""
    config, workdir = copied(sl_run, tmp_path)
    config.eval.neural_collapse = False
    logits, labels = own_logits(config, workdir)
    frequency = np.maximum(read_frequency(workdir / "class_frequency.tsv")[1], 1)
    trained_with_adjustment(workdir, tau)
    config.loss.logit_adjustment, config.eval.without_prior = tau, True
    evaluate(config, workdir)
    (_, line), arrays = evaluation_files(workdir)
    expected = (logits - (1 - tau) * np.log(frequency)).argmax(1)
    np.testing.assert_array_equal(arrays["confusion"], count_confusion(labels, expected))
    assert line["settings"]["without_prior"] is True
    config.eval.logit_adjustment = 1.0
    with pytest.raises(UserError, match="both subtract a log-prior"):
        evaluate(config, workdir)


def test_a_forecast_reads_the_logits_of_a_run_and_the_prior_of_its_config(sl_run):
    config, workdir = sl_run
    expected, labels = own_logits(config, workdir)
    names, logits, classes = logits_of_run(workdir)
    np.testing.assert_array_equal([classes.index(name) for name in names], labels)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
    run = Run(workdir)
    counts = run.class_frequency[run.class_frequency > 0]
    np.testing.assert_allclose(own_prior(run, "sl")(counts), np.log(counts / counts.sum()))
    with pytest.raises(
        UserError, match="--trained_with=counts contradicts the config of .*, whose prior has the slope 2.30"
    ):
        own_prior(run, "counts")


def test_an_adjusted_evaluation_is_not_taken_for_a_plain_one(sl_run):
    options, all_settings = sections(sl_run[0]).eval, []
    for tau, is_estimated in ((0.0, False), (1.0, False), (2.0, False), (1.0, True)):
        options = dataclasses.replace(options, logit_adjustment=tau, estimate_prior=is_estimated)
        assert is_evaluated(sl_run[1], options, uses_prompts=False) == (tau == 0)
        settings = evaluation_settings(options, uses_prompts=False)
        assert settings not in all_settings
        all_settings.append(settings)


TWICE = "warning: with loss.logit_adjustment=1, .* already: eval.logit_adjustment=0.5 adjusts them again"


def test_a_run_that_was_trained_with_adjusted_logits_is_adjusted_again_with_a_warning(sl_run, tmp_path, capsys):
    config, workdir = copied(sl_run, tmp_path)
    config.loss.logit_adjustment = 1.0
    trained_with_adjustment(workdir, 1.0)
    for options, warned in (((0.5, True), False), ((0.5, False), True)):
        config.eval.logit_adjustment, config.eval.estimate_prior = options
        evaluate(config, workdir)
        assert bool(re.search(TWICE, capsys.readouterr().err)) == warned


@pytest.mark.parametrize(
    "changes, warned",
    [
        ({"loss.logit_adjustment": 0.5}, ""),
        ({"loss.logit_adjustment": 0.7}, "add up to more than 1"),
        ({"data.balanced_sampling": True}, "with data.balanced_sampling, classes are equally frequent"),
        ({"data.labels.noise": 0.2}, "with data.labels.noise=0.2, wrong classes count, too"),
        ({"loss.class_weights": 0.99}, "rare classes weigh more already"),
        ({"objective": "contrastive", "data.balanced_sampling": True}, "with data.balanced_sampling"),
    ],
)
def test_an_adjustment_for_other_class_frequencies_than_those_learnt_is_warned_of(changes, warned):
    config = base_config()
    config.update_from_flattened_dict(changes | {"eval.logit_adjustment": 0.5})
    section = typed_config(config)
    warnings = OBJECTIVES[section.objective].evaluated_run(own_config(section), {}).warnings
    assert bool(warnings) == bool(warned) and warned in "".join(warnings)


def test_training_warns_of_logits_that_are_adjusted_twice(sup_config, tmp_path, capsys, monkeypatch):
    def end(*_):
        raise UserError("before the first step")

    monkeypatch.setattr(train, "open_or_resume", end)
    sup_config.loss.logit_adjustment, sup_config.eval.logit_adjustment = 1.0, 0.5
    with pytest.raises(UserError, match="before the first step"):
        train.train(sup_config, tmp_path)
    assert re.search(TWICE, capsys.readouterr().err)


@pytest.mark.parametrize("name", ["sl_run", "clip_run"])
def test_a_runs_calibration_is_that_of_its_cosines_times_its_learned_scale(name, request):
    config, workdir = request.getfixturevalue(name)
    logits, labels = own_logits(config, workdir)
    probabilities, is_correct = softmax(logits), logits.argmax(1) == labels

    (line,), arrays = evaluation_files(workdir)
    assert line["ece"] == pytest.approx(100 * error_by_a_loop(probabilities, labels), abs=0.01)
    for part in ("head", "mid", "tail"):
        gaps = [probabilities.max(1)[labels == c].mean() - is_correct[labels == c].mean() for c in arrays[part]]
        assert line[f"overconfidence_{part}"] == pytest.approx(100 * np.mean(gaps), abs=0.01)
    examples, confidence, correct = (arrays[f"calibration_{name}"] for name in ("examples", "confidence", "correct"))
    assert examples.shape == confidence.shape == correct.shape == (CLASSES, BINS)
    np.testing.assert_array_equal(examples.sum(1), arrays["confusion"].sum(1))
    np.testing.assert_array_equal(correct.sum(1), np.diag(arrays["confusion"]))
    assert confidence.sum() == pytest.approx(probabilities.max(1).sum(), abs=1e-3)
