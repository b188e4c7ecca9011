"""Does the accuracy of classes with equally few images forecast a long tail (configs/study/equal_classes.py)?

    python configs/study/analyses/equal_classes_curve.py --workdir=runs/equal_classes

Each class of the long tail gets the log-odds of being right that it has where all classes have as many images: they are interpolated
linearly over log10 of that number, from runs with the same seed. Bias (odds_acc) and accuracy are computed from that for each direction
of the order and each seed, and averaged. Intervals are 95 % percentiles over resamples of classes. The log-odds of k right out of n are
log((k + 1/2) / (n - k + 1/2)).
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from scipy.special import expit

from cliptail_jax.host.errors import command_line
from cliptail_jax.metrics.bootstrap import percentiles, resamples_of
from cliptail_jax.metrics.groups import head_mid_tail
from cliptail_jax.metrics.odds import odds_slope
from cliptail_jax.report.layout import markdown, text_table
from cliptail_jax.results.directory import read_directory
from cliptail_jax.results.run import Run
from configs.study.equal_classes import ARMS, MIRRORED, NUMBERS

COLUMNS = ("", "odds_acc", "minus trained", "top-1 %", "head", "tail")


def smoothed_log_odds(correct: Int[np.ndarray, " class"], examples: Int[np.ndarray, " class"]) -> np.ndarray:
    return np.log((correct + 0.5) / (examples - correct + 0.5))


def forecast(runs: Mapping[str, Run], arm: str, frequency: Int[np.ndarray, " class"]) -> Float[np.ndarray, " class"]:
    """The share of right test images of each class of a long tail with this class frequency, from the runs of one seed."""
    results = [runs[f"{arm}_{number}"].evaluation.results for number in NUMBERS]
    curves = np.stack([smoothed_log_odds(r.correct, r.examples) for r in results], axis=1)
    places = np.log10(NUMBERS)
    return expit([np.interp(np.log10(number), places, curve) for number, curve in zip(frequency, curves)])


def slopes(
    frequency: Sequence[Int[np.ndarray, " class"]],
    shares: Sequence[Float[np.ndarray, " class"]],
    examples: Int[np.ndarray, " class"],
    draws: Int[np.ndarray, "resample class"],
) -> Float[np.ndarray, " 1+resample"]:
    """The mean bias over runs, of all classes and then of each resample."""
    values = []
    for classes in (np.arange(len(examples))[None], draws):
        number = examples[classes][None].astype(float)
        by_run = [
            odds_slope(np.log10(counts)[classes][None], share[classes][None] * number, number)
            for counts, share in zip(frequency, shares)
        ]
        values.append(np.mean(by_run, axis=0))
    return np.concatenate(values)


@command_line
def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=Path, required=True, help="of the study")
    options = parser.parse_args(arguments)
    seeds: dict[str, dict[str, Run]] = {}
    for run in read_directory(options.workdir).runs:
        seeds.setdefault(run.replicate, {})[run.workdir.name] = run

    long_tails = [(runs, runs[name]) for runs in seeds.values() for name in MIRRORED]
    frequency = [run.class_frequency for _, run in long_tails]
    examples = long_tails[0][1].evaluation.results.examples
    draws = np.concatenate(list(resamples_of(len(examples))))
    shares = {"trained": [run.evaluation.results.correct / examples for _, run in long_tails]}
    for arm, text in ARMS.items():
        shares[f"forecast, {text}"] = [forecast(runs, arm, counts) for (runs, _), counts in zip(long_tails, frequency)]

    rows = []
    trained_slopes = slopes(frequency, shares["trained"], examples, draws)
    for name, by_run in shares.items():
        values = slopes(frequency, by_run, examples, draws)
        texts = []
        for numbers in (values, values - trained_slopes):
            low, high = percentiles(numbers[1:])
            texts.append(f"{numbers[0]:.2f} [{low:.2f}, {high:.2f}]")
        if name == "trained":
            texts[1] = "–"
        thirds = [head_mid_tail(counts) for counts in frequency]
        head, tail = (np.mean([s[t[i]].mean() for s, t in zip(by_run, thirds)]) for i in (0, 2))
        rows.append([name, *texts, *(f"{100 * value:.1f}" for value in (np.mean(by_run), head, tail))])
    print("\n".join(markdown(text_table(COLUMNS, rows))))

    print()
    accuracies = []
    for number in NUMBERS:
        means = (
            np.mean(
                [runs[f"{arm}_{number}"].evaluation.results.correct.sum() / examples.sum() for runs in seeds.values()]
            )
            for arm in ARMS
        )
        accuracies.append([str(number), *(f"{100 * mean:.1f}" for mean in means)])
    print(
        "\n".join(
            markdown(text_table(("images of each class", *(f"top-1 %, {text}" for text in ARMS.values())), accuracies))
        )
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
