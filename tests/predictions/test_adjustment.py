"""Post-hoc logit adjustment against a direct computation, example by example."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptail_jax import measure
from cliptail_jax.host.errors import UserError
from cliptail_jax.predictions import adjustment
from cliptail_jax.predictions.adjustment import TAUS, adjust, first_half, predict, predictions_by_tau
from tests.predictions.examples import FREQUENCY, LABELS, LOGITS, PREDICTIONS, classifier

CLASSES = 6


def draw_examples(seed, examples=60):
    """Labels of five of six classes, logits that favour frequent classes, and frequencies with a 0."""
    rng = np.random.default_rng(seed)
    frequency = np.append(rng.integers(1, 500, CLASSES - 1), 0)
    labels = rng.integers(0, CLASSES - 1, examples)
    logits = rng.normal(0, 2, (examples, CLASSES)) + 2 * np.eye(CLASSES)[labels] + np.log(frequency + 1)
    return labels, logits, frequency


def directly(row, frequency, tau):
    """The class with the largest logit − τ log n, and its softmax probability; n is 1 for a class without images."""
    adjusted = [z - tau * np.log(n or 1) for z, n in zip(row.tolist(), frequency.tolist())]
    powers = [np.exp(z) for z in adjusted]
    return adjusted.index(max(adjusted)), max(powers) / sum(powers)


def mean_accuracy(is_correct, labels):
    is_correct = np.array(is_correct)
    return np.mean([np.mean(is_correct[labels == label]) for label in set(labels.tolist())])


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), block=st.integers(1, 200))
def test_predictions_and_confidence_are_those_of_a_direct_computation(seed, block):
    labels, logits, frequency = draw_examples(seed)
    shift, tau = adjustment.log_frequency(frequency), np.random.default_rng(seed).choice(TAUS, len(labels))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adjustment, "NUMBERS_AT_ONCE", block)
        plain, adjusted, by_tau = predict(logits), predict(logits, shift, tau), predictions_by_tau(logits, shift)
    for result, taus in ((plain, np.zeros(len(labels))), (adjusted, tau)):
        classes, confidence = zip(*(directly(row, frequency, t) for row, t in zip(logits, taus.tolist())))
        assert result.classes.tolist() == list(classes)
        np.testing.assert_allclose(result.confidence, confidence, rtol=1e-9)
    assert by_tau.tolist() == [[directly(row, frequency, t)[0] for row in logits] for t in TAUS.tolist()]


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**32 - 1))
def test_each_half_is_predicted_with_the_smallest_of_the_best_tau_of_the_other(seed):
    labels, logits, frequency = draw_examples(seed)
    result, first = adjust(logits, labels, frequency), first_half(labels)
    for half, chosen_tau in ((first, result.selected_taus[0]), (~first, result.selected_taus[1])):
        accuracies = []
        for tau in TAUS.tolist():
            is_correct = [directly(row, frequency, tau)[0] == label for row, label in zip(logits[half], labels[half])]
            accuracies.append(mean_accuracy(is_correct, labels[half]))
        best_taus = [tau for tau, accuracy in zip(TAUS.tolist(), accuracies) if accuracy > max(accuracies) - 1e-9]
        assert chosen_tau == best_taus[0]
        expected = [directly(row, frequency, chosen_tau)[0] for row in logits[~half]]
        assert result.predicted.classes[~half].tolist() == expected


@given(labels=st.lists(st.integers(0, 5), min_size=2, max_size=60))
def test_halves_have_equally_many_examples_of_each_class(labels):
    labels = np.array(labels)
    first = first_half(labels)
    halves = [np.bincount(labels[half], minlength=6) for half in (first, ~first)]
    assert np.abs(halves[0] - halves[1]).max() <= 1 and abs(first.sum() - (~first).sum()) <= 1
    np.testing.assert_array_equal(first, first_half(labels))
    shifted = first_half(labels, seed=1)
    assert shifted.sum() == first.sum()


@settings(deadline=None)
@given(examples=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), min_size=2, max_size=60))
def test_examples_of_an_image_are_in_one_half_and_images_are_divided_as_examples_are(examples):
    keys, labels = [f"{image}.png" for image, _ in examples], np.array([label for _, label in examples])
    first = first_half(labels, keys)
    images = dict(zip(keys[::-1], zip(first[::-1], labels[::-1])))  # by their first examples
    assert [bool(images[key][0]) for key in keys] == first.tolist()
    of_images = np.array([images[key] for key in dict.fromkeys(keys)])
    np.testing.assert_array_equal(of_images[:, 0], first_half(of_images[:, 1]))
    np.testing.assert_array_equal(first_half(labels, [*map(str, range(len(labels)))]), first_half(labels))


def test_tau_is_chosen_on_one_half_of_the_images():
    labels, logits, frequency = draw_examples(0)
    for copies in (2, len(labels)):  # two examples of each image; or all examples of a single image
        keys = [f"{number // copies}.png" for number in range(len(labels))]
        result, first = adjust(logits, labels, frequency, keys), first_half(labels, keys)
        for half, tau in ((first, result.selected_taus[0]), (~first, result.selected_taus[1])):
            expected = [directly(row, frequency, tau)[0] for row in logits[~half]]
            assert result.predicted.classes[~half].tolist() == expected


def test_log_frequency_is_subtracted_up_to_a_constant_by_either_logits_or_probabilities():
    labels, logits, frequency = draw_examples(0)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_array_equal(
        adjust(np.log(probabilities), labels, frequency).by_tau, adjust(logits + 7, labels, frequency).by_tau
    )


def test_the_log_prior_of_a_recipe_is_subtracted_without_a_choice():
    """That of SL, as with τ = 1, and half of it, as with τ = 0.5; none of a loss that adds nothing."""
    for recipe, tau in (("sl", 1.0), ("adjusted:0.5", 0.5)):
        measured = measure(LABELS, LOGITS, FREQUENCY, trained_with=recipe)
        assert measured.without_prior.top1 == measured.adjusted.by_tau[tau]["top1"]
        assert measured.without_prior.odds_acc == pytest.approx(measured.adjusted.by_tau[tau]["odds_acc"])
        assert (
            measured.adjusted.recipe_tau == pytest.approx(tau)
            and f"τ = {tau:.2f} removes the log-prior of " in measured.advice
        )
    assert measure(LABELS, LOGITS, FREQUENCY).without_prior is None
    assert measure(LABELS, LOGITS, FREQUENCY, trained_with="counts").without_prior is None
    with pytest.raises(UserError, match="has no logits, from which to subtract the log-prior of sl"):
        measure(LABELS, PREDICTIONS, FREQUENCY, trained_with="sl")


def test_advice_is_to_adjust_only_where_held_out_examples_gain():
    labels, logits, frequency = classifier(1.0)
    biased = measure(labels, logits, frequency, "biased")
    assert biased.adjusted.tau == pytest.approx(1.0, abs=0.2) and "np.log(np.maximum" in biased.adjusted.code
    gain = biased.gain.mean_per_class
    assert biased.advice.startswith(
        f"biased: adjust by τ = {biased.adjusted.tau:g}. On held-out halves: mean accuracy "
    )
    assert f"({gain:+.1f} [" in biased.advice and gain > 10
    unbiased = measure(*classifier(0.0), "unbiased")
    assert unbiased.adjusted.tau <= 0.1 and not unbiased.adjusted.code
    assert unbiased.advice == f"unbiased: do not adjust the logits; τ = {unbiased.adjusted.tau:g} is best."
    np.testing.assert_array_equal(unbiased.adjust(logits), logits)
    small = measure(*classifier(0.4, examples=60), "small")
    assert small.advice.startswith(f"small: adjust by τ = {small.adjusted.tau:g} if the tail matters most; ")
    assert measure(labels, logits.argmax(1), frequency).advice == ""


def test_a_given_tau_is_not_chosen():
    given = measure(*classifier(1.0), tau=0.5)
    assert given.adjusted.tau == 0.5 and given.adjusted.cross_validation.top1 == given.adjusted.by_tau[0.5]["top1"]
    assert given.advice.startswith("predictions: adjusted by τ = 0.5 as given: mean accuracy ")
    for tau in (-1, 0, np.nan):
        with pytest.raises(UserError, match=f"τ is {tau}: choose a positive number"):
            measure(*classifier(1.0), tau=tau)


@pytest.mark.parametrize(
    "scale, advice",
    [
        (
            1 / 20,
            r"the logits lack their scale: the mean confidence is 1\d %, and [67]\d % are right\. Multiply them by",
        ),
        (10, r"adjust by τ = 2\. .* This τ is large because .* the mean confidence is 9\d %, and [67]\d % are right\."),
    ],
)
def test_logits_of_another_scale_than_that_of_a_softmax_are_noticed(scale, advice):
    labels, logits, frequency = classifier(1.0)
    scaled = measure(labels, scale * logits, frequency, "scaled")
    assert re.match(f"scaled: {advice}", scaled.advice) and bool(scaled.adjusted.code) == (scale > 1)
    if scale < 1:
        with pytest.raises(UserError, match="the logits lack their scale"):
            scaled.adjust(logits)
    assert measure(labels, scale * logits, frequency, tau=0.1).advice.startswith("predictions: adjusted by τ = 0.1")


def test_a_best_tau_far_from_that_of_the_recipe_is_noticed():
    labels, logits, frequency = classifier(1.0)
    hint = "τ = 0.00 removes the log-prior of counts, far from the best one: is this the recipe"
    assert hint in measure(labels, logits, frequency, trained_with="counts").advice
    assert "far from" not in measure(labels, logits, frequency, trained_with="counts", tau=0.9).advice
    equal = measure(labels, logits, np.full_like(frequency, 10), trained_with="sl")
    assert np.isnan(equal.adjusted.recipe_tau) and "needs" not in equal.advice


def test_further_probabilities_are_adjusted_as_their_logarithms():
    labels, logits, frequency = classifier(1.0)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    measured = measure(labels, probabilities, frequency)
    expected = np.log(probabilities) - measured.adjusted.tau * np.log(frequency / frequency.sum())
    np.testing.assert_allclose(measured.adjust(probabilities), expected)
    assert "np.log(probabilities) - " in measured.adjusted.code and "probabilities.log() - " in measured.adjusted.code
    with pytest.raises(UserError, match="were measured as probabilities, and these are negative: give probabilities"):
        measured.adjust(logits)


def test_further_logits_are_adjusted_in_the_order_of_those_measured():
    labels, logits, frequency = classifier(1.0)
    order = np.random.default_rng(1).permutation(10)
    names = [f"class {number}" for number in range(10)]
    columns = [names[number] for number in order]
    measured = measure([names[y] for y in labels], logits[:, order], dict(zip(names, frequency)), classes=columns)
    adjusted = measured.adjust(logits[:, order])
    directly = logits - measured.adjusted.tau * np.log(frequency / frequency.sum())
    np.testing.assert_allclose(adjusted, directly[:, order])
    with pytest.raises(UserError, match="cannot be adjusted: measure logits"):
        measure(labels, logits.argmax(1), frequency).adjust(logits)
