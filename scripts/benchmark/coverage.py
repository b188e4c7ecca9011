"""Coverage of the intervals of claims, and bias of estimates, in simulated studies.

    python scripts/benchmark/coverage.py [--studies=2000] [--measure=slope_acc] [--kinds=8] [--unequal]

Accuracy of several kinds of runs depends on class frequency, with known slopes. The true odds_acc, which is not a parameter
of the simulation, is the mean over LARGE other runs. A study claims the difference of each kind and the next one, so claims
share runs. Classes that are easier for the first kind are frequent in the first run of the first pair, so a single run
confounds the two. The slopes of all classes of a kind vary between pairs, by kind from half to twice as much with
`--unequal`. Prints one JSON line for each design and interval: "own", with the variance between the seeds of the claimed
difference, "pooled", with that of all kinds, which reports have, and for one pair "borrowed", with that of another study of
as many kinds in two pairs. `worst_percent` is the coverage of the claim whose interval contains the truth least often.

Tried instead of `pooled_variance`: a weight of the mean over kinds of 2 degrees of freedom and not 4 makes the intervals of two
pairs 2 to 5 % longer. Without the own variance of each kind, the noisiest kinds are covered less often. A weight that is
estimated from the variances (Smyth, 2004) covers 92 to 94 % with two pairs at an sd of 1, and 90 to 92 % at 2. A
median-unbiased estimate of this variance (Stock & Watson, 1998), or a bootstrap that also resamples pairs, covers 96 to 99 %:
its intervals are too long if seeds have no effect on all classes.
"""

import argparse
import functools
import itertools
from collections.abc import Sequence

import numpy as np
from common import print_report
from jaxtyping import Float, Int
from tqdm import tqdm

from cliptail_jax.curation.profiles import exponential
from cliptail_jax.metrics.bootstrap import Bootstrapped, Estimate, difference, resamples_of, times_drawn
from cliptail_jax.metrics.measures import MEASURES, ClassResults, Measure
from cliptail_jax.metrics.seeds import mean_over_seeds, pooled_variance, seed_variance

LARGE = 20_000  # runs
CLASSES, EXAMPLES = 100, 50  # of each class in the evaluation set
SIZES = exponential(CLASSES, 500, 100.0)
SLOPES = 12.0, 5.0  # of the first and the last kind, points per decade
CONFOUNDED = 8.0  # points per decade of the first run that the first kind finds classes easier
# Standard deviations: of how easy classes are for all kinds and for each (points), of the slope by class, and of the
# accuracy of a class in a run.
EASY, EASY_FOR_KIND, SLOPE_OF_CLASS, NOISE = 8.0, 5.0, 3.0, 5.0
DESIGNS = [
    ("single runs", 1, 0.0),
    *(("mirrored pairs", pairs, sd) for pairs in (1, 2, 4) for sd in (0.0, 0.5, 1.0, 2.0)),
]

Pair = Sequence[ClassResults]  # the two mirrored runs of a kind


def simulated_study(
    rng: np.random.Generator, slopes: Sequence[float], pairs: int, sds: Sequence[float]
) -> list[list[Pair]]:
    """The pairs [kind, pair] of a study; the slopes of all classes vary between pairs with the standard deviation of the kind."""
    kinds = len(slopes)
    easy = rng.normal(0, EASY, CLASSES) + rng.normal(0, EASY_FOR_KIND, (kinds, CLASSES))
    by_class = rng.normal(slopes, SLOPE_OF_CLASS, (CLASSES, kinds)).T
    study: list[list[Pair]] = [[] for _ in slopes]
    for pair in range(pairs):
        sizes = SIZES[rng.permutation(CLASSES)]
        reversed_sizes = SIZES[::-1][np.argsort(np.argsort(-sizes, kind="stable"))]
        if not pair:
            easy[0] += CONFOUNDED * (np.log10(sizes) - np.log10(SIZES).mean())
        for kind, slope in enumerate(by_class + rng.normal(0, sds)[:, None]):
            study[kind].append([simulated_run(rng, order, easy[kind], slope) for order in (sizes, reversed_sizes)])
    return study


def simulated_run(
    rng: np.random.Generator,
    frequency: Int[np.ndarray, " class"],
    easy: Float[np.ndarray, " class"],
    slope: Float[np.ndarray, " class"],
) -> ClassResults:
    decades = np.log10(frequency) - np.log10(SIZES).mean()
    accuracy = np.clip((50 + easy + slope * decades + rng.normal(0, NOISE, CLASSES)) / 100, 0, 1)
    examples = np.full(CLASSES, EXAMPLES)
    return ClassResults(rng.binomial(EXAMPLES, accuracy), examples, predictions=examples, frequency=frequency)


