"""Effective log-priors: how much a loss favours each class, whatever an image shows.

A classifier that minimizes the loss has the logits log P(image | class) + ψ_class, up to a constant. For SL, ψ is the log of
the class's share of the training images; remedies for long tails make it smaller. ψ = 0 favours no class.
configs/effective_prior.md derives the formulas.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.imbalance import check_number, checked_counts, log_prior

SL_PER_DECADE = math.log(10)  # the slope of SL's ψ
SAMPLING_EXPONENTS = {
    "uniform": 0.0,
    "sqrt": 0.5,
    "linear": 1.0,
}  # a class's probability is its frequency to this power
DRAWS, SEED = 4096, 0  # simulated vocabularies
NUMBERS_AT_ONCE = 2**22  # of simulated vocabularies, so that they need little memory
NUMBERS = 2**25  # of all simulated vocabularies: with more classes than 8,192, fewer are precise enough


class UnknownPriorError(UserError):
    """A loss has no effective log-prior, or none that is known."""


def batch_log_prior(frequency: Int[np.ndarray, " class"], batch: int) -> Float[np.ndarray, " class"]:
    """ψ_c = log p_c − log(1 − (1 − p_c)^(B − 1)) of a softmax over the classes of a batch of B ≥ 2 images.

    p_c is a class's share of the images, and 1 − (1 − p_c)^(B − 1) the probability that one of the B − 1 other images of a
    batch has the class. The logarithm of the same probability corrects a sampled softmax (Bengio & Senécal, 2008, "Adaptive
    importance sampling to accelerate training of a neural probabilistic language model"). The result is exact if classes
    occur in a batch independently of each other. For images of eight classes drawn at random, it is off by up to 0.05 if
    B = 4, and by up to 0.001 if B = 32.

    All frequencies are positive.
    """
    return log_prior(frequency) - np.log(presence(frequency, batch))


def presence(frequency: Int[np.ndarray, " class"], batch: int) -> Float[np.ndarray, " class"]:
    """1 − (1 − p_c)^(B − 1): the probability that a class is among B − 1 images."""
    with np.errstate(divide="ignore"):  # a single class
        return -np.expm1((batch - 1) * np.log1p(-np.exp(log_prior(frequency))))


def vocabulary_log_prior(
    frequency: Int[np.ndarray, " class"], size: int, sampling: str, batch: int
) -> Float[np.ndarray, " class"]:
    """ψ_c = log p_c − log q_c of a softmax over a sampled vocabulary.

    The vocabulary has the classes of a batch of B images and further ones, up to `size` in total, which are drawn without
    replacement with probabilities proportional to frequency to the power of `SAMPLING_EXPONENTS[sampling]`. q_c is the
    probability that class c is in the vocabulary of an image of another class. It is the mean over `DRAWS` simulated
    batches (fewer with more than 8,192 classes) of the probability given the other classes' draws, with a fixed seed. A
    class of weight w joins at a time that is exponential with the rate w, and the earliest are drawn (Efraimidis & Spirakis,
    2006, "Weighted random sampling with a reservoir"), so that it is among the first k if it joins before the k-th of the
    others: 1 − exp(−w t).

    All frequencies are positive.
    """
    classes = len(frequency)
    if size >= classes:
        return log_prior(frequency)
    if size <= 1:
        return batch_log_prior(frequency, batch)
    rng, shares = np.random.default_rng(SEED), frequency / frequency.sum()
    weights = shares ** SAMPLING_EXPONENTS[sampling]
    presences, absences = np.zeros(classes), np.zeros(classes)
    for _ in range(math.ceil(min(DRAWS * classes, NUMBERS) / NUMBERS_AT_ONCE)):
        draws = min(DRAWS, NUMBERS_AT_ONCE // classes)
        is_absent = rng.multinomial(batch, shares, size=draws) == 0
        places = np.maximum(size - classes + is_absent.sum(axis=1), 0)  # of the classes that the batch lacks
        times = np.where(is_absent, rng.exponential(size=(draws, classes)) / weights, np.inf)
        order = np.concatenate([np.zeros((draws, 1)), np.sort(times, axis=1)], axis=1)  # order[k] is the k-th time
        kth, following = (order[np.arange(draws), np.minimum(places + i, classes)][:, None] for i in (0, 1))
        last = np.where(times <= kth, following, kth)  # the k-th time of the other classes
        presences += np.where(is_absent & (places > 0)[:, None], -np.expm1(-weights * last), 0).sum(axis=0)
        absences += is_absent.sum(axis=0)
    present = presence(frequency, batch)
    return log_prior(frequency) - np.log(present + (1 - present) * presences / np.maximum(absences, 1))


def weights_log_prior(frequency: Int[np.ndarray, " class"], beta: float) -> Float[np.ndarray, " class"]:
    """ψ_c = log p_c + log w_c of class weights by the effective number of images."""
    return log_prior(frequency) + np.log(effective_number_weights(frequency, beta))


def effective_number_weights(
    frequency: Sequence[int] | Int[np.ndarray, " classes"], beta: float
) -> Float[np.ndarray, " classes"]:
    """w_c ∝ (1 − β) / (1 − β^n_c), with mean 1 over the classes that have records; 0 for the others.

    (1 − β^n) / (1 − β) is the effective number of n records: 1 for β = 0, which makes all weights 1, and n as β goes to 1,
    which makes weights ∝ 1 / n. Cui et al. (2019), "Class-balanced loss based on effective number of samples" (arXiv
    1901.05555).

    Raises UserError if β is not in 0..1, without 1, or counts are negative or all 0.
    """
    check_number("β", beta)
    if not 0 <= beta < 1:
        raise UserError(f"β is {beta:g}: choose a number from 0 to below 1, such as 0.9999")
    frequency = checked_counts(frequency, len(frequency))
    is_present = frequency > 0
    weights = np.where(is_present, (1 - beta) / (1 - beta ** np.maximum(frequency, 1)), 0.0)
    return weights / weights[is_present].mean()


def is_same_prior(psi: Float[np.ndarray, " class"], other_psi: Float[np.ndarray, " class"]) -> bool:
    """Whether two log-priors favour the same classes, up to the error of simulated vocabularies."""
    return np.allclose(psi - psi.mean(), other_psi - other_psi.mean(), atol=0.01)


def per_decade(psi: Float[np.ndarray, " class"], frequency: Int[np.ndarray, " class"]) -> float:
    """The slope of ψ per decade of class frequency, by least squares over the classes; nan if all are equally frequent."""
    decades = np.log10(frequency)
    decades -= decades.mean()
    return float(psi @ decades / (decades @ decades)) if np.ptp(decades) > 0 else math.nan
