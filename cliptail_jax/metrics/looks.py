"""The levels of tests that are repeated as a study grows by pairs of runs, so that all of them together have 5 % errors.

A study may stop at any look. After k of at most n pairs, the looks have spent α log(1 + (e − 1) k/n) of the probability α of
an error: Pocock's spending function (Lan & DeMets, 1983, Biometrika 70). The level of each look follows by
integration over the paths that have not yet crossed a bound (Armitage, McPherson & Rowe, 1969), for estimates whose information
grows with the number of pairs. Effects that all pairs share, such as the choice of classes, make looks more similar and
errors rarer. As in Pocock's t tests (1977), looks have the same levels if the variance is estimated. With probability 1 − α,
all intervals at these levels contain the truth, whatever the rule when to stop (Jennison & Turnbull, 1989, repeated
confidence intervals). scripts/benchmark/stopping.py simulates studies.
"""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from cliptail_jax.metrics.bootstrap import LEVEL

FIRST = 2  # pairs at the first look: a single pair does not show how much pairs differ
QUADRATURE = np.polynomial.legendre.leggauss(64)  # of up to 30 looks to 1e-14
FARTHEST = 38.0  # bound in standard errors: the probability beyond it is 0 in floating point


class Look(NamedTuple):
    """A test of a claim, in a study that adds pairs until claims are decided.

    Attributes:
        pairs: the number of pairs at this look, `FIRST` or more.
        max_pairs: the largest number of pairs that the study may have.
    """

    pairs: int
    max_pairs: int

    def level(self, errors: float = 1 - LEVEL) -> float:
        """The level of this look's interval, if those of all looks miss the truth with probability `errors`."""
        return 1 - look_errors(self.max_pairs, errors)[self.pairs - FIRST]


class Walk(NamedTuple):
    """The paths of an estimate, times its information, that have crossed no bound: `weights` of a quadrature at `points`."""

    points: Float[np.ndarray, " node"] = np.zeros(1)
    weights: Float[np.ndarray, " node"] = np.ones(1)
    information: float = 0.0

    def crossing(self, bound: float, information: float) -> float:
        """The probability that the next look, at this information, is the first one beyond ± `bound` standard errors."""
        from scipy.special import ndtr  # which is slow to import

        edge, sd = bound * math.sqrt(information), math.sqrt(information - self.information)
        return float(self.weights @ (ndtr((self.points - edge) / sd) + ndtr((-self.points - edge) / sd)))

    def step(self, bound: float, information: float) -> "Walk":
        """The paths that do not cross this bound, either."""
        nodes, lengths = QUADRATURE
        edge, sd = bound * math.sqrt(information), math.sqrt(information - self.information)
        distances = (edge * nodes[:, None] - self.points) / sd
        density = np.exp(-(distances**2) / 2) @ self.weights / (math.sqrt(2 * math.pi) * sd)
        return Walk(edge * nodes, edge * lengths * density, information)


@functools.lru_cache
def look_errors(max_pairs: int, errors: float = 1 - LEVEL) -> Sequence[float]:
    """1 − the level of each look after `FIRST` to `max_pairs` pairs, if the study may stop at any of them."""
    from scipy.optimize import brentq
    from scipy.special import ndtr

    walk, spent_errors, errors_of_looks = Walk(), 0.0, []
    for pairs in range(FIRST, max_pairs + 1):
        share = pairs / max_pairs
        total = errors * math.log1p((math.e - 1) * share)
        bound = brentq(lambda bound: walk.crossing(bound, share) - (total - spent_errors), 0.0, FARTHEST)
        errors_of_looks.append(2 * float(ndtr(-bound)))
        walk, spent_errors = walk.step(bound, share), total
    return tuple(errors_of_looks)
