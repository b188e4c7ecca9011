"""How much bias remains without a prior, by the length of the training (configs/study/remainder.py)?

    python configs/study/analyses/remainder_by_epochs.py remainder remainder_cifar100 \\
        --output=configs/study/remainder.png > configs/study/results/remainder_by_epochs.md

Prints and draws the bias of each kind at each length, from results of the study, with 95 % intervals.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from cliptail_jax.config.files import find_results
from cliptail_jax.host.errors import command_line
from cliptail_jax.host.files import read_json
from cliptail_jax.report.layout import Row, Table, markdown, text_table
from cliptail_jax.report.run_tables import RunNumbers, table_of_numbers
from cliptail_jax.report.style import add_grid, legend_below, mark_no_bias, save, style
from configs.study.analyses.data_names import data_of
from configs.study.remainder import LENGTHS, NAMES

LOOKS = {"sl": 0, "adjusted": 4, "fresh": 2, "balanced": 8}
FURTHER = ("augmented", "decayed")  # at the middle length only

Kinds = dict[str, dict[int, Row]]  # rows of the table of runs, by kind and epochs


@command_line
def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="+", metavar="NAME", help="the name of published results of the study")
    parser.add_argument("--output", type=Path, required=True, help="the picture")
    options = parser.parse_args(arguments)
    data = {name: next((key for key in LENGTHS if name.endswith(key)), "glyphs_16") for name in options.studies}
    numbers = {key: kinds_of(read_json(find_results(name), Any), key) for name, key in data.items()}
    print("\n".join(markdown(table_of(numbers))))
    save(draw(numbers), options.output)


def kinds_of(results: RunNumbers, data: str) -> Kinds:
    """The rows of the results of a study."""
    rows = {row.name: row for row in table_of_numbers(results).rows}
    kinds: Kinds = {}
    for arm in (*LOOKS, *FURTHER):
        for epochs in LENGTHS[data]:
            if row := rows.get(f"{arm}_{epochs}"):
                kinds.setdefault(arm, {})[epochs] = row
    return kinds


def table_of(numbers: dict[str, Kinds]) -> Table:
    """A row for each kind and data, with bias and top-1 at each length."""
    header = ["kind", "short: bias [95 %]", "top-1 %", "middle: bias [95 %]", "top-1 %", "long: bias [95 %]", "top-1 %"]
    rows = []
    for data, kinds in numbers.items():
        for arm, lengths in kinds.items():
            rows.append([f"{data_of(data)}: {NAMES[arm]}"])
            for epochs in LENGTHS[data]:
                cells = lengths[epochs].cells if epochs in lengths else {}
                rows[-1] += [cells[key].text if key in cells else "" for key in ("odds_acc", "top1")]
    return text_table(header, rows)


def draw(numbers: dict[str, Kinds]) -> Figure:
    """Bias by epochs: a panel for each kind of data."""
    figure = Figure(figsize=(1 + 4.2 * len(numbers), 4.2), layout="constrained")
    panels = figure.subplots(1, len(numbers), squeeze=False, sharey=True)[0]
    for axes, (data, kinds) in zip(panels, numbers.items()):
        for arm, number in LOOKS.items():
            x = [epochs * 1.02 ** (list(LOOKS).index(arm) - 1.5) for epochs in kinds[arm]]  # bars side by side
            cells = [row.cells["odds_acc"] for row in kinds[arm].values()]
            values = [cell.value for cell in cells]
            errors = np.abs([np.subtract(cell.bounds, cell.value) for cell in cells]).T
            axes.errorbar(x, values, errors, **style(number), markersize=7, capsize=2, label=NAMES[arm])
        axes.set(xscale="log", xlabel="epochs", title=data_of(data))
        axes.set_xticks(LENGTHS[data], [str(epochs) for epochs in LENGTHS[data]])
        axes.minorticks_off()
        mark_no_bias(axes)
        add_grid(axes)
    panels[0].set_ylabel("odds_acc")
    legend_below(figure)
    return figure


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
