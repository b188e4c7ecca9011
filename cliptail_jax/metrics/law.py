"""The gain of more images of a class: a logistic mixed model of accuracy by class frequency.

logit P(right | class c, n images) = a + b log10 n + u_c, with u_c ~ N(0, σ²): a is common to all classes, b is the gain in
log-odds per decade of images, and u_c is how much easier or harder class c is. If further images of a class are harder than
those it has, the prediction of the law is an upper bound.
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
NUMBERS_AT_ONCE = 2**23  # of log-odds: those of 100,000 classes would need gigabytes
LEAST_SD, LARGEST_STEP, LEAST_CURVATURE = 1e-2, 1.0, 1e-6  # σ may have its maximum at 0

Counts = Num[np.ndarray, " class"]


class Law(NamedTuple):
    """The mean log-odds at one image, their growth per decade of images, and the standard deviation σ of classes."""

    at_one: float
    per_decade: float
    sd: float


@dataclasses.dataclass(frozen=True)
class Posterior:
    """The distribution of each class's log-odds at its frequency, given the law and its counts, as nodes of a quadrature.

    Attributes:
        law: the law.
        frequency: the number of training images; a class without any has the log-odds at one image.
        logit: the log-odds of being right at the nodes, ascending.
        weight: the weights of the nodes; the sum over those of a class is 1.
        untrained_accuracy: the accuracy of a class without images, in 0..1: the measured one, or 0 without examples.
    """

    law: Law
    frequency: Int[np.ndarray, " class"]
    logit: Float[np.ndarray, "class node"]
    weight: Float[np.ndarray, "class node"]
    untrained_accuracy: Float[np.ndarray, " class"]

    def accuracy(self, images: Num[np.ndarray, "class *more"]) -> Float[np.ndarray, "class *more"]:
        """The mean of P(right), in 0..1, if each class has so many images."""
        by_class = (slice(None), *(None,) * (images.ndim - 1))
        gain = self.law.per_decade * (decades_of(images) - decades_of(self.frequency)[by_class])
        means = np.empty(images.shape)
        block = max(NUMBERS_AT_ONCE * len(means) // max(gain.size * self.logit.shape[1], 1), 1)  # in classes
        for start in range(0, len(means), block):
            part = slice(start, start + block)
            logit = self.logit[part][by_class] + gain[part][..., None]
            means[part] = (self.weight[part][by_class] * share(logit)).sum(axis=-1)
        return np.where(images > 0, means, self.untrained_accuracy[by_class])

    def images_for(self, accuracy: float) -> Float[np.ndarray, " class"]:
        """The number of images with which each class reaches an accuracy in 0..1: the inverse of `accuracy`.

        −inf and inf for a number that is more than a decade below or above the frequencies of all classes that have images.
        Accuracy must grow with images by the law.
        """
        decades = decades_of(self.frequency[self.frequency > 0])
        lowest, highest = (np.full(len(self.frequency), bound) for bound in (decades.min() - 1, decades.max() + 1))
        low, high = lowest.copy(), highest.copy()
        for _ in range(50):  # bisection
            middle = (low + high) / 2
            is_enough = self.accuracy(10**middle) >= accuracy
            low, high = np.where(is_enough, low, middle), np.where(is_enough, middle, high)
        images = np.where(self.accuracy(10**lowest) >= accuracy, -np.inf, 10**high)
        return np.where(self.accuracy(10**highest) < accuracy, np.inf, images)


def fit_law(frequency: Int[np.ndarray, " class"], correct: Counts, examples: Counts) -> Posterior:
    """The law of the largest marginal likelihood, and the posterior of each class.

    The likelihood is the product over classes of ∫ Binomial(k; N, P(right)) N(u; 0, σ²) du, for k of N examples right; see
    `maximize`. Classes without training images or without examples have no influence on the law. Each example counts by
    itself, so means over runs are valid counts.

    Raises:
        UserError: the classes with images and examples have fewer than two frequencies.

    Example:
        posterior = fit_law(frequency, correct, examples)
        posterior.accuracy(2 * frequency)  # with twice as many images of each class
    """
    x, informative = decades_of(frequency), (frequency > 0) & (examples > 0)
    if len(np.unique(x[informative])) < 2:
        raise UserError(
            "what more images bring cannot be seen where all classes have equally many training images: it needs classes of "
            "different frequencies, with examples in the evaluation"
        )
    counts = np.where(informative, examples, 0), np.where(informative, correct, 0)
    start = firth_regression(*(array[informative][None].astype(float) for array in (x, correct, examples)))
    z = np.polynomial.hermite_e.hermegauss(NODES)
    theta, logit, weight = maximize(np.array([*start, 1.0]), x, *counts, informative, z, TOLERANCE)
    untrained_accuracy = np.where(examples > 0, correct / np.maximum(examples, 1), 0.0)
    return Posterior(Law(*map(float, theta)), frequency, logit, weight, untrained_accuracy)


def has_maximum(frequency: Int[np.ndarray, " class"], correct: Counts, examples: Counts) -> bool:
    """Whether the likelihood of laws has a maximum: not if a class frequency separates right from wrong examples.

    Where one does, for example if all examples are right, the likelihood grows with a or b without end, as that of every
    logistic regression (Albert & Anderson, 1984, Biometrika 71), and the law depends on where the iteration stops.
    """
    informative = (frequency > 0) & (examples > 0)
    right_images, wrong_images = (frequency[informative & (number > 0)] for number in (correct, examples - correct))
    if not (right_images.size and wrong_images.size):
        return False
    return bool(wrong_images.max() > right_images.min() and right_images.max() > wrong_images.min())


def mean_of_resamples(
    posterior: Posterior,
    correct: Counts,
    examples: Counts,
    class_weights: Float[np.ndarray, " class"],
    initial_images: Num[np.ndarray, " class"],
    final_images: Num[np.ndarray, " class"],
    resamples: Int[np.ndarray, "resample class"],
) -> Float[np.ndarray, "2 resample"]:
    """The weighted mean accuracies in 0..1 with the initial and the final images, in resamples of the classes.

    A law is fitted to each resample; the iteration starts from the law of the sample. The means are nan where the classes
    of a resample have no weight, or the same frequency.
    """
    x, informative = decades_of(posterior.frequency), (posterior.frequency > 0) & (examples > 0)
    counts = np.where(informative, examples, 0)[resamples], np.where(informative, correct, 0)[resamples]
    informative_x = np.where(informative, x, np.nan)[resamples]
    x_range = np.nanmax(informative_x, axis=1, initial=-np.inf) - np.nanmin(informative_x, axis=1, initial=np.inf)
    has_law = x_range > TOLERANCE
    theta = np.repeat(np.array(posterior.law)[:, None], len(resamples), axis=1)
    part, z = informative[resamples] & has_law[:, None], np.polynomial.hermite_e.hermegauss(RESAMPLE_NODES)
    theta, logit, weight = maximize(theta, x[resamples], *counts, part, z, RESAMPLE_TOLERANCE)
    means = []
    for images in (initial_images, final_images):
        gain = theta[1][:, None] * (decades_of(images) - x)[resamples]
        accuracy = (weight * share(logit + gain[..., None])).sum(axis=-1)
        accuracy = np.where(images[resamples] > 0, accuracy, posterior.untrained_accuracy[resamples])
        with np.errstate(invalid="ignore"):  # a resample may lack all classes with a weight, such as those of the tail
            mean = (class_weights[resamples] * accuracy).sum(axis=-1) / class_weights[resamples].sum(axis=-1)
        means.append(np.where(has_law, mean, np.nan))
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
    """The laws that maximize the marginal likelihood of the classes in `part`, and the posterior of each class.

    Newton's method for a, b and log σ starts from the laws `theta`. The derivatives of the marginal likelihood are moments of
    the posterior (Louis, 1982). In a direction of positive curvature, the step is upwards, too.
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
    posterior means add up to the gradient. The Hessian is the sum of the posterior means of their derivatives and of their
    covariance.
    """
    at_one, per_decade, sd = theta[..., None]
    residual, variance = logit - (at_one + per_decade * x)[..., None], sd**2
    powers = itertools.accumulate([weight, *[residual] * 4], np.multiply)
    _, m1, m2, m3, m4 = (power.sum(axis=-1) for power in powers)
    first = np.stack([m1 / variance, x * m1 / variance, m2 / variance - 1])
    h_aa = (m2 - m1**2) / variance**2 - 1 / variance
    h_as = (m3 - m1 * m2) / variance**2 - 2 * m1 / variance
    h_ss = (m4 - m2**2) / variance**2 - 2 * m2 / variance
    second = np.array([[h_aa, x * h_aa, h_as], [x * h_aa, x**2 * h_aa, x * h_as], [h_as, x * h_as, h_ss]])
    gradient = np.moveaxis((part * first).sum(axis=-1), 0, -1)
    hessian = np.moveaxis((part * second).sum(axis=-1), (0, 1), (-2, -1))
    curvature, axes = np.linalg.eigh(hessian)
    components = np.einsum("...ij,...i->...j", axes, gradient) / np.maximum(np.abs(curvature), LEAST_CURVATURE)
    step = np.einsum("...ij,...j->...i", axes, components)
    step *= LARGEST_STEP / np.maximum(np.abs(step).max(axis=-1, keepdims=True), LARGEST_STEP)
    return np.moveaxis(step, -1, 0)


def decades_of(images: Num[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """log10 of numbers of images; 0 counts as 1."""
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
    """The log-odds of each class by the laws `theta`, as nodes with weights that add up to 1.

    This is adaptive Gauss–Hermite quadrature (Liu & Pierce, 1994): the nodes are around the mode of the posterior, in units
    of the standard deviation that its curvature gives.
    """
    at_one, per_decade, sd = theta[..., None]
    prior, precision = at_one + per_decade * x, 1 / sd**2
    # The mode is between the prior's and the observed log-odds. Newton's method starts where it would be if both were normal.
    num_right, num_wrong = correct + 0.5, examples - correct + 0.5
    observed_precision = np.where(examples > 0, 1 / (1 / num_right + 1 / num_wrong), 0)
    observed_logit = np.log(num_right / num_wrong)
    mode = (precision * prior + observed_precision * observed_logit) / (precision + observed_precision)
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
