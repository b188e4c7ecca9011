import numpy as np
import pytest

from cliptail_jax.errors import UserError
from cliptail_jax.transfer.calibration import (
    error_after_temperature_scaling,
    expected_calibration_error,
    fit_temperature,
)
from tests.evaluation.plain_evaluation import error_by_a_loop, softmax


def predictions(count=400, classes=5, sharpness=3.0, seed=0):
    """Labels drawn from softmax(z), and the over-confident logits sharpness · z."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(count, classes))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(1)
    return sharpness * logits, labels


def test_the_error_equals_a_loop_over_bins():
    logits, labels = predictions()
    assert expected_calibration_error(logits, labels) == pytest.approx(
        error_by_a_loop(softmax(logits), labels), rel=1e-12
    )


def test_the_temperature_of_two_classes_has_a_closed_form():
    # Logits (a, 0), right 3 times in 4: the likelihood is greatest where sigmoid(a / T) = 3/4, T = a / log 3.
    assert fit_temperature(np.tile([5.0, 0.0], (4, 1)), np.array([0, 0, 0, 1])) == pytest.approx(
        5 / np.log(3), rel=1e-4
    )


def test_faultless_predictions_have_a_finite_temperature():
    assert 1e-3 <= fit_temperature(10 * np.eye(4), np.arange(4)) <= 1e3


def test_five_folds_fit_on_one_and_measure_on_the_others():
    logits, labels = predictions(203)
    fold_of = np.random.default_rng(1).permutation(np.arange(203) % 5)
    direct = []
    for fold in range(5):
        inside = fold_of == fold
        scaled = logits[~inside] / fit_temperature(logits[inside], labels[inside])
        direct.append(error_by_a_loop(softmax(scaled), labels[~inside]))
    assert error_after_temperature_scaling(logits, labels, seed=1) == pytest.approx(np.mean(direct), rel=1e-12)
    assert np.mean(direct) < expected_calibration_error(logits, labels) / 2


def test_too_few_examples_are_an_error():
    with pytest.raises(UserError, match="5 folds of 4 examples"):
        error_after_temperature_scaling(*predictions(4))
