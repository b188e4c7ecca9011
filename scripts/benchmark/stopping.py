"""Errors and number of runs of studies that add pairs until claims are decided, against four pairs, in simulated studies.

    python scripts/benchmark/stopping.py [--studies=2000] [--most=5]

A study has eight kinds of runs, and seven claims, each on the difference of a kind from the first one. The difference of a
pair is the sum of the true one and of effects of the choice of classes, of which all pairs share one and each has another,
and of seeds on all classes. What pairs share has a third of the variance of the mean of four pairs, as the differences in
log-odds per decade of the study mechanism with 32 pixels have (configs/study/old_results.md). The bootstrap estimates the variance of
the choice of 100 classes. The effect of seeds is a share of what differs by pair; its variance is estimated from the pairs of each claim, or
over all kinds by `pooled_variance`, as reports do. True differences are those that four pairs decide with probabilities of 80, 90 and
95 %, if variances are known. A claim of equality is false at its margin, for which the second one stands.

Prints one JSON line for each design, with percentages of claims.

Tried instead of Pocock's spending function: that of O'Brien and Fleming leaves few claims decided after two pairs; with at most
eight, it needs more runs than four pairs where these decide 90 %. An equal share of the errors for each look decides 3 % fewer
claims, and saves 4 to 7 points less. With at most eight pairs, Pocock's decides 96 % where four pairs decide 90 %, with 18 %
fewer runs. Where four pairs decide 80 %, no rule saves 30 % at equal power.
"""

import argparse
import functools
from collections.abc import Sequence

import numpy as np
from common import print_report
from jaxtyping import Bool, Float, Int, Num
from scipy.special import ndtri, stdtr

from cliptail_jax.metrics.bootstrap import LEVEL
from cliptail_jax.metrics.looks import FIRST, look_errors
from cliptail_jax.metrics.seeds import SeedVariance, pooled_variance, variance_of_excess

KINDS, FIXED = 8, 4
POWERS = 0.8, 0.9, 0.95  # of four pairs, if variances are known
PAIR_VARIANCE, SHARED = 8.0, 1.0  # variances of a difference; that of the mean of four pairs is 3
DEGREES = 99.0  # of the variances that the bootstrap estimates from 100 classes


class Studies:
    """Simulated studies: their differences [study, claim, pair] without a true one, and what is known of their variance.

    Args:
        number: of studies.
        share: of the variance that differs by pair, the part of seeds.
        pools: whether the variance between seeds is estimated over all kinds.
    """

    def __init__(self, rng: np.random.Generator, number: int, pairs: int, share: float, pools: bool):
        self.pools, self.pair_variance = pools, PAIR_VARIANCE * (1 - share)
        effects = rng.normal(0, np.sqrt(SHARED / 2), (number, KINDS, 1))
        by_pair = rng.normal(0, np.sqrt(PAIR_VARIANCE / 2), (number, KINDS, pairs))
        self.kinds = effects + by_pair
        self.differences = self.kinds[:, 1:] - self.kinds[:, :1]
        self.accuracy = rng.chisquare(DEGREES, (number, KINDS)) / DEGREES  # estimated over true variances of classes

    def p_values(self, pairs: int, true: float, bound: float = 0.0) -> Float[np.ndarray, "study claim"]:
        """The two-sided p-values of "the difference is `bound`" after some pairs, if it is `true`."""
        variance, degrees = self.variance(pairs)
        differences = self.differences[:, :, :pairs].mean(axis=2) + true
        return 2 * stdtr(np.minimum(degrees, 1e9), -np.abs(differences - bound) / np.sqrt(variance))

    @functools.cache
    def variance(self, pairs: int) -> tuple[Float[np.ndarray, "study claim"], Float[np.ndarray, "study claim"]]:
        """The estimated variance of the mean difference of some pairs, with its degrees of freedom, as `mean_over_seeds` has them."""
        accuracy = (self.accuracy[:, 1:] + self.accuracy[:, :1]) / 2
        if self.pools:
            totals, within_pairs = self.kinds[:, :, :pairs].var(axis=2, ddof=1), self.pair_variance / 2 * self.accuracy
            excesses = np.array([excess_of_claims(*parts, pairs - 1) for parts in zip(totals, within_pairs)])
            excess, uncertain = excesses[..., 0] / pairs, excesses[..., 1] / pairs**2
        else:
            variances = self.differences[:, :, :pairs].var(axis=2, ddof=1) - self.pair_variance * accuracy
            excess = np.maximum(variances, 0) / pairs
            uncertain = 2 * excess**2 / (pairs - 1)
        variance = (SHARED + self.pair_variance / pairs) * accuracy + excess
        with np.errstate(divide="ignore"):
            return variance, 2 * variance**2 / uncertain

    def in_looks(
        self, max_pairs: int, true: float, margin: float = 0.0
    ) -> tuple[Bool[np.ndarray, "study claim"], Int[np.ndarray, "study claim"]]:
        """Whether each claim is decided, and after how many pairs it ends. With a margin, that the runs are equal."""
        is_decided = np.zeros(self.differences.shape[:2], bool)
        ends = np.full(is_decided.shape, max_pairs)
        for pairs, errors in enumerate(look_errors(max_pairs), FIRST):
            decides = ~is_decided & (self.p_values(pairs, true, -margin) < errors)
            if margin:
                inside = np.abs(self.differences[:, :, :pairs].mean(axis=2) + true) < margin
                decides &= inside & (self.p_values(pairs, true, margin) < errors)
            is_decided[decides], ends[decides] = True, pairs
        return is_decided, ends


def excess_of_claims(
    totals: Float[np.ndarray, " kind"], within_pairs: Float[np.ndarray, " kind"], degrees: int
) -> list[tuple[float, float]]:
    """The variance of the effect of seeds on the difference of each kind from the first one, and the variance of this estimate."""
    kinds = {str(kind): SeedVariance(*variances, degrees) for kind, variances in enumerate(zip(totals, within_pairs))}
    variances = [pooled_variance(kinds, {str(kind): 1, "0": -1}) for kind in range(1, KINDS)]
    return [(variance.excess, variance_of_excess(variance)) for variance in variances]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--most", type=int, default=5, help="the largest number of pairs")
    options = parser.parse_args(arguments)
    for pools in (False, True):
        for share in (0.0, 0.25, 0.5):
            rng = np.random.default_rng(0)
            studies = Studies(rng, options.studies, max(options.most, FIXED), share, pools)
            sd_of_four = np.sqrt(SHARED + PAIR_VARIANCE / FIXED)
            trues = [float(ndtri(power) + ndtri(0.975)) * sd_of_four for power in POWERS]
            in_looks = [studies.in_looks(options.most, true) for true in trues]
            print_report(
                "stopping",
                most=options.most,
                variance_of_seeds="of all kinds" if pools else "of each claim",
                share_of_seeds=share,
                false_percent=percent(studies.in_looks(options.most, 0.0)[0]),
                false_percent_of_four=percent(studies.p_values(FIXED, 0.0) < 1 - LEVEL),
                falsely_equal_percent=percent(studies.in_looks(options.most, trues[1], trues[1])[0]),
                decided_percent=[percent(is_decided) for is_decided, _ in in_looks],
                decided_percent_of_four=[percent(studies.p_values(FIXED, true) < 1 - LEVEL) for true in trues],
                fewer_runs_percent=[percent(1 - ends / FIXED) for _, ends in in_looks],
                studies=options.studies,
            )


def percent(values: Num[np.ndarray, "study claim"]) -> float:
    return round(100 * float(values.mean()), 1)


if __name__ == "__main__":
    main()
