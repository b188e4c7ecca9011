"""Accuracy, corr_acc, slope_acc, NC1 and NC2 by data size, with a line for each text tower and for SL (figure 4).

    cliptail figures scale --runs scale.tsv --output scale

The sheet:

    run               group               x
    laionet_32nd      random text tower   101848
    laionet_16th      random text tower   203580
    laionet_sl        SL                  3256561

`x` is the number of training images (commas are allowed), or - for a dashed line across the panels; without the column, it
is the number of images that each run was trained on. Runs with the same group and x, such as several seeds, are points
around a line through their means. Thin bars are 95 % intervals over classes. `--measures` takes names of numbers in
summary.jsonl.
"""

import dataclasses
from collections.abc import Sequence

from matplotlib.figure import Figure

from cliptail_jax.figures.parts import lines
from cliptail_jax.figures.parts.sheet import Entry

COLUMNS = ("run", "group")
OPTIONS = {
    "--measures": {
        "nargs": "+",
        "default": ("top1", "corr_acc", "slope_acc", "nc1", "nc2_mean"),
        "help": "numbers of the evaluations, a panel each (default: top1 corr_acc slope_acc nc1 nc2_mean)",
    }
}


def draw(entries: Sequence[Entry], measures: Sequence[str]) -> Figure:
    if not any(entry["x"] for entry in entries):
        entries = [dataclasses.replace(e, cells={**e.cells, "x": str(e.results.images)}) for e in entries]
    return lines.draw_along(entries, measures, "training images", logarithmic=True)
