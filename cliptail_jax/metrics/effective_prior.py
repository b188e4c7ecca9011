"""Effective log-priors: how much a loss favours each class, whatever an image shows.

A classifier that minimizes the loss has the logits log P(image | class) + ψ_class, up to a constant. For SL, ψ is the log of
the class's share of the training images; remedies for long tails make it smaller. ψ = 0 favours no class.
"""

import math

import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.metrics.imbalance import log_prior

SL_PER_DECADE = math.log(10)  # the slope of SL's ψ


def batch_log_prior(frequency: Int[np.ndarray, " class"], batch: int) -> Float[np.ndarray, " class"]:
    """ψ_c = log p_c − log(1 − (1 − p_c)^(B − 1)) of a softmax over the classes of a batch of B ≥ 2 images.

    p_c is a class's share of the images, and 1 − (1 − p_c)^(B − 1) the probability that one of the B − 1 other images of a
    batch has the class. The logarithm of the same probability corrects a sampled softmax (Bengio & Senécal, 2008, "Adaptive
    importance sampling to accelerate training of a neural probabilistic language model"). The result is exact if classes
    occur in a batch independently of each other. For images of eight classes drawn at random, it is off by up to 0.05 if
    B = 4, and by up to 0.001 if B = 32.

    All frequencies are positive.
    """
    prior = log_prior(frequency)
    return prior - np.log(-np.expm1((batch - 1) * np.log1p(-np.exp(prior))))


def per_decade(psi: Float[np.ndarray, " class"], frequency: Int[np.ndarray, " class"]) -> float:
    """The slope of ψ per decade of class frequency, by least squares over the classes; nan if all are equally frequent."""
    decades = np.log10(frequency)
    decades -= decades.mean()
    return float(psi @ decades / (decades @ decades)) if np.ptp(decades) > 0 else math.nan
