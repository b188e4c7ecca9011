"""How much bias remains without a prior, by the length of the training (configs/study/remainder.py)?

    python configs/study/analyses/remainder_by_epochs.py remainder --output=configs/study/remainder.png \\
        > configs/study/results/remainder_by_epochs.md

Prints and draws the bias of each kind at each length, from results of the study, with 95 % intervals.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from cliptail_jax.config.files import find_results
from cliptail_jax.host.errors import command_line
from cliptail_jax.host.files import read_json
from cliptail_jax.host.text import format_interval, format_number
from cliptail_jax.report.layout import markdown_table
from cliptail_jax.report.style import add_grid, legend_below, mark_no_bias, save, style
from configs.study.remainder import LENGTHS, NAMES

LOOKS = {"sl": 0, "tail": 4, "fresh": 2, "repeated": 8}
FURTHER = ("augmented", "decayed")  # at the middle length only
TITLES = {"glyphs_16": "characters", "cifar100": "photographs"}


class Length(NamedTuple):
    """A kind of runs at one length: bias with its interval, and top-1 in percent."""

    epochs: int
    bias: tuple[float, float, float]
    top1: float


@command_line
def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="+", metavar="NAME", help="the name of published results of the study")
    parser.add_argument("--output", type=Path, required=True, help="the picture")
    options = parser.parse_args(arguments)
    data = {name: next((key for key in LENGTHS if name.endswith(key)), "glyphs_16") for name in options.studies}
    numbers = {of_data: lengths_of(read_json(find_results(name), Any), of_data) for name, of_data in data.items()}
    print("\n".join(markdown_table(table_of(numbers))))
    save(draw(numbers), options.output)


def lengths_of(results: dict[str, Any], data: str) -> dict[str, list[Length]]:
    """The lengths of each kind of runs, of the results of a study."""
    lengths: dict[str, list[Length]] = {}
    for arm in (*LOOKS, *FURTHER):
        for epochs in LENGTHS[data]:
            if bias := results["bias"].get(f"{arm}_{epochs}", {}).get("odds_acc"):
                top1 = results["means"][f"{arm}_{epochs}"]["top1"]
                lengths.setdefault(arm, []).append(Length(epochs, (bias["value"], bias["low"], bias["high"]), top1))
    return lengths


def table_of(numbers: dict[str, dict[str, list[Length]]]) -> list[list[str]]:
    """A row for each kind and data, with bias and top-1 at each length."""
    rows = [["kind", "short: bias [95 %]", "top-1 %", "middle: bias [95 %]", "top-1 %", "long: bias [95 %]", "top-1 %"]]
    for data, kinds in numbers.items():
        for arm, lengths in kinds.items():
            cells = {length.epochs: (interval_of(length), format_number(length.top1, ".1f")) for length in lengths}
            of_lengths = (cell for epochs in LENGTHS[data] for cell in cells.get(epochs, ("", "")))
            rows.append([f"{TITLES[data]}: {NAMES[arm]}", *of_lengths])
    return rows


def interval_of(length: Length) -> str:
    return format_interval(length.bias[0], length.bias[1:], ".2f")


def draw(numbers: dict[str, dict[str, list[Length]]]) -> Figure:
    """Bias by epochs: a panel for each kind of data."""
    figure = Figure(figsize=(1 + 4.2 * len(numbers), 4.2), layout="constrained")
    panels = figure.subplots(1, len(numbers), squeeze=False, sharey=True)[0]
    for axes, (data, kinds) in zip(panels, numbers.items()):
        for arm, number in LOOKS.items():
            x = [length.epochs * 1.02 ** (list(LOOKS).index(arm) - 1.5) for length in kinds[arm]]  # bars side by side
            values, lows, highs = zip(*(length.bias for length in kinds[arm]))
            errors = [[v - low for v, low in zip(values, lows)], [high - v for v, high in zip(values, highs)]]
            axes.errorbar(x, values, errors, **style(number), markersize=7, capsize=2, label=NAMES[arm])
        axes.set(xscale="log", xlabel="epochs", title=TITLES[data])
        axes.set_xticks(LENGTHS[data], [str(epochs) for epochs in LENGTHS[data]])
        axes.minorticks_off()
        mark_no_bias(axes)
        add_grid(axes)
    panels[0].set_ylabel("odds_acc")
    legend_below(figure)
    return figure


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
