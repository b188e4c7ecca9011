"""Runs that do not learn are noticed."""

import math
import shutil

import numpy as np
import pytest

from cliptail_jax.jobs.train import train
from cliptail_jax.results.run import Run
from cliptail_jax.training import learning_monitor
from cliptail_jax.training.learning_monitor import LearningMonitor

CHANCE = math.log(1024)


def warnings(watch, losses):
    return [text for step, loss in enumerate(losses, 1) if (text := watch.loss(step, loss))]


def test_a_loss_that_stays_at_chance_is_said_once_with_the_number():
    (text,) = warnings(LearningMonitor(CHANCE, first_step=10), [CHANCE + 0.001 * (-1) ** step for step in range(40)])
    assert text.startswith("no progress: the loss is 6.9") and "at step 10," in text and "(6.931)" in text
    assert warnings(LearningMonitor(CHANCE, 10, [text]), [CHANCE] * 40) == []


@pytest.mark.parametrize(
    "losses",
    [
        [CHANCE] * 9 + [5.0] * 20,  # it began to learn
        [CHANCE, 6.0] * 20,
        [CHANCE + 0.5] * 20,
        [1e-3] * 20,
    ],
)
def test_other_losses_are_not_remarkable(losses):
    assert warnings(LearningMonitor(CHANCE, first_step=10), losses) == []
    assert warnings(LearningMonitor(None, first_step=10), losses) == []


def test_a_model_that_predicts_one_class_is_said_once():
    watch, predictions = LearningMonitor(None, first_step=10), np.array([0, 995, 3, 2])
    assert watch.predictions(9, "glyphs:test", predictions) == ""
    assert watch.predictions(10, "glyphs:test", np.array([300, 600, 100, 0])) == ""
    text = watch.predictions(10, "glyphs:test", predictions)
    assert text == "one class: 99.5% of the predictions on glyphs:test at step 10 are class 1 of 0 to 3"
    assert watch.predictions(11, "glyphs:test", predictions) == ""
    assert watch.predictions(12, "two:test", np.array([1000, 0])) == ""


def test_warnings_are_in_the_log_and_are_not_repeated_by_a_later_session(trained_run, tmp_path, monkeypatch, capsys):
    config = trained_run("clip")[0]
    monkeypatch.setattr(learning_monitor, "CLOSE", 10.0)  # every loss is that of chance
    monkeypatch.setattr(learning_monitor, "LINES", 1)
    train(config, tmp_path)
    (text,) = Run(tmp_path).warnings
    assert text.startswith("no progress: the loss is ")
    assert f"{tmp_path.name}: {text}" in capsys.readouterr().err
    shutil.rmtree(max((tmp_path / "checkpoints").glob("*/"), key=lambda path: int(path.name)))
    train(config, tmp_path)
    assert "resuming from step" in capsys.readouterr().err
    assert Run(tmp_path).warnings == [text]
