"""Mistakes about the class of records, in captions and in labels."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from cliptail_jax.concepts.templates import templates
from cliptail_jax.curation.captions import Captions
from cliptail_jax.curation.noise import describe_mistakes, right_and_wrong, with_mistakes
from cliptail_jax.report.data import describe
from tests.curation.zoo import NAMES, variant_of

LABELS = np.random.default_rng(0).choice(10, 20_000, p=np.arange(10, 0, -1) / 55)
SAMPLINGS = ("uniform", "frequency")


def mistaken(share, sampling="uniform", labels=LABELS, records=None, seed=0, classes=10):
    records = np.arange(len(labels)) if records is None else records
    return with_mistakes(labels, records, classes, share, sampling, seed, "data.labels.noise")


def direct_mistakes(labels, records, share, sampling, seed):
    """From the definition, record by record: the line of all other classes, each as long as its weight."""
    rng, numbers = np.random.default_rng([seed, 0, 2]), {}
    for record in range(max(records) + 1):
        numbers[record] = rng.random(), rng.random()
    result = []
    for label, record in zip(labels, records):
        mistake, choice = numbers[record]
        other_classes = [c for c in range(10) if c != label]
        line = (
            other_classes if sampling == "uniform" else [c for c in other_classes for _ in range(np.sum(labels == c))]
        )
        result.append(line[int(choice * len(line))] if mistake < share else label)
    return result


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("share", [0, 0.3, 1])
def test_wrong_labels_equal_the_definition(sampling, share):
    labels, records = LABELS[:300] // 2 * 2, np.arange(300) * 3  # half of the classes have no record
    np.testing.assert_array_equal(
        mistaken(share, sampling, labels, records, seed=5), direct_mistakes(labels, records, share, sampling, 5)
    )


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_purity_is_that_of_the_closed_form_and_about_equal_for_all_classes_by_frequency(sampling):
    """Of those that name class c, (1−ε) n_c are right, and ε Σ_k≠c n_k p(c | k) wrong."""
    share, n = 0.3, np.bincount(LABELS)
    right, wrong = right_and_wrong(LABELS, mistaken(share, sampling), 10)
    if sampling == "uniform":
        expected = share * (n.sum() - n) / 9
    else:
        odds = n / (n.sum() - n)
        expected = share * n * (odds.sum() - odds)
    np.testing.assert_allclose(right, (1 - share) * n, atol=4 * np.sqrt(share * (1 - share) * n.max()))
    np.testing.assert_allclose(wrong, expected, atol=4 * np.sqrt(expected.max()))
    purity = (1 - share) * n / ((1 - share) * n + expected)
    assert np.ptp(purity) < 0.05 if sampling == "frequency" else np.ptp(purity) > 0.3


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_wrong_labels_of_a_smaller_share_are_among_those_of_a_larger(sampling):
    small_share, large_share = mistaken(0.2, sampling), mistaken(0.5, sampling)
    assert np.all(small_share[small_share != LABELS] == large_share[small_share != LABELS])
    assert np.mean(mistaken(0.2, sampling, seed=1) == small_share) < 0.9


def test_distractor_leaves_template_and_words_as_they_are():
    words = pa.array([f"word{record}" for record in range(50)])
    labels, names = np.arange(50) % 2, (("crane",), ("truck",))
    captions = Captions(templates("openai80"), names, labels, np.arange(50), words, 0, False)
    other_captions = dataclasses.replace(captions, classes=1 - labels)(range(50), 0)
    for caption, other, label in zip(captions(range(50), 0), other_captions, labels):
        name, other_name = names[label][0], names[1 - label][0]
        assert other == caption.replace(name, other_name) != caption


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_wrong_labels_are_the_classes_that_distractors_name_and_leave_the_truth_as_it_is(sampling):
    clean = variant_of(profile={"name": "exponential", "ratio": 8.0})
    noisy = variant_of(
        profile={"name": "exponential", "ratio": 8.0},
        labels={"noise": 0.4, "noise_sampling": sampling},
        captions={"template": "cname", "distractors": 0.4, "distractor_sampling": sampling},
    )
    for epoch in (0, 3):
        assert noisy.captions(range(len(noisy)), epoch) == [NAMES[c] for c in noisy.training_view.labels]
    assert 0.2 < np.mean(noisy.training_view.labels != noisy.labels) < 0.6
    for truth in ("records", "labels", "original_labels", "class_frequency"):
        np.testing.assert_array_equal(getattr(noisy, truth), getattr(clean, truth))
    np.testing.assert_array_equal(
        noisy.training_view.class_frequency, np.bincount(noisy.training_view.labels, minlength=6)
    )
    assert clean.training_view is clean and not clean.notes
    assert all(note in describe(noisy) for note in noisy.notes)
    mistakes = np.sum(noisy.training_view.labels != noisy.labels)
    assert [note.partition(" name")[0] for note in noisy.notes] == [
        f"data.{field}: {mistakes} of {len(noisy)}" for field in ("labels.noise", "captions.distractors")
    ]


def test_note_has_the_purity_of_head_mid_and_tail():
    labels = np.repeat([0, 1, 2], [6, 3, 1])
    noisy_labels = np.where(np.arange(10) == 0, 2, labels)
    expected = "x: 1 of 10 name another class (10.0%); of those that name a class of head, mid and tail, 100.0%, 100.0% and 50.0%"
    assert describe_mistakes(labels, noisy_labels, 3, "x").startswith(expected)
