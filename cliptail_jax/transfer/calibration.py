"""Calibration error: the difference between confidence and accuracy, before and after temperature scaling.

Formulas: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017 (arXiv 1706.04599).
"""

import numpy as np
import scipy.optimize
import scipy.special
from jaxtyping import Float, Int

from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.calibration import BINS, error_of_gaps

FOLDS = 5
_LOG_TEMPERATURES = (np.log(1e-3), np.log(1e3))  # bounds, since there is no best temperature for a fold without errors


def error_of_logits(logits: Float[np.ndarray, "example class"], labels: Int[np.ndarray, " example"]) -> float:
    """The expected calibration error of logits, in 0..1, over 15 bins. Confidence is the largest softmax probability.

    Bins have equal width, each without its lower and with its upper edge.
    """
    confidence = scipy.special.softmax(logits, axis=1).max(1)
    correct = logits.argmax(1) == labels
    bins = np.searchsorted(np.arange(1, BINS) / BINS, confidence)  # with edges in float64, as these logits
    return error_of_gaps(np.bincount(bins, correct - confidence, minlength=BINS), len(labels))


def fit_temperature(logits: Float[np.ndarray, "example class"], labels: Int[np.ndarray, " example"]) -> float:
    """The temperature T in 1e-3..1e3 at which softmax(logits / T) has the least mean negative log-likelihood.

    The likelihood is convex in 1/T, so it has one valley in log T.
    """
    margins = logits - np.take_along_axis(logits, labels[:, None], axis=1)

    def negative_log_likelihood(log_temperature: float) -> float:
        return scipy.special.logsumexp(margins / np.exp(log_temperature), axis=1).mean()

    result = scipy.optimize.minimize_scalar(
        negative_log_likelihood, bounds=_LOG_TEMPERATURES, method="bounded", options={"xatol": 1e-6}
    )
    return float(np.exp(result.x))


def error_after_temperature_scaling(
    logits: Float[np.ndarray, "example class"], labels: Int[np.ndarray, " example"], seed: int = 0
) -> float:
    """The mean over 5 folds of the calibration error on the other folds, at the temperature fitted on the fold; in 0..1.

    The folds are a seeded random partition of the examples, and their sizes differ by at most one. Raises UserError for
    fewer examples than folds.
    """
    if len(labels) < FOLDS:
        raise UserError(f"{FOLDS} folds of {len(labels)} examples: calibration needs an example for each")
    fold_of = np.random.default_rng(seed).permutation(np.arange(len(labels)) % FOLDS)
    errors = []
    for fold in range(FOLDS):
        inside = fold_of == fold
        temperature = fit_temperature(logits[inside], labels[inside])
        errors.append(error_of_logits(logits[~inside] / temperature, labels[~inside]))
    return float(np.mean(errors))
