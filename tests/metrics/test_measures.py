"""Measures of single runs and of mirrored pairs, against their definitions."""

import numpy as np
import pytest
import scipy.stats

from cliptail_jax.metrics import bootstrap, odds
from cliptail_jax.metrics.correlation import slope_within_classes
from cliptail_jax.metrics.groups import head_mid_tail
from cliptail_jax.metrics.measures import (
    GROUPS,
    MEASURES,
    MORE_ACCURATE,
    MORE_BIASED,
    ClassResults,
    compare_probes,
    summarize,
)
from cliptail_jax.metrics.retrieval import RetrievalResults, by_decile, deciles

CLASSES, EXAMPLES = 40, 1000


def a_pair(seed, slope=10.0, hard=15.0):
    """Two runs: accuracy is how easy a class is plus `slope` points per decade. In the first, easy classes are frequent."""
    rng = np.random.default_rng(seed)
    frequency = np.geomspace(500, 5, CLASSES).astype(int)
    easy = hard * np.log10(frequency)
    runs = []
    for order in (frequency, frequency[::-1].copy()):
        accuracy = np.clip((20 + easy + slope * np.log10(order) + rng.normal(0, 3, CLASSES)) / 100, 0, 1)
        correct, predictions = np.round(EXAMPLES * accuracy).astype(int), rng.integers(1, 50, CLASSES)
        groups = dict(zip(GROUPS, head_mid_tail(order)))
        runs.append(ClassResults(correct, np.full(CLASSES, EXAMPLES), predictions, order, groups))
    return runs


PAIRS = a_pair(0), a_pair(1, slope=4.0)


def values(name, *groups):
    return [result.value for result in MEASURES[name].compare(*groups)]


def test_larger_values_mean_what_the_table_says():
    def on_average(accuracy, slope):
        frequency = np.geomspace(500, 5, CLASSES).astype(int)
        share = (accuracy + slope * (np.log10(frequency) - np.log10(frequency).mean())) / 100
        correct = np.round(EXAMPLES * share).astype(int)
        groups, examples = dict(zip(GROUPS, head_mid_tail(frequency))), np.full(CLASSES, EXAMPLES)
        return summarize(ClassResults(correct, examples, correct, frequency, groups, top5=correct.sum()))

    even, biased, accurate = on_average(50, 1), on_average(50, 10), on_average(60, 1)
    for key in even.keys() & MEASURES.keys():
        assert MEASURES[key].larger != MORE_BIASED or biased[key] > even[key]
        assert key != "tail" or biased[key] < even[key]
        assert MEASURES[key].larger != MORE_ACCURATE or accurate[key] > even[key]


@pytest.mark.parametrize(("name", "variable"), [("corr_acc", "accuracy"), ("corr_pred", "predictions")])
def test_correlations_of_a_pair_are_the_mean_of_both(name, variable):
    expected = [
        np.mean([scipy.stats.spearmanr(run.frequency, getattr(run, variable)).statistic for run in pair])
        for pair in PAIRS
    ]
    np.testing.assert_allclose(values(name, *PAIRS), expected)


@pytest.mark.parametrize("name", ["slope_acc", "slope_pred"])
def test_slopes_of_a_pair_have_a_fixed_effect_of_each_class(name):
    expected = []
    for pair in PAIRS:
        numerator = denominator = 0.0
        for c in range(CLASSES):
            x = [np.log10(run.frequency[c]) for run in pair]
            if name == "slope_acc":
                y = [100 * run.accuracy[c] for run in pair]
            else:
                y = [np.log10(run.predictions[c] / run.predictions.sum()) for run in pair]
            for i in range(2):
                numerator += (y[i] - np.mean(y)) * (x[i] - np.mean(x))
                denominator += (x[i] - np.mean(x)) ** 2
        expected.append(numerator / denominator)
    np.testing.assert_allclose(values(name, *PAIRS), expected)


def test_a_pair_shows_the_slope_that_a_single_run_confounds_with_easy_classes():
    assert values("slope_acc", PAIRS[0]) == pytest.approx([10], abs=1.5)
    assert values("slope_acc", PAIRS[0][:1]) == pytest.approx([25], abs=2)
    assert values("slope_acc", PAIRS[0][1:]) == pytest.approx([-5], abs=2)


