"""What more images of a class bring: a logistic mixed model of accuracy by class frequency.

logit P(right | class c, n images) = a + b log10 n + u_c, with u_c ~ N(0, σ²): a is common to all classes, b is the gain in
log-odds per decade of images, and u_c is how much easier or harder class c is. If further images of a class are harder than
those it has, what the law predicts is an upper bound.
"""

import dataclasses
import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Num

from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.odds import firth_regression

NODES, TOLERANCE = 25, 1e-8  # of the quadrature over the log-odds of a class; of a, b and σ
RESAMPLE_NODES, RESAMPLE_TOLERANCE = 15, 1e-4
ITERATIONS, MODE_STEPS = 100, 4
LEAST_SD, LARGEST_STEP, LEAST_CURVATURE = 1e-2, 1.0, 1e-6  # σ may have its maximum at 0

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

    The likelihood is the product over classes of ∫ Binomial(k; N, P(right)) N(u; 0, σ²) du, for k of N examples right; see
    `maximize`. Classes without training images or without examples have no part in the law. An example counts by itself, so
    means over runs are valid counts.

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
    z = np.polynomial.hermite_e.hermegauss(NODES)
    theta, logit, weight = maximize(np.array([*start, 1.0]), x, *counted, fitted, z, TOLERANCE)
    without = np.where(examples > 0, correct / np.maximum(examples, 1), 0.0)
    return Posterior(Law(*map(float, theta)), frequency, logit, weight, without)


