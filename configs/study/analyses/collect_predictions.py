"""Make the class frequencies of configs/study/collect.py, and judge its predictions:

    python configs/study/analyses/collect_predictions.py tables --sl=RUN --adjusted=RUN --output=configs/study/collect/DATA
    python configs/study/analyses/collect_predictions.py judge runs/collect runs/collect_cifar100

`tables` writes base.tsv, the results of a run of each loss with the same class frequency, and from it a table of class
frequency for each rule: 10 % more images, of those that the data set has. Without --sl and --adjusted, base.tsv is read.

`judge` prints predicted and found accuracies of studies, which differ in their data. Stated before the runs, for the plan of
each loss: (1) the predicted mean accuracy of a class is within 3 points of that found; (2) Spearman's correlation over
classes of the predicted gain with the gain found is at least 0.7. Gains found are those over runs of the study without
further images. Accuracies are means over seeds, and intervals are bootstraps over classes. A claim is supported or
contradicted if the interval is on one side.
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.config.training import Profile
from cliptail_jax.curation.variant import open_variant
from cliptail_jax.formats.frequency_tables import read_frequency, write_frequency
from cliptail_jax.host.errors import UserError, command_line
from cliptail_jax.host.files import write_text
from cliptail_jax.host.text import tsv
from cliptail_jax.metrics.bootstrap import bootstrap, mean_over_classes, percentiles
from cliptail_jax.metrics.collecting import capped, plan, rarest_first, spread
from cliptail_jax.metrics.correlation import mean_rank_correlation
from cliptail_jax.metrics.law import Posterior, fit_law
from cliptail_jax.metrics.measures import ClassResults
from cliptail_jax.predictions.counts import class_counts
from cliptail_jax.report.layout import cell, markdown, text_table
from cliptail_jax.report.training_images import data_section, data_values
from cliptail_jax.results.directory import read_directory
from cliptail_jax.results.run import Run

KINDS = ("sl", "adjusted")
COLUMNS = ("class", "images", "available", "examples", *KINDS)
PREDICTION_COLUMNS = ("predicted, found %", "found − predicted [95 %]", "Spearman of gains [95 %]")
TABLES = Path(__file__).parents[1] / "collect"


class Counts(NamedTuple):
    """The right examples and all examples of each class, summed over the seeds of a kind of runs."""

    correct: Int[np.ndarray, " class"]
    examples: Int[np.ndarray, " class"]

    @property
    def accuracy(self) -> Float[np.ndarray, " class"]:
        """In 0..1."""
        return self.correct / self.examples

    def gain_over(self, other: "Counts") -> Float[np.ndarray, " class"]:
        """The difference of the accuracies, in −1..1.

        A single division of integers rounds equal gains to equal numbers, so that they are ties of a rank correlation. The
        difference of two quotients does not.
        """
        return (self.correct * other.examples - other.correct * self.examples) / (self.examples * other.examples)


class Base(NamedTuple):
    """The runs that plans are made from.

    Attributes:
        available: how many further images there are.
        correct: of the examples, by kind of runs.
    """

    names: tuple[str, ...]
    images: Int[np.ndarray, " class"]
    available: Int[np.ndarray, " class"]
    examples: Int[np.ndarray, " class"]
    correct: dict[str, Int[np.ndarray, " class"]]

    def law(self, kind: str) -> Posterior:
        return fit_law(self.images, self.correct[kind], self.examples)


def base_of(runs: dict[str, Run]) -> Base:
    """The results of a run of each kind. Raises UserError if their class frequencies differ."""
    counts = {kind: class_counts(kind, [run]) for kind, run in runs.items()}
    first = counts["sl"]
    if any((count.frequency != first.frequency).any() or count.names != first.names for count in counts.values()):
        raise UserError("the runs have different class frequencies: give runs with the same seed")
    data = dataclasses.replace(data_section(data_values(runs["sl"].config)), profile=Profile())
    available = open_variant(data).class_frequency - first.frequency
    correct = {kind: count.correct.astype(int) for kind, count in counts.items()}
    return Base(first.names, first.frequency, available, first.examples.astype(int), correct)


def write_base(path: Path, base: Base) -> None:
    numbers = [base.images, base.available, base.examples, *(base.correct[kind] for kind in KINDS)]
    write_text(path, tsv(COLUMNS, zip(base.names, *(column.tolist() for column in numbers))))


def read_base(path: Path) -> Base:
    header, *rows = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines())
    if tuple(header) != COLUMNS:
        raise UserError(f"{path} is no base.tsv: make it with --sl and --adjusted")
    names, *numbers = zip(*rows)
    images, available, examples, *correct = (np.array(column, np.int64) for column in numbers)
    return Base(names, images, available, examples, dict(zip(KINDS, correct)))


def tables_of(base: Base) -> dict[str, Int[np.ndarray, " class"]]:
    """The class frequency by each rule, by the name of its table."""
    images, classes = round(0.1 * base.images.sum()), len(base.images)
    ones, limit = np.ones(classes), base.available
    images_by_rule = {
        "nobody": np.zeros(classes, np.int64),
        "proportional": spread(base.images.astype(float), images, limit),
        "equally": spread(ones, images, limit),
        "rarest": rarest_first(base.images, images, limit),
    }
    images_by_rule |= {f"plan_{kind}": plan(base.law(kind), ones / classes, images, limit, ones) for kind in KINDS}
    pool = np.minimum(2 * base.images, base.images + limit)
    return {name: base.images + number for name, number in images_by_rule.items()} | {
        "cap": capped(pool, int(base.images.sum()) + images)
    }


def judged(base: Base, tables: dict[str, Int[np.ndarray, " class"]], counts: dict[str, Counts]) -> dict[str, list[str]]:
    """The cells of PREDICTION_COLUMNS, for runs called KIND_RULE, from their counts."""
    rows = {}
    for name, results in counts.items():
        kind, rule = name.split("_", 1)
        table = f"plan_{kind}" if rule == "plan" else rule
        if table not in tables:  # balanced sampling, of which the law knows nothing
            continue
        law = base.law(kind)
        predictions, accuracy = 100 * law.accuracy(tables[table]), 100 * law.accuracy(base.images)
        value, low, high = estimate(mean_over_classes, 100 * results.accuracy - predictions)
        error = cell(value, ".1f", (low, high)).text
        gains = ""
        if rule != "nobody" and f"{kind}_nobody" in counts:
            gain = results.gain_over(counts[f"{kind}_nobody"])
            value, *interval = estimate(mean_rank_correlation, predictions - accuracy, gain)
            gains = cell(value, ".2f", interval).text
        rows[name] = [f"{predictions.mean():.1f}, {100 * results.accuracy.mean():.1f}", error, gains]
    return rows


def judged_study(workdir: Path) -> tuple[str, dict[str, list[str]]]:
    """The data of a study and the result of `judged`. Raises UserError if no run of it has finished."""
    runs_of: dict[str, list[Run]] = {}
    for run in read_directory(workdir).runs:
        if run.is_finished and run.evaluation and run.config.get("data.match.frequency", "").startswith("collect/"):
            runs_of.setdefault(run.name, []).append(run)
    if not runs_of:
        raise UserError(f"{workdir} has no finished run of configs/study/collect.py: give its --workdir")
    (data,) = {run.config["data.match.frequency"].split("/")[1] for runs in runs_of.values() for run in runs}
    folder = TABLES / data
    tables = {path.stem: read_frequency(path)[1] for path in folder.glob("*.tsv") if path.stem != "base"}
    counts = {name: counts_of([run.evaluation.results for run in runs]) for name, runs in runs_of.items()}
    return data, judged(read_base(folder / "base.tsv"), tables, counts)


def counts_of(seeds: Sequence[ClassResults]) -> Counts:
    """The counts of runs that differ in their seed."""
    return Counts(sum(counts.correct for counts in seeds), sum(counts.examples for counts in seeds))


def estimate(statistic, *variables: Float[np.ndarray, " class"]) -> tuple[float, float, float]:
    """A statistic over classes, and its interval."""
    (sample,) = bootstrap(statistic, np.stack(variables)[:, None])
    return sample.value, *percentiles(sample.draws)


@command_line
def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parsers = parser.add_subparsers(dest="what", required=True)
    making, judging = parsers.add_parser("tables"), parsers.add_parser("judge")
    for kind in KINDS:
        making.add_argument(f"--{kind}", type=Path)
    making.add_argument("--output", type=Path, required=True)
    judging.add_argument("studies", type=Path, nargs="+", metavar="WORKDIR")
    options = parser.parse_args(arguments)
    if options.what == "tables":
        options.output.mkdir(parents=True, exist_ok=True)
        if options.sl and options.adjusted:
            write_base(
                options.output / "base.tsv",
                base_of({kind: Run(getattr(options, kind)) for kind in KINDS}),
            )
        base = read_base(options.output / "base.tsv")
        for name, frequency in tables_of(base).items():
            write_frequency(options.output / f"{name}.tsv", base.names, frequency)
        return
    studies = dict(map(judged_study, options.studies))
    header = ["run", *(f"{data}: {column}" for data in studies for column in PREDICTION_COLUMNS)]
    runs = dict.fromkeys(run for runs_of_data in studies.values() for run in runs_of_data)
    rows = [
        [run, *(text for rows_of in studies.values() for text in rows_of.get(run, [""] * len(PREDICTION_COLUMNS)))]
        for run in runs
    ]
    print("\n".join(markdown(text_table(header, rows))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