def test_accuracies_of_a_pair_are_means_of_both_and_the_tail_is_that_of_each():
    first, second = PAIRS
    expected = [np.mean([100 * run.accuracy.mean() for run in pair]) for pair in PAIRS]
    np.testing.assert_allclose(values("top1", *PAIRS), expected)
    tails = [np.mean([100 * run.accuracy[a.groups["tail"]].mean() for run, a in zip(pair, first)]) for pair in PAIRS]
    np.testing.assert_allclose(values("tail", *PAIRS), tails)
    single = [100 * pair[0].accuracy[first[0].groups["tail"]].mean() for pair in PAIRS]
    np.testing.assert_allclose(values("tail", *(pair[:1] for pair in PAIRS)), single)


def test_probes_of_a_pair_are_means_over_sets_and_both():
    rng = np.random.default_rng(0)
    a, b = ([[rng.random(5), rng.random(7)] for _ in range(2)] for _ in range(2))  # of two runs, on two sets
    expected = [100 * np.mean([[on_set.mean() for on_set in run] for run in group]) for group in (a, b)]
    np.testing.assert_allclose([result.value for result in compare_probes(a, b)], expected)


def test_resamples_of_a_difference_have_the_same_classes_in_both_runs_of_both_pairs():
    """So effects that all four runs share cancel: equal accuracies have a difference of exactly 0 in every resample."""
    for name in ("slope_acc", "corr_acc", "top1", "tail"):
        a, b = MEASURES[name].compare(PAIRS[0], PAIRS[0])
        np.testing.assert_array_equal(a.draws, b.draws)
        assert np.std(a.draws) > 0


def test_a_pair_leaves_out_the_classes_that_one_of_its_runs_has_no_logarithm_for():
    def left_out(name, runs):
        return MEASURES[name].classes_left_out(runs)

    pair = a_pair(2)
    assert [left_out(slope, pair) for slope in ("slope_acc", "slope_pred")] == [0, 0]
    pair[0].predictions[[3, 4]] = pair[1].predictions[[4, 5]] = 0
    pair[1].frequency[6] = 0
    assert [left_out(slope, pair) for slope in ("slope_acc", "slope_pred")] == [1, 4]
    assert [left_out("slope_pred", [run]) for run in pair] == [2, 3]


def test_accuracy_is_over_the_examples_of_classes_of_any_size():
    examples = np.array([1, 10, 100, 0])
    runs = [[ClassResults(np.array(correct), examples, examples)] for correct in ([1, 0, 50, 0], [0, 10, 20, 0])]
    assert values("top1", *runs) == pytest.approx([100 * 51 / 111, 100 * 30 / 111])
    assert values("top1", *runs) == pytest.approx([MEASURES["top1"].value(run) for (run,) in runs])
    assert values("mean_per_class", *runs) == pytest.approx([100 * (1 + 0 + 0.5) / 3, 100 * (0 + 1 + 0.2) / 3])


CAPTIONS = 400


def retrieval(frequency=None, seed=0):
    rng = np.random.default_rng(seed)
    rows = np.arange(CAPTIONS)
    return RetrievalResults(
        rng.geometric(0.1, 100) - 1, rng.geometric(0.1, CAPTIONS) - 1, rows[:100], rows, frequency, 3
    )


FREQUENCY = np.random.default_rng(1).integers(-1, 60, CAPTIONS)


def test_the_slope_is_the_line_of_recall_at_5_over_decades_without_captions_that_have_no_logarithm():
    results = retrieval(FREQUENCY)
    positive = FREQUENCY > 0
    line = scipy.stats.linregress(np.log10(FREQUENCY[positive]), 100.0 * (results.text_to_image[positive] < 5))
    summary = summarize(results)
    assert summary["retrieval_slope"] == pytest.approx(line.slope)
    assert summary["retrieval_slope_left_out"] == np.sum(~positive)
    low, high = summary["retrieval_slope_interval"]
    assert (high - low) / 2 == pytest.approx(1.96 * line.stderr, rel=0.15)