def has_maximum(frequency: Int[np.ndarray, " class"], correct: Counts, examples: Counts) -> bool:
    """Whether the law has a largest likelihood: not if a class frequency separates right from wrong examples, as if all are right.

    The likelihood then grows with a or b without end, as that of every logistic regression (Albert & Anderson, 1984, Biometrika
    71), and the law depends on where the iteration stops.
    """
    fitted = (frequency > 0) & (examples > 0)
    right, wrong = (frequency[fitted & (number > 0)] for number in (correct, examples - correct))
    if not (right.size and wrong.size):
        return False
    return bool(wrong.max() > right.min() and right.max() > wrong.min())


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

    A law is fitted to each resample, from that of the sample. The means are nan where a resample has no class that counts, or
    one class frequency.
    """
    x, counts = decades_of(fitted.frequency), (fitted.frequency > 0) & (examples > 0)
    counted = np.where(counts, examples, 0)[chosen], np.where(counts, correct, 0)[chosen]
    known = np.where(counts, x, np.nan)[chosen]
    differs = np.nanmax(known, axis=1, initial=-np.inf) - np.nanmin(known, axis=1, initial=np.inf) > TOLERANCE
    theta = np.repeat(np.array(fitted.law)[:, None], len(chosen), axis=1)
    part, z = counts[chosen] & differs[:, None], np.polynomial.hermite_e.hermegauss(RESAMPLE_NODES)
    theta, logit, weight = maximize(theta, x[chosen], *counted, part, z, RESAMPLE_TOLERANCE)
    means = []
    for images in (before, after):
        gain = theta[1][:, None] * (decades_of(images) - x)[chosen]
        right = (weight * share(logit + gain[..., None])).sum(axis=-1)
        right = np.where(images[chosen] > 0, right, fitted.without[chosen])
        with np.errstate(invalid="ignore"):  # a resample may have no class that counts, such as one of the tail
            mean = (value[chosen] * right).sum(axis=-1) / value[chosen].sum(axis=-1)
        means.append(np.where(differs, mean, np.nan))
    return np.stack(means)


def maximize(
    theta: Float[np.ndarray, "3 ..."],
    x: Float[np.ndarray, "... class"],
    examples: Num[np.ndarray, "... class"],
    correct: Num[np.ndarray, "... class"],
    part: Bool[np.ndarray, "... class"],
    z_and_weight: tuple[Float[np.ndarray, " node"], Float[np.ndarray, " node"]],
    tolerance: float,
) -> tuple[Float[np.ndarray, "3 ..."], Float[np.ndarray, "... class node"], Float[np.ndarray, "... class node"]]:
    """The laws of the largest marginal likelihoods of the classes that have a `part`, and the posterior of each class.

    Newton's method for a, b and log σ, from the laws `theta`. The derivatives of the marginal likelihood are moments of the
    posterior (Louis, 1982). In a direction of positive curvature, the step is upwards, too.
    """
    for _ in range(ITERATIONS):
        step = newton_step(theta, x, *posterior(theta, x, examples, correct, z_and_weight), part)
        last, theta = theta, np.stack([*theta[:2] + step[:2], np.maximum(theta[2] * np.exp(step[2]), LEAST_SD)])
        if np.abs(theta - last).max() < tolerance:
            break
    return theta, *posterior(theta, x, examples, correct, z_and_weight)


def newton_step(
    theta: Float[np.ndarray, "3 ..."],
    x: Float[np.ndarray, "... class"],
    logit: Float[np.ndarray, "... class node"],
    weight: Float[np.ndarray, "... class node"],
    part: Bool[np.ndarray, "... class"],
) -> Float[np.ndarray, "3 ..."]:
    """The step in a, b and log σ.

    With r = t − a − b x for log-odds t, the log-density of r has the derivatives r / σ², x r / σ² and r² / σ² − 1. Their
    posterior means add up to the gradient; the Hessian is the mean of their derivatives and the covariance of them.
    """
    at_one, per_decade, sd = theta[..., None]
    residual, variance = logit - (at_one + per_decade * x)[..., None], sd**2
    powers = itertools.accumulate([weight, *[residual] * 4], np.multiply)
    _, m1, m2, m3, m4 = (power.sum(axis=-1) for power in powers)
    first = np.stack([m1 / variance, x * m1 / variance, m2 / variance - 1])
    aa = (m2 - m1**2) / variance**2 - 1 / variance
    at = (m3 - m1 * m2) / variance**2 - 2 * m1 / variance
    tt = (m4 - m2**2) / variance**2 - 2 * m2 / variance
    second = np.array([[aa, x * aa, at], [x * aa, x**2 * aa, x * at], [at, x * at, tt]])
    gradient = np.moveaxis((part * first).sum(axis=-1), 0, -1)
    hessian = np.moveaxis((part * second).sum(axis=-1), (0, 1), (-2, -1))
    curvature, axes = np.linalg.eigh(hessian)
    along = np.einsum("...ij,...i->...j", axes, gradient) / np.maximum(np.abs(curvature), LEAST_CURVATURE)
    step = np.einsum("...ij,...j->...i", axes, along)
    step *= LARGEST_STEP / np.maximum(np.abs(step).max(axis=-1, keepdims=True), LARGEST_STEP)
    return np.moveaxis(step, -1, 0)


def decades_of(images: Num[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """log10 of numbers of images, that of 0 as of 1."""
    return np.log10(np.where(images > 0, images, 1))


def share(logit: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """1 / (1 + exp(−logit))."""
    return 0.5 + 0.5 * np.tanh(logit / 2)


def posterior(
    theta: Float[np.ndarray, "3 ..."],
    x: Float[np.ndarray, "... class"],
    examples: Num[np.ndarray, "... class"],
    correct: Num[np.ndarray, "... class"],
    z_and_weight: tuple[Float[np.ndarray, " node"], Float[np.ndarray, " node"]],
) -> tuple[Float[np.ndarray, "... class node"], Float[np.ndarray, "... class node"]]:
    """The log-odds of each class, by laws `theta`, as nodes with weights that add up to 1.

    By adaptive Gauss–Hermite quadrature (Liu & Pierce, 1994): the nodes are about the mode of the posterior, in units of the
    standard deviation that its curvature gives.
    """
    at_one, per_decade, sd = theta[..., None]
    prior, precision = at_one + per_decade * x, 1 / sd**2
    right, wrong = correct + 0.5, examples - correct + 0.5
    # The mode is between the prior's and the observed log-odds. Newton's method begins where it would be if both were normal.
    observed = np.where(examples > 0, 1 / (1 / right + 1 / wrong), 0)
    mode = (precision * prior + observed * np.log(right / wrong)) / (precision + observed)
    for _ in range(MODE_STEPS):
        p = share(mode)
        slope = correct - examples * p - precision * (mode - prior)
        mode = mode + np.clip(slope / (examples * p * (1 - p) + precision), -LARGEST_STEP, LARGEST_STEP)
    p = share(mode)
    z, weight = z_and_weight
    logit = mode[..., None] + z / np.sqrt(examples * p * (1 - p) + precision)[..., None]
    likelihood = correct[..., None] * logit - examples[..., None] * np.logaddexp(0, logit)
    log_weight = np.log(weight) + z**2 / 2 + likelihood - precision[..., None] * (logit - prior[..., None]) ** 2 / 2
    weight = np.exp(log_weight - log_weight.max(axis=-1, keepdims=True))
    return logit, weight / weight.sum(axis=-1, keepdims=True)
