"""How often the intervals of claims hold the truth, and whether estimates are biased, in simulated studies.

    python scripts/benchmark/coverage.py [--studies=2000]

Two kinds of runs whose accuracy depends on class frequency by known slopes. The classes that are easy for the first kind
alone are frequent in the first run of a pair, so a single run confounds the two. Prints one JSON line for each design.
"""

import argparse
import json

import numpy as np
from jaxtyping import Float, Int
from tqdm import tqdm

from cliptail_jax.curation.profiles import exponential
from cliptail_jax.metrics.bootstrap import difference, mean_over_seeds
from cliptail_jax.metrics.measures import MEASURES, ClassResults

CLASSES, EXAMPLES = 100, 50  # of each class in the evaluation set
SIZES = exponential(CLASSES, 500, 100.0)
SLOPES = 12.0, 5.0  # of the two kinds, points per decade
CONFOUNDED = 8.0  # points per decade of the first run that the first kind finds classes easier
# Standard deviations: of how easy classes are for both kinds and for each (points), of the slope by class, and of the
# accuracy of a class in a run.
EASY, EASY_FOR_KIND, SLOPE_OF_CLASS, NOISE = 8.0, 5.0, 3.0, 5.0


def a_study(rng: np.random.Generator, pairs: int, of_seeds: float) -> list[list[list[ClassResults]]]:
    """The runs [pair, kind, run] of a study whose slopes vary with a standard deviation `of_seeds` between pairs."""
    easy = rng.normal(0, EASY, CLASSES)
    by_kind = rng.normal(0, EASY_FOR_KIND, (2, CLASSES))
    by_class = rng.normal(0, SLOPE_OF_CLASS, (2, CLASSES))
    study = []
    for pair in range(pairs):
        sizes = SIZES[rng.permutation(CLASSES)]
        mirrored = SIZES[::-1][np.argsort(np.argsort(-sizes, kind="stable"))]
        if not pair:
            by_kind[0] += CONFOUNDED * (np.log10(sizes) - np.log10(SIZES).mean())
        slopes = np.array(SLOPES)[:, None] + by_class + rng.normal(0, of_seeds, (2, 1))
        study.append(
            [
                [a_run(rng, order, easy + by_kind[kind], slopes[kind]) for order in (sizes, mirrored)]
                for kind in range(2)
            ]
        )
    return study


def a_run(
    rng: np.random.Generator,
    frequency: Int[np.ndarray, " class"],
    easy: Float[np.ndarray, " class"],
    slope: Float[np.ndarray, " class"],
) -> ClassResults:
    decades = np.log10(frequency) - np.log10(SIZES).mean()
    accuracy = np.clip((50 + easy + slope * decades + rng.normal(0, NOISE, CLASSES)) / 100, 0, 1)
    examples = np.full(CLASSES, EXAMPLES)
    return ClassResults(rng.binomial(EXAMPLES, accuracy), examples, predictions=examples, frequency=frequency)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--studies", type=int, default=2000)
    options = parser.parse_args()
    truth = SLOPES[0] - SLOPES[1]
    designs = [
        ("single runs", 1, 0.0),
        *(("mirrored pairs", pairs, sd) for pairs in (1, 2, 4) for sd in (0.0, 0.5, 1.0)),
    ]
    for design, pairs, of_seeds in designs:
        rng = np.random.default_rng(0)
        errors, widths, held = [], [], 0
        for _ in tqdm(range(options.studies), desc=f"{pairs} {design}, {of_seeds}", disable=None, leave=False):
            runs = 1 if design == "single runs" else 2
            study = a_study(rng, pairs, of_seeds)
            found = mean_over_seeds(
                [difference(*MEASURES["slope_acc"].compare(*(kind[:runs] for kind in pair))) for pair in study]
            )
            errors.append(found.value - truth)
            widths.append(found.high - found.low)
            held += found.low < truth < found.high
        result = {
            "design": design,
            "number": pairs,
            "sd_of_seeds": of_seeds,
            "bias": np.mean(errors),
            "standard_error_of_bias": np.std(errors) / np.sqrt(len(errors)),
            "width": np.mean(widths),
            "coverage_percent": 100 * held / options.studies,
            "studies": options.studies,
        }
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
