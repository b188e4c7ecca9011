"""Differences of accuracies with intervals over the test examples of fixed classes.

An interval over classes is for statements on classes of a kind, and is wide if few classes differ much. Whoever has a model has
its classes, so there a gain in accuracy varies with the choice of the test examples and with the training. The variance over
examples is that of a stratified mean with the classes as strata (Cochran, "Sampling Techniques", 1977, section 5.3),

    V = Σ_c w_c² s_c² / n_c,

with the weight w_c of a class in the accuracy, its n_c examples, and the variance s_c² of their differences.
"""

import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from cliptail_jax.metrics.bootstrap import RESAMPLES, Bootstrapped
from cliptail_jax.metrics.measures import ClassResults, Measure


def unpaired_variances(higher: ClassResults, lower: ClassResults) -> Float[np.ndarray, " class"]:
    """s_c² / n_c of the difference of accuracies in 0..1, from counts by class.

    Counts do not show which examples both models had right, so the models count as independent. Models that tend to be right on
    the same examples differ less, so that intervals are rather too wide.
    """
    variances = np.zeros(len(higher.examples))
    for results in (higher, lower):
        variances += np.nan_to_num(results.accuracy * (1 - results.accuracy)) / np.maximum(results.examples - 1, 1)
    return variances


def paired_variances(
    higher: Bool[np.ndarray, "seed example"],
    lower: Bool[np.ndarray, "seed example"],
    labels: Int[np.ndarray, " example"],
    classes: int,
) -> Float[np.ndarray, " class"]:
    """s_c² / n_c of the difference of accuracies in 0..1, averaged over seeds, on the same examples in the same order.

    Args:
        higher, lower: which examples each seed of the two models has right.
        labels: the class of each example.
        classes: the number of classes.
    """
    differences = higher.mean(axis=0) - lower.mean(axis=0)
    examples = np.bincount(labels, minlength=classes)
    means = np.bincount(labels, differences, classes) / np.maximum(examples, 1)
    squares = np.bincount(labels, (differences - means[labels]) ** 2, classes)
    return squares / np.maximum(examples - 1, 1) / np.maximum(examples, 1)


def over_examples(
    measure: Measure,
    contrast: Bootstrapped,
    runs: Sequence[ClassResults],
    class_variances: Sequence[Float[np.ndarray, " class"]],
) -> Bootstrapped:
    """The difference of a measure with draws over the examples in place of the classes.

    The draws are those of a normal distribution, the same for all seeds: seeds share their test examples, so their mean does not
    vary less than each of them.

    Args:
        measure: a measure with `weights`.
        contrast: the difference of two runs, or of two mirrored pairs.
        runs: the results of the runs of one side of the difference, one or a mirrored pair.
        class_variances: `paired_variances` or `unpaired_variances` of each of them.
    """
    errors = [
        100 * np.sqrt(measure.weights(results) ** 2 @ variances) for results, variances in zip(runs, class_variances)
    ]
    return Bootstrapped(contrast.value, contrast.value + float(np.mean(errors)) * normal_draws())


@functools.lru_cache
def normal_draws() -> Float[np.ndarray, " resample"]:
    """The quantiles of the standard normal distribution at equal distances."""
    from scipy.special import ndtri

    return ndtri((np.arange(RESAMPLES) + 0.5) / RESAMPLES)