def test_a_summary_has_recalls_ranks_and_sizes_and_no_measure_of_classes():
    results = retrieval()
    summary = summarize(results)
    assert summary["text_to_image_r10"] == pytest.approx(100 * np.mean(results.text_to_image < 10))
    assert summary["image_to_text_r1"] == pytest.approx(100 * np.mean(results.image_to_text == 0))
    assert summary["image_to_text_mean_rank"] == pytest.approx(results.image_to_text.mean() + 1)
    assert summary | {"images": 100, "captions": CAPTIONS, "left_out": 3} == summary
    assert not {"top1", "corr_acc_pred", "retrieval_slope", "examples"} & summary.keys()
    of_classes = ClassResults.from_confusion(np.eye(4, dtype=int), frequency=np.arange(4))
    assert not any("_to_" in key or key == "retrieval_slope" for key in summarize(of_classes))


def test_deciles_have_equal_captions_unless_frequencies_are_equal():
    frequency = np.random.default_rng(0).permutation(CAPTIONS)
    assert np.array_equal(deciles(frequency), frequency // (CAPTIONS // 10))
    equal = deciles(np.repeat([-1, 0, 7], [50, 175, 175]))
    distinct_deciles = [np.unique(equal[rows]).tolist() for rows in (slice(50), slice(50, 225), slice(225, None))]
    assert distinct_deciles == [[-1], [2], [7]]


def test_recall_by_decile_is_that_of_its_captions():
    results = retrieval(FREQUENCY)
    arrays, decile_of = by_decile(results), deciles(FREQUENCY)
    assert arrays["decile_captions"].sum() == np.sum(FREQUENCY >= 0)
    for decile in range(10):
        rows = decile_of == decile
        assert arrays["decile_r5"][decile] == pytest.approx(100 * np.mean(results.text_to_image[rows] < 5))
        assert arrays["decile_frequency"][decile].tolist() == [FREQUENCY[rows].min(), FREQUENCY[rows].max()]
    empty = by_decile(retrieval(np.zeros(CAPTIONS, int)))
    assert np.isnan(empty["decile_r1"]).sum() == np.isnan(empty["decile_frequency"][:, 0]).sum() == 9


def test_resamples_in_parts_are_those_of_one_call(monkeypatch):
    sample = np.random.default_rng(0).normal(size=(2, 1, 50))
    (whole,) = bootstrap.bootstrap(slope_within_classes, sample)
    monkeypatch.setattr(bootstrap, "NUMBERS_AT_ONCE", 333)
    (parts,) = bootstrap.bootstrap(slope_within_classes, sample)
    np.testing.assert_array_equal(whole.draws, parts.draws)
    assert whole.value == parts.value


@pytest.mark.parametrize("key", ["top1", "odds_acc", "f50", "slope_acc", "slope_pred", "corr_acc", "corr_pred", "tail"])
@pytest.mark.parametrize("runs", [1, 2], ids=["a run", "a mirrored pair"])
@pytest.mark.parametrize("has_ties", [True, False], ids=["equal frequencies", "different frequencies"])
def test_resamples_of_many_classes_have_the_measures_of_their_classes(key, runs, has_ties, monkeypatch):
    """Classes with equal counts are drawn together if there are many classes, and those that are not drawn are left out."""
    rng, pair = np.random.default_rng(0), []
    frequency = np.concatenate([np.repeat(7, 30), rng.integers(0, 90, 30)]) if has_ties else rng.permutation(90)[:60]
    for of_run in (frequency, 97 - frequency)[:runs]:
        examples = rng.integers(0, 4, 60)
        correct, predictions = rng.binomial(examples, 0.1 + 0.009 * of_run), rng.integers(0, 5, 60)
        pair.append(ClassResults(correct, examples, predictions, of_run, dict(zip(GROUPS, head_mid_tail(of_run)))))
    bootstrap._bootstrapped.cache_clear()
    (expected,) = MEASURES[key].compare(pair)
    monkeypatch.setattr(bootstrap, "MANY_CLASSES", 10)
    monkeypatch.setattr(bootstrap, "NUMBERS_AT_ONCE", 10_000)
    monkeypatch.setattr(odds, "NUMBERS_AT_ONCE", 1)
    bootstrap._bootstrapped.cache_clear()
    (result,) = MEASURES[key].compare(pair)
    bootstrap._bootstrapped.cache_clear()
    assert result.value == expected.value
    np.testing.assert_allclose(result.draws, expected.draws, rtol=1e-7, atol=1e-8)
