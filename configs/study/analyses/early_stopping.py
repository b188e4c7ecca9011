"""What bias would have remained if the longest training had stopped halfway (configs/study/remainder.py)?

    python configs/study/analyses/early_stopping.py remainder remainder_cifar100 > configs/study/results/early_stopping.md

Prints bias and top-1 at the evaluation next to half of the steps and at the end, and the difference in bias, with 95 % intervals,
from results of the study. Halfway, the learning rate is still high.
"""

import argparse
import sys
from collections.abc import Sequence

from cliptail_jax.config.files import find_results
from cliptail_jax.host.errors import command_line
from cliptail_jax.metrics.bootstrap import difference
from cliptail_jax.metrics.measures import MEASURES, ClassResults
from cliptail_jax.metrics.seeds import mean_over_seeds
from cliptail_jax.report.layout import cell, markdown, text_table
from cliptail_jax.results.archive import ARCHIVE, opened_archive
from cliptail_jax.results.group import RunGroup, groups_of
from cliptail_jax.results.study import by_replicate
from configs.study.analyses.data_names import data_of
from configs.study.remainder import LENGTHS, NAMES

ARMS = ("sl", "adjusted", "fresh", "balanced")
HEADER = ["kind", "halfway: bias", "top-1 %", "end: bias", "top-1 %", "bias: end − halfway [95 %]"]


@command_line
def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="+", metavar="NAME", help="the name of published results of the study")
    rows = [row for name in parser.parse_args(arguments).studies for row in rows_of(name)]
    print("\n".join(markdown(text_table(HEADER, rows))))


def rows_of(name: str) -> list[list[str]]:
    """A row for each kind of the longest trainings in published results."""
    longest = next((lengths for data, lengths in LENGTHS.items() if name.endswith(data)), LENGTHS["glyphs_16"])[-1]
    with opened_archive(find_results(name).with_suffix(ARCHIVE)) as contents:
        groups = groups_of(by_replicate(contents.study, contents.runs))
        return [
            [f"{data_of(name)}: {NAMES[arm]}", *cells_of(groups[f"{arm}_{longest}"])]
            for arm in ARMS
            if f"{arm}_{longest}" in groups
        ]


def cells_of(group: RunGroup) -> list[str]:
    """Bias and top-1 halfway and at the end, and the difference in bias."""
    steps = sorted(group.runs[0].course)
    halfway, end = (
        [[run.course[step] for run in replicate] for replicate in group.replicates if replicate]
        for step in (min(steps, key=lambda step: abs(step - steps[-1] / 2)), steps[-1])
    )
    texts = [cell_of(key, replicates) for replicates in (halfway, end) for key in ("odds_acc", "top1")]
    pairs = [MEASURES["odds_acc"].compare(*pair) for pair in zip(end, halfway)]
    change = mean_over_seeds([difference(*statistics) for statistics in pairs])
    return [*texts, cell(change.value, MEASURES["odds_acc"].format, change[1:3]).text]


def cell_of(key: str, replicates: Sequence[Sequence[ClassResults]]) -> str:
    """A measure, as a mean over seeds or mirrored pairs."""
    mean = sum(MEASURES[key].point(runs) for runs in replicates) / len(replicates)
    return cell(mean, MEASURES[key].format).text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
