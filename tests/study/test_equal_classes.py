"""The forecast of a long tail from classes with equally many images."""

from types import SimpleNamespace

import numpy as np
import pytest

from configs.study.analyses.equal_classes_curve import forecast, slopes
from configs.study.equal_classes import NUMBERS


def run_with(log_odds, examples):
    """A run whose classes are right with these log-odds."""
    correct = examples / (1 + np.exp(-log_odds))
    results = SimpleNamespace(correct=correct, examples=np.full(len(correct), examples))
    return SimpleNamespace(evaluation=SimpleNamespace(results=results))


def test_classes_that_learn_alike_forecast_the_slope_of_their_curve():
    intercepts = np.linspace(-1, 1, 60)  # how easy a class is
    runs = {f"steps_{number}": run_with(intercepts + 0.8 * np.log10(number), examples=10**6) for number in NUMBERS}
    frequency = np.tile(np.geomspace(500, 5, 30).round().astype(int), 2)
    share = forecast(runs, "steps", frequency)
    np.testing.assert_allclose(np.log(share / (1 - share)), intercepts + 0.8 * np.log10(frequency), atol=1e-3)

    same_classes = np.zeros(60)
    runs = {f"steps_{number}": run_with(same_classes + 0.8 * np.log10(number), examples=10**6) for number in NUMBERS}
    share = forecast(runs, "steps", frequency)
    values = slopes([frequency], [share], np.full(60, 100), np.arange(60)[None])
    assert values == pytest.approx([0.8, 0.8], abs=0.01)
