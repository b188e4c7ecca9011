"""Coverage of the intervals of claims, and bias of estimates, in simulated studies.

    python scripts/benchmark/coverage.py [--studies=2000] [--measure=slope_acc]

Accuracy of two kinds of runs depends on class frequency with known slopes. The true odds_acc, which is not a parameter
of the simulation, is the mean over LARGE other studies. Classes that are easier for the first kind are frequent in the
first run of a pair, so a single run confounds the two. Prints one JSON line for each design.
"""

import argparse
from collections.abc import Sequence

import numpy as np
from common import print_report
from jaxtyping import Float, Int
from tqdm import tqdm

from cliptail_jax.curation.profiles import exponential
from cliptail_jax.metrics.bootstrap import difference, mean_over_seeds
from cliptail_jax.metrics.measures import MEASURES, ClassResults, Measure

LARGE = 20_000  # studies
CLASSES, EXAMPLES = 100, 50  # of each class in the evaluation set
SIZES = exponential(CLASSES, 500, 100.0)
SLOPES = 12.0, 5.0  # of the two kinds, points per decade
CONFOUNDED = 8.0  # points per decade of the first run that the first kind finds classes easier
# Standard deviations: of how easy classes are for both kinds and for each (points), of the slope by class, and of the
# accuracy of a class in a run.
EASY, EASY_FOR_KIND, SLOPE_OF_CLASS, NOISE = 8.0, 5.0, 3.0, 5.0


def simulated_study(rng: np.random.Generator, pairs: int, sd: float) -> list[list[list[ClassResults]]]:
    """The runs [pair, kind, run] of a study; the slopes of all classes vary with the standard deviation `sd` by pair."""
    easy = rng.normal(0, EASY, CLASSES)
    by_kind = rng.normal(0, EASY_FOR_KIND, (2, CLASSES))
    by_class = rng.normal(0, SLOPE_OF_CLASS, (2, CLASSES))
    study = []
    for pair in range(pairs):
        sizes = SIZES[rng.permutation(CLASSES)]
        mirrored = SIZES[::-1][np.argsort(np.argsort(-sizes, kind="stable"))]
        if not pair:
            by_kind[0] += CONFOUNDED * (np.log10(sizes) - np.log10(SIZES).mean())
        slopes = np.array(SLOPES)[:, None] + by_class + rng.normal(0, sd, (2, 1))
        kinds = [(easy + by_kind[kind], slopes[kind]) for kind in range(2)]
        study.append([[simulated_run(rng, order, *kind) for order in (sizes, mirrored)] for kind in kinds])
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


def true_difference(measure: Measure) -> float:
    """The mean difference between the kinds over many studies of a pair."""
    rng, found = np.random.default_rng(1), []
    for _ in range(LARGE):
        (pair,) = simulated_study(rng, 1, 0.0)
        samples = (np.stack([np.stack(measure.variables(run)) for run in kind], axis=1) for kind in pair)
        found.append(np.subtract(*(measure.statistic(*sample) for sample in samples)))
    return float(np.mean(found))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--measure", choices=("slope_acc", "odds_acc"), default="slope_acc")
    options = parser.parse_args(arguments)
    studies, measure = options.studies, MEASURES[options.measure]
    truth = SLOPES[0] - SLOPES[1] if measure.key == "slope_acc" else true_difference(measure)
    mirrored = [("mirrored pairs", pairs, sd) for pairs in (1, 2, 4) for sd in (0.0, 0.5, 1.0)]
    for design, pairs, sd in [("single runs", 1, 0.0), *mirrored]:
        rng = np.random.default_rng(0)
        runs, intervals = 1 if design == "single runs" else 2, []
        for _ in tqdm(range(studies), desc=f"{pairs} {design}, {sd}", disable=None, leave=False):
            study = simulated_study(rng, pairs, sd)
            intervals.append(
                mean_over_seeds([difference(*measure.compare(*(kind[:runs] for kind in pair))) for pair in study])
            )
        errors = np.array([found.value for found in intervals]) - truth
        print_report(
            "coverage",
            measure=measure.key,
            design=design,
            number=pairs,
            sd_of_seeds=sd,
            bias=np.mean(errors),
            standard_error_of_bias=np.std(errors) / np.sqrt(studies),
            width=np.mean([found.high - found.low for found in intervals]),
            coverage_percent=100 * sum(found.low < truth < found.high for found in intervals) / studies,
            studies=studies,
        )


if __name__ == "__main__":
    main()
