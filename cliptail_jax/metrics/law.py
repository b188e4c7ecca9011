"""What more images of a class bring: a logistic mixed model of accuracy by class frequency.

logit P(right | class c, n images) = a + b log10 n + u_c, with u_c ~ N(0, σ²): a is common to all classes, b is the gain in
log-odds per decade of images, and u_c is how much easier or harder class c is. If further images of a class are harder than
those it has, what the law predicts is an upper bound.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Num

from cliptail_jax.errors import UserError
from cliptail_jax.metrics.odds import firth_regression

NODES = 25  # of the quadrature over the log-odds of a class
ITERATIONS = 500  # enough but where classes do not vary, and σ is nearly 0
TOLERANCE = 1e-8
# Of resamples, whose laws begin at that of the sample: mean accuracies are right to 0.02 points.
RESAMPLE_NODES, RESAMPLE_ITERATIONS, RESAMPLE_TOLERANCE = 7, 100, 1e-2

Counts = Num[np.ndarray, " class"]


class Law(NamedTuple):
    """The mean log-odds at one image, their growth per decade of images, and the standard deviation σ of classes."""

    at_one: float
    per_decade: float
    sd: float


@dataclasses.dataclass(frozen=True)
class Posterior:
    """What a law and the counts of each class tell of its log-odds at its class frequency, as nodes of a quadrature.

    Attributes:
        law: the law.
        frequency: the number of training images; a class without any has the log-odds at one image.
        logit: of P(right), ascending.
        weight: of the nodes; the sum over those of a class is 1.
        without: the accuracy, in 0..1, of a class without images: what was counted, or 0.
    """

    law: Law
    frequency: Int[np.ndarray, " class"]
    logit: Float[np.ndarray, "class node"]
    weight: Float[np.ndarray, "class node"]
    without: Float[np.ndarray, " class"]

    def accuracy(self, images: Num[np.ndarray, "class *more"]) -> Float[np.ndarray, "class *more"]:
        """The mean of P(right), in 0..1, if each class has so many images."""
        by_class = (slice(None), *(None,) * (images.ndim - 1))
        gain = self.law.per_decade * (decades_of(images) - decades_of(self.frequency)[by_class])
        right = (self.weight[by_class] * share(self.logit[by_class] + gain[..., None])).sum(axis=-1)
        return np.where(images > 0, right, self.without[by_class])

    def images_for(self, accuracy: float) -> Float[np.ndarray, " class"]:
        """The number of images with which each class reaches an accuracy in 0..1: the inverse of `accuracy`.

        −inf and inf for a number that is more than a decade below or above the class frequencies of all classes that have
        images. The law must grow with images.
        """
        seen = decades_of(self.frequency[self.frequency > 0])
        least, most = (np.full(len(self.frequency), bound) for bound in (seen.min() - 1, seen.max() + 1))
        low, high = least.copy(), most.copy()
        for _ in range(50):  # bisection
            middle = (low + high) / 2
            reached = self.accuracy(10**middle) >= accuracy
            low, high = np.where(reached, low, middle), np.where(reached, middle, high)
        found = np.where(self.accuracy(10**least) >= accuracy, -np.inf, 10**high)
        return np.where(self.accuracy(10**most) < accuracy, np.inf, found)


def fit_law(frequency: Int[np.ndarray, " class"], correct: Counts, examples: Counts) -> Posterior:
    """The law of the largest marginal likelihood, and the posterior of each class.

    The likelihood is the product over classes of ∫ Binomial(k; N, P(right)) N(u; 0, σ²) du, for k of N examples right. EM
    maximizes it (Dempster, Laird & Rubin, 1977): with the log-odds t = a + b x + u of each class as the missing data, the
    next a and b are the regression of E[t] on x, and σ² is the mean of (E[t] − a − b x)² + Var[t]. The integrals are by
    Gauss–Hermite quadrature with nodes that follow the posterior mean and variance of t (Naylor & Smith, 1982). Classes
    without training images or without examples have no part in the law. An example counts by itself, so means over runs
    are valid counts.

    Raises:
        UserError: these have fewer than two class frequencies.
    """
    x, fitted = decades_of(frequency), (frequency > 0) & (examples > 0)
    if len(np.unique(x[fitted])) < 2:
        raise UserError(
            "what more images bring cannot be seen where all classes have equally many training images: it needs classes of "
            "different frequencies, with examples in the evaluation"
        )
    counted = np.where(fitted, examples, 0), np.where(fitted, correct, 0)
    start = firth_regression(x[fitted][None], *(side[fitted][None].astype(float) for side in (correct, examples)))
    theta = np.array([*start, 1.0])
    right, wrong = counted[1] + 0.5, counted[0] - counted[1] + 0.5
    # Nodes at the observed log-odds, by the delta method: if they were much farther apart than the posterior is wide, one
    # would have all the weight.
    mean, variance = np.log(right / wrong), 1 / right + 1 / wrong
    z_and_weight = np.polynomial.hermite_e.hermegauss(NODES)
    for _ in range(ITERATIONS):
        logit, log_base = placed(mean, variance, *counted, z_and_weight)
        weight, mean, variance = posterior(theta, x, logit, log_base)
        before, theta = theta, maximized(x, mean, variance, fitted.astype(float))
        if np.abs(theta - before).max() < TOLERANCE:
            break
    # Two rounds for the nodes of classes that have no part in the law.
    for _ in range(2):
        logit, log_base = placed(mean, variance, *counted, z_and_weight)
        weight, mean, variance = posterior(theta, x, logit, log_base)
    without = np.where(examples > 0, correct / np.maximum(examples, 1), 0.0)
    return Posterior(Law(*map(float, theta)), frequency, logit, weight, without)


def mean_of_resamples(
    fitted: Posterior,
    correct: Counts,
    examples: Counts,
    value: Float[np.ndarray, " class"],
    before: Num[np.ndarray, " class"],
    after: Num[np.ndarray, " class"],
    chosen: Int[np.ndarray, "resample class"],
) -> Float[np.ndarray, "2 resample"]:
    """The mean accuracies in 0..1 with `before` and with `after` images, weighted by `value`, in resamples of the classes.

    A law is fitted to each resample, with the nodes of the sample's posterior, which are near. The means are nan where a
    resample has no class that counts, or one class frequency.
    """
    x, counts = decades_of(fitted.frequency), (fitted.frequency > 0) & (examples > 0)
    counted = np.where(counts, examples, 0), np.where(counts, correct, 0)
    mean = (fitted.weight * fitted.logit).sum(axis=1)
    variance = (fitted.weight * (fitted.logit - mean[:, None]) ** 2).sum(axis=1)
    of_classes = placed(mean, variance, *counted, np.polynomial.hermite_e.hermegauss(RESAMPLE_NODES))
    logit, log_base = (side[chosen] for side in of_classes)
    theta = np.repeat(np.array(fitted.law)[:, None], len(chosen), axis=1)
    known = np.where(counts, x, np.nan)[chosen]
    differs = np.nanmax(known, axis=1, initial=-np.inf) - np.nanmin(known, axis=1, initial=np.inf) > TOLERANCE
    for _ in range(RESAMPLE_ITERATIONS):
        weight, *moments = posterior(theta[..., None], x[chosen], logit, log_base)
        last, theta = theta, np.where(differs, maximized(x[chosen], *moments, counts[chosen].astype(float)), theta)
        if np.abs(theta - last).max() < RESAMPLE_TOLERANCE:
            break
    means = []
    for images in (before, after):
        gain = theta[1][:, None] * (decades_of(images) - x)[chosen]
        right = (weight * share(logit + gain[..., None])).sum(axis=-1)
        right = np.where(images[chosen] > 0, right, fitted.without[chosen])
        with np.errstate(invalid="ignore"):  # a resample may have no class that counts, such as one of the tail
            mean = (value[chosen] * right).sum(axis=-1) / value[chosen].sum(axis=-1)
        means.append(np.where(differs, mean, np.nan))
    return np.stack(means)


def decades_of(images: Num[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """log10 of numbers of images, that of 0 as of 1."""
    return np.log10(np.where(images > 0, images, 1))


def share(logit: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """1 / (1 + exp(−logit))."""
    return 0.5 + 0.5 * np.tanh(logit / 2)


def placed(
    mean: Float[np.ndarray, " class"],
    variance: Float[np.ndarray, " class"],
    examples: Counts,
    correct: Counts,
    z_and_weight: tuple[Float[np.ndarray, " node"], Float[np.ndarray, " node"]],
) -> tuple[Float[np.ndarray, "class node"], Float[np.ndarray, "class node"]]:
    """Nodes at a mean and variance of each class, and the log of their quadrature weight times the likelihood there."""
    z, weight = z_and_weight
    sd = np.sqrt(variance)[:, None]
    logit = mean[:, None] + sd * z
    likelihood = correct[:, None] * logit - examples[:, None] * np.logaddexp(0, logit)
    return logit, np.log(weight) + z**2 / 2 + np.log(sd) + likelihood


def posterior(
    theta: Float[np.ndarray, "3 ..."],
    x: Float[np.ndarray, "..."],
    logit: Float[np.ndarray, "... node"],
    log_base: Float[np.ndarray, "... node"],
) -> tuple[Float[np.ndarray, "... node"], Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """The weight of each node by Bayes' rule, and the mean and variance of the log-odds. `theta` is a law."""
    at_one, per_decade, sd = theta
    residual = logit - (at_one + per_decade * x)[..., None]
    log_weight = log_base - residual**2 / (2 * np.asarray(sd)[..., None] ** 2)
    weight = np.exp(log_weight - log_weight.max(axis=-1, keepdims=True))
    weight /= weight.sum(axis=-1, keepdims=True)
    mean = (weight * logit).sum(axis=-1)
    return weight, mean, (weight * (logit - mean[..., None]) ** 2).sum(axis=-1)


def maximized(
    x: Float[np.ndarray, "... class"],
    mean: Float[np.ndarray, "... class"],
    variance: Float[np.ndarray, "... class"],
    fitted: Float[np.ndarray, "... class"],
) -> Float[np.ndarray, "3 ..."]:
    """The next law of EM: the regression of the mean log-odds, and the deviation around it, over classes where `fitted` is 1, not 0."""
    number = np.maximum(fitted.sum(axis=-1), 1)

    def average(values):
        return (fitted * values).sum(axis=-1) / number

    centre, level = average(x), average(mean)
    spread = average((x - centre[..., None]) ** 2)
    slope = average((x - centre[..., None]) * mean) / np.maximum(spread, TOLERANCE**2)
    at_one = level - slope * centre
    residual = mean - at_one[..., None] - slope[..., None] * x
    return np.stack([at_one, slope, np.sqrt(average(residual**2 + variance))])
