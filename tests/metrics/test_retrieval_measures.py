"""Recalls by the frequency of captions' rarest words, against direct computations."""

import numpy as np
import pytest
import scipy.stats

from cliptail_jax.metrics import bootstrap
from cliptail_jax.metrics.correlation import slope_within_classes
from cliptail_jax.metrics.measures import MEASURES, ClassResults, summarize
from cliptail_jax.metrics.retrieval import RetrievalResults, by_decile, deciles

CAPTIONS = 400


def retrieval(frequency=None, seed=0):
    rng = np.random.default_rng(seed)
    rows = np.arange(CAPTIONS)
    return RetrievalResults(
        rng.geometric(0.1, 100) - 1, rng.geometric(0.1, CAPTIONS) - 1, rows[:100], rows, frequency, 3
    )


FREQUENCY = np.random.default_rng(1).integers(-1, 60, CAPTIONS)


def test_the_slope_is_the_line_of_recall_at_5_over_decades_without_captions_that_have_no_logarithm():
    found = retrieval(FREQUENCY)
    known = FREQUENCY > 0
    line = scipy.stats.linregress(np.log10(FREQUENCY[known]), 100.0 * (found.text_to_image[known] < 5))
    summary = summarize(found)
    assert summary["retrieval_slope"] == pytest.approx(line.slope)
    assert summary["retrieval_slope_left_out"] == np.sum(~known)
    low, high = summary["retrieval_slope_interval"]
    assert (high - low) / 2 == pytest.approx(1.96 * line.stderr, rel=0.15)


def test_a_summary_has_recalls_ranks_and_sizes_and_no_measure_of_classes():
    found = retrieval()
    summary = summarize(found)
    assert summary["text_to_image_r10"] == pytest.approx(100 * np.mean(found.text_to_image < 10))
    assert summary["image_to_text_r1"] == pytest.approx(100 * np.mean(found.image_to_text == 0))
    assert summary["image_to_text_mean_rank"] == pytest.approx(found.image_to_text.mean() + 1)
    assert {key: summary[key] for key in ("images", "captions", "left_out")} == {
        "images": 100,
        "captions": CAPTIONS,
        "left_out": 3,
    }
    assert not {"top1", "corr_acc_pred", "retrieval_slope", "examples"} & summary.keys()
    of_classes = ClassResults.from_confusion(np.eye(4, dtype=int), frequency=np.arange(4))
    assert not any("_to_" in key or key == "retrieval_slope" for key in summarize(of_classes))


def test_deciles_have_equal_captions_unless_frequencies_are_equal():
    frequency = np.random.default_rng(0).permutation(CAPTIONS)
    assert np.array_equal(deciles(frequency), frequency // (CAPTIONS // 10))
    equal = deciles(np.repeat([-1, 0, 7], [50, 175, 175]))
    assert [np.unique(equal[rows]).tolist() for rows in (slice(50), slice(50, 225), slice(225, None))] == [
        [-1],
        [2],
        [7],
    ]


def test_recall_by_decile_is_that_of_its_captions():
    found = retrieval(FREQUENCY)
    arrays, of = by_decile(found), deciles(FREQUENCY)
    assert arrays["decile_captions"].sum() == np.sum(FREQUENCY >= 0)
    for decile in range(10):
        assert arrays["decile_r5"][decile] == pytest.approx(100 * np.mean(found.text_to_image[of == decile] < 5))
        assert arrays["decile_frequency"][decile].tolist() == [
            FREQUENCY[of == decile].min(),
            FREQUENCY[of == decile].max(),
        ]
    empty = by_decile(retrieval(np.zeros(CAPTIONS, int)))
    assert np.isnan(empty["decile_r1"]).sum() == np.isnan(empty["decile_frequency"][:, 0]).sum() == 9


def test_slopes_of_two_runs_are_compared_over_the_same_captions():
    runs = [retrieval(FREQUENCY, seed) for seed in (0, 0)]
    a, b = MEASURES["retrieval_slope"].compare([runs[0]], [runs[1]])
    np.testing.assert_array_equal(a.resampled, b.resampled)


def test_resamples_in_parts_are_those_of_one_call(monkeypatch):
    sample = np.random.default_rng(0).normal(size=(2, 1, 50))
    (whole,) = bootstrap.bootstrap(slope_within_classes, sample)
    monkeypatch.setattr(bootstrap, "NUMBERS_AT_ONCE", 333)
    (parts,) = bootstrap.bootstrap(slope_within_classes, sample)
    np.testing.assert_array_equal(whole.resampled, parts.resampled)
    assert whole.value == parts.value