def true_values(measure: Measure, slopes: Sequence[float]) -> Float[np.ndarray, " kind"]:
    """The mean of a pair of each kind over many studies."""
    if measure.key == "slope_acc":
        return np.array(slopes)
    rng = np.random.default_rng(1)
    studies = (simulated_study(rng, slopes, 1, np.zeros(len(slopes))) for _ in range(LARGE // len(slopes)))
    return np.mean([[measure.point(pair) for (pair,) in study] for study in studies], axis=0)


def bootstrapped(measure: Measure, runs: Sequence[ClassResults]) -> Bootstrapped:
    """The measure of a pair or a single run; slope_acc by matrix products, which are many times as fast as `compare`."""
    if measure.key != "slope_acc":
        return measure.compare(runs)[0]
    x, y = np.stack([np.stack(measure.variables(run)) for run in runs], axis=1)
    if len(runs) > 1:
        x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    sums = np.stack([x.sum(axis=0), y.sum(axis=0), (x * y).sum(axis=0), (x * x).sum(axis=0)])
    sum_x, sum_y, sum_xy, sum_xx = sums @ times_chosen()
    slopes = (sum_xy - sum_x * sum_y / CLASSES) / (sum_xx - sum_x**2 / CLASSES)
    return Bootstrapped(float(slopes[0]), slopes[1:])


@functools.cache
def times_chosen() -> Float[np.ndarray, "class resample"]:
    """How often each class is in the sample (first), and in each resample."""
    blocks = [np.arange(CLASSES)[None], *resamples_of(CLASSES)]
    return np.concatenate([times_drawn(block, CLASSES) for block in blocks]).astype(float).T


def intervals(
    kinds: Sequence[Sequence[Bootstrapped]], other_study: Sequence[Sequence[Bootstrapped]]
) -> dict[str, list[Estimate]]:
    """The difference of each kind and the next one by each interval, from the statistic [kind, pair] of two studies."""
    contrasts = [list(map(difference, *neighbours)) for neighbours in itertools.pairwise(kinds)]
    variances = {str(kind): variance for kind, pairs in enumerate(kinds) if (variance := seed_variance(pairs))}
    other_variances = {
        f"published {kind}": variance for kind, pairs in enumerate(other_study) if (variance := seed_variance(pairs))
    }
    estimates = {"own": list(map(mean_over_seeds, contrasts))}
    for name, kind_variances in (("pooled", variances), ("borrowed", other_variances)):
        if kind_variances:
            contrast_variances = [
                pooled_variance(kind_variances, {str(kind): 1, str(kind + 1): -1}) for kind in range(len(contrasts))
            ]
            estimates[name] = list(map(mean_over_seeds, contrasts, contrast_variances))
    return estimates


def summary(estimates: Sequence[Sequence[Estimate]], truth: Float[np.ndarray, " claim"]) -> dict[str, float]:
    """How far the estimates [study, claim] are from the truth, and how long their intervals are."""
    values, low, high = (np.array(part) for part in np.moveaxis(np.array(estimates), -1, 0)[:3])
    contain, biases = (low < truth) & (truth < high), np.mean(values - truth, axis=1)
    return dict(
        bias=np.mean(biases),
        standard_error_of_bias=np.std(biases) / np.sqrt(len(biases)),
        width=np.mean(high - low),
        width_95th_percentile=np.percentile(high - low, 95),
        coverage_percent=100 * np.mean(contain),
        worst_percent=100 * np.min(np.mean(contain, axis=0)),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--measure", choices=("slope_acc", "odds_acc"), default="slope_acc")
    parser.add_argument("--kinds", type=int, default=8)
    parser.add_argument("--pairs", type=int, help="only the designs with this number of mirrored pairs")
    parser.add_argument("--unequal", action="store_true", help="the sd between pairs is half to twice as large by kind")
    options = parser.parse_args(arguments)
    studies, measure, slopes = options.studies, MEASURES[options.measure], np.linspace(*SLOPES, options.kinds)
    factors = np.geomspace(0.5, 2, options.kinds) if options.unequal else np.ones(options.kinds)
    truth = -np.diff(true_values(measure, slopes))
    for design, pairs, sd in [
        design for design in DESIGNS if options.pairs is None or design[:2] == ("mirrored pairs", options.pairs)
    ]:
        rng, interval_rows = np.random.default_rng(0), []
        runs = 1 if design == "single runs" else 2
        for _ in tqdm(range(studies), desc=f"{pairs} {design}, {sd}", disable=None, leave=False):
            study = simulated_study(rng, slopes, pairs, sd * factors)
            other = simulated_study(rng, slopes, 2, sd * factors) if (pairs, runs) == (1, 2) else []
            both_studies = (
                [[bootstrapped(measure, pair[:runs]) for pair in kind] for kind in kinds] for kinds in (study, other)
            )
            interval_rows.append(intervals(*both_studies))
        for interval in interval_rows[0]:
            print_report(
                "coverage",
                measure=measure.key,
                kinds=options.kinds,
                unequal=options.unequal,
                design=design,
                number=pairs,
                sd_of_seeds=sd,
                interval=interval,
                **summary([row[interval] for row in interval_rows], truth),
                studies=studies,
            )


if __name__ == "__main__":
    main()
