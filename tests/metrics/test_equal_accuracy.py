"""Measures at equal accuracy, against a direct computation of each resample."""

import numpy as np
import pytest

from cliptail_jax.metrics.bootstrap import RESAMPLES
from cliptail_jax.metrics.equal_accuracy import compare_at_equal_accuracy
from cliptail_jax.metrics.measures import MEASURES, ClassResults

CLASSES, EXAMPLES = 30, 40
FREQUENCY = np.geomspace(500, 5, CLASSES).astype(int)


def a_course(seed, odds, bias, frequency=FREQUENCY):
    """Evaluations with these log-odds of being right at 50 images, which grow by `bias` with a decade of frequency."""
    rng, course = np.random.default_rng(seed), []
    for at_50 in odds:
        p = 1 / (1 + np.exp(-at_50 - bias * np.log10(frequency / 50) - rng.normal(0, 0.3, CLASSES)))
        predictions = rng.multinomial(CLASSES * EXAMPLES, p / p.sum())
        examples = np.full(CLASSES, EXAMPLES)
        course.append(ClassResults(rng.binomial(EXAMPLES, p), examples, predictions, frequency=frequency))
    return course


def directly(key, groups, classes):
    """The measure of each group over the classes, which may be repeated, evaluation by evaluation."""

    def over_classes(e):
        counts = (getattr(e, name)[classes] for name in ("correct", "examples", "predictions"))
        return ClassResults(*counts, frequency=e.frequency[classes])

    courses = [[[over_classes(e) for e in run] for run in runs] for runs in groups]
    accuracies = [[np.mean([e.accuracy.mean() for e in pair]) for pair in zip(*runs)] for runs in courses]
    target, results = min(curve[-1] for curve in accuracies), []
    for runs, curve in zip(courses, accuracies):
        values = [MEASURES[key].point(list(evaluations)) for evaluations in zip(*runs)]
        if curve[-1] == target:
            results.append(values[-1])
            continue
        end = next(i for i, accuracy in enumerate(curve) if accuracy >= target)
        share = (target - curve[end - 1]) / (curve[end] - curve[end - 1]) if end else np.nan
        results.append(values[end - 1] + share * (values[end] - values[end - 1]) if end else np.nan)
    return results


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("key", ["odds_acc", "slope_acc"])
def test_each_resample_is_interpolated_where_it_is_as_accurate_as_the_other(key, mirrored):
    groups = [[a_course(0, np.linspace(-2, 2, 7), 2.0)], [a_course(1, np.linspace(-3, 0.3, 5), 1.0)]]
    if mirrored:
        groups[0].append(a_course(2, np.linspace(-2, 2, 7), 2.0, FREQUENCY[::-1]))
        groups[1].append(a_course(3, np.linspace(-3, 0.3, 5), 1.0, FREQUENCY[::-1]))
    results = compare_at_equal_accuracy(MEASURES[key], *groups)
    resamples = np.random.default_rng(0).integers(0, CLASSES, (RESAMPLES, CLASSES))
    np.testing.assert_allclose([r.value for r in results], directly(key, groups, np.arange(CLASSES)), rtol=1e-6)
    for i in (0, 1, 7, 400):
        np.testing.assert_allclose([r.draws[i] for r in results], directly(key, groups, resamples[i]), rtol=1e-6)


def test_a_run_and_its_own_beginning_do_not_differ():
    course = a_course(0, np.linspace(-2.5, 2.5, 6), 1.5)
    a, b = compare_at_equal_accuracy(MEASURES["odds_acc"], [course], [course[:3]])
    assert a.value == b.value == MEASURES["odds_acc"].point([course[2]])
    np.testing.assert_allclose(a.draws, b.draws, rtol=1e-12)


def test_more_groups_are_compared_where_the_least_accurate_of_them_is():
    groups = [[a_course(seed, np.linspace(-2.5, end, 5), 1.0)] for seed, end in enumerate((2.0, 1.0, 0.0))]
    results = compare_at_equal_accuracy(MEASURES["odds_acc"], *groups)
    np.testing.assert_allclose([r.value for r in results], directly("odds_acc", groups, np.arange(CLASSES)), rtol=1e-6)


def test_a_run_that_is_never_less_accurate_is_not_comparable():
    early, late = a_course(0, [-2.0, -1.0], 1.0), a_course(1, [1.0, 2.0], 1.0)
    a, b = compare_at_equal_accuracy(MEASURES["odds_acc"], [late], [early])
    assert np.isnan(a.value) and np.isnan(a.draws).all()
    assert b.value == MEASURES["odds_acc"].point([early[-1]])


def test_classes_that_early_evaluations_do_not_predict_matter_only_if_these_are_interpolated():
    courses = [a_course(0, np.linspace(-4, 2, 6), 1.0)], [a_course(1, np.linspace(-3, 1, 4), 1.0)]
    expected = compare_at_equal_accuracy(MEASURES["slope_pred"], *courses)
    for (course,) in courses:
        course[0].predictions[:20] = 0
    for a, b in zip(compare_at_equal_accuracy(MEASURES["slope_pred"], *courses), expected):
        assert a.value == b.value
        np.testing.assert_array_equal(a.draws, b.draws)
