"""The law of accuracy by class frequency, against integrals over the classes' deviations and a stored fit."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.special import expit, logsumexp
from scipy.stats import binom, norm

from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.law import fit_law, mean_of_resamples

REFERENCE = Path(__file__).parents[3] / "shared" / "reference" / "collect_reference.json"
FREQUENCY = np.array([5, 5, 9, 14, 30, 41, 100, 180, 300, 500])
CORRECT = np.array([0, 6, 1, 14, 9, 20, 12, 19, 17, 20])
EXAMPLES = np.full(10, 20)


@pytest.fixture(scope="module")
def posterior():
    return fit_law(FREQUENCY, CORRECT, EXAMPLES)


def joint(u, c, law, images=None):
    """Likelihood times density of the deviation of a class and, with `images`, times P(right) with so many."""
    a, b, sd = law
    density = binom.pmf(CORRECT[c], EXAMPLES[c], expit(a + b * np.log10(FREQUENCY[c]) + u)) * norm.pdf(u, 0, sd)
    return density if images is None else density * expit(a + b * np.log10(images) + u)


def test_the_law_has_the_largest_marginal_likelihood(posterior):
    u = np.linspace(-12, 12, 2001)

    def directly(theta):
        law = theta[0], theta[1], np.exp(theta[2])
        return -sum(np.log(np.trapezoid(joint(u, c, law), u)) for c in range(len(FREQUENCY)))

    options = {"xatol": 1e-7, "fatol": 1e-10, "maxiter": 2000}
    a, b, log_sd = minimize(directly, [-3.0, 2.0, 0.0], method="Nelder-Mead", options=options).x
    np.testing.assert_allclose(posterior.law, (a, b, np.exp(log_sd)), atol=1e-5)


@pytest.mark.parametrize("examples", [5_000, 200_000])
def test_the_law_of_many_examples_is_that_of_known_accuracies(examples):
    """Without binomial noise: the regression of the log-odds, and the deviation around it."""
    rng = np.random.default_rng(0)
    logit = -3 + 2 * np.log10(FREQUENCY) + rng.normal(0, 0.7, 10)
    posterior = fit_law(FREQUENCY, np.round(examples * expit(logit)), np.full(10, examples))
    (b, a), residual, *_ = np.polyfit(np.log10(FREQUENCY), logit, 1, full=True)
    np.testing.assert_allclose(posterior.law, (a, b, np.sqrt(residual[0] / 10)), rtol=0.02)
    np.testing.assert_allclose(posterior.accuracy(FREQUENCY), expit(logit), atol=3e-3)


@pytest.mark.parametrize("c", [0, 3, 9])  # one is never right, one always
@pytest.mark.parametrize("images", [10, 400])
def test_a_predicted_accuracy_is_the_posterior_mean(posterior, c, images):
    numerator, denominator = (
        quad(joint, -15, 15, (c, posterior.law, n), points=[-2, 0, 2], limit=200)[0] for n in (images, None)
    )
    assert posterior.accuracy(np.full(10, images))[c] == pytest.approx(numerator / denominator, abs=1e-5)


def test_classes_without_images_or_examples_have_no_influence_on_the_law(posterior):
    frequency, correct = np.append(FREQUENCY, [0, 50]), np.append(CORRECT, [1, 0])
    extended = fit_law(frequency, correct, np.append(EXAMPLES, [20, 0]))
    np.testing.assert_allclose(extended.law, posterior.law, atol=1e-6)
    a, b, sd = posterior.law
    assert extended.accuracy(frequency)[10] == 1 / 20  # the measured one
    for c, images in ((10, 30), (11, 80)):  # only the law predicts these classes
        expected = quad(lambda u: expit(a + b * np.log10(images) + u) * norm.pdf(u, 0, sd), -12, 12)[0]
        assert extended.accuracy(np.full(12, images))[c] == pytest.approx(expected, abs=1e-4)


def test_images_for_an_accuracy_are_those_that_reach_it_unless_far_outside(posterior):
    images = posterior.images_for(0.75)
    inside = np.isfinite(images)
    np.testing.assert_allclose(posterior.accuracy(np.where(inside, images, 1))[inside], 0.75, atol=1e-6)
    assert (posterior.images_for(0.9999) == np.inf).any() and (posterior.images_for(0.001) == -np.inf).all()
    assert images[inside].min() > 0.5 and images[inside].max() < 5000


def test_without_a_spread_of_frequencies_there_is_no_law():
    with pytest.raises(UserError, match="^what more images bring cannot be seen"):
        fit_law(np.full(10, 7), CORRECT, EXAMPLES)


def test_laws_of_resamples_are_those_of_separate_fits(posterior):
    resamples, weights = np.random.default_rng(0).integers(0, 10, (5, 10)), np.linspace(0.5, 1.5, 10)
    images = FREQUENCY, 2 * FREQUENCY
    means = mean_of_resamples(posterior, CORRECT, EXAMPLES, weights, *images, resamples)
    for rows, means_of_resample in zip(resamples, means.T):
        separate = fit_law(FREQUENCY[rows], CORRECT[rows], EXAMPLES[rows])
        expected = [np.average(separate.accuracy(n[rows]), weights=weights[rows]) for n in images]
        np.testing.assert_allclose(means_of_resample, expected, atol=4e-4)


@pytest.mark.parametrize("classes, examples, sd", [(200, 5, 0.3), (100, 20, 0.2), (50, 400, 0.05)])
def test_with_few_examples_the_law_and_those_of_resamples_are_at_the_maximum(classes, examples, sd):
    rng = np.random.default_rng(1)
    frequency = np.geomspace(500, 5, classes).round().astype(int)
    x, counts = np.log10(frequency), np.full(classes, examples)
    correct = rng.binomial(examples, expit(-3 + 1.5 * x + rng.normal(0, sd, classes)))
    posterior = fit_law(frequency, correct, counts)
    u = np.linspace(-8, 8, 801)  # in units of σ: a direct integral

    def loss(law):
        logit = law[0] + law[1] * x[:, None] + law[2] * u
        joint = correct[:, None] * logit - examples * np.logaddexp(0, logit) - u**2 / 2
        return -logsumexp(joint, axis=1).sum()

    losses = [loss(np.array(posterior.law) + change) for change in 3e-3 * np.array([*np.eye(3), *-np.eye(3)])]
    assert loss(posterior.law) < min(losses)
    resamples, images = rng.integers(0, classes, (4, classes)), (frequency, frequency + 50)
    means = mean_of_resamples(posterior, correct, counts, np.ones(classes), *images, resamples)
    for rows, means_of_resample in zip(resamples, means.T):
        separate = fit_law(frequency[rows], correct[rows], counts[rows])
        expected = [separate.accuracy(n[rows]).mean() for n in images]
        np.testing.assert_allclose(means_of_resample, expected, atol=2e-4)


def test_any_counts_have_a_law_or_an_error():
    rng = np.random.default_rng(0)
    for number in range(60):
        classes = int(rng.integers(2, 30))
        frequency = rng.integers(0, (2, 10, 1000)[number % 3], classes)
        examples = rng.integers(0, (3, 50)[number % 2], classes)
        correct = rng.binomial(examples, rng.choice([0, 1, 0.5], classes))
        try:
            posterior = fit_law(frequency, correct, examples)
        except UserError:
            continue
        resamples = rng.integers(0, classes, (5, classes))
        means = mean_of_resamples(posterior, correct, examples, np.ones(classes), frequency, frequency + 10, resamples)
        assert np.isfinite(posterior.law).all() and np.isfinite(posterior.accuracy(frequency)).all()
        assert np.all(np.isnan(means) | (means > -1e-9) & (means < 1 + 1e-9))


@pytest.mark.skipif(not REFERENCE.exists(), reason=f"needs {REFERENCE.name}, which is beside the clone")
def test_a_stored_approximate_fit_and_its_predictions_are_near():
    reference = json.loads(REFERENCE.read_text())
    frequency, correct, examples = (np.array(reference[key]) for key in ("frequency", "correct", "examples"))
    posterior = fit_law(frequency, correct, examples)
    np.testing.assert_allclose(posterior.law, [reference["fit"][key] for key in ("a", "b", "sd")], rtol=0.06)
    for rule, mean in {"proportional": 69.5, "uniform": 74.8, "rarest": 78.8, "prescribed": 79.3}.items():
        assert 100 * posterior.accuracy(np.array(reference["trained"][rule]["images"])).mean() == pytest.approx(
            mean, abs=0.35
        )
