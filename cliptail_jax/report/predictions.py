"""The tables of measures and differences, as text and for pandas."""

import math
import shutil
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.text import UNDEFINED
from cliptail_jax.metrics.bootstrap import Estimate
from cliptail_jax.metrics.measures import MEASURES, prediction_measures
from cliptail_jax.report.layout import Cell, cell
from cliptail_jax.report.text_tables import pad_columns, plain_table

if TYPE_CHECKING:
    import pandas

SHOWN_TAUS = (0.0, 0.5, 1.0, 1.5, 2.0)


def cell_of(key: str, estimate: Estimate) -> Cell:
    """A measure or difference with its interval, if that is known. Its bounds are '<' or '>' far outside of the data."""
    value, *bounds = estimate[:3]
    return cell(value, MEASURES[key].format, None if any(map(math.isnan, bounds)) else bounds)


def measures_text(files: Mapping[str, Mapping[str, Estimate]], width: int | None = None) -> str:
    """A column for each file and a row for each measure that one of them has, in as many blocks as the width needs.

    `files` are their estimates, by their names and the keys of measures.
    """
    width = width or shutil.get_terminal_size((100, 24)).columns
    keys = prediction_measures()
    unknown = Estimate(math.nan)
    columns = [
        [name, *(cell_of(key, estimates.get(key, unknown)).text for key in keys)] for name, estimates in files.items()
    ]
    shown = [n for n in range(1 + len(keys)) if n == 0 or any(column[n] != UNDEFINED for column in columns)]
    titles = ["", *(MEASURES[key].title for key in keys)]
    blocks, block = [], []
    for column in columns:
        if block and len(lines_of(titles, [*block, column], shown)[0]) > width:
            blocks.append(block)
            block = []
        block.append(column)
    return "\n\n".join("\n".join(map(str.rstrip, lines_of(titles, part, shown))) for part in [*blocks, block])


def lines_of(titles: Sequence[str], columns: Sequence[Sequence[str]], shown: Sequence[int]) -> list[str]:
    rows = [[titles[n], *(column[n] for column in columns)] for n in shown]
    return ["  ".join(row) for row in pad_columns(rows)]


def difference_text(name: str, rows: Mapping[str, tuple[Estimate | None, float, str]]) -> str:
    """A row for each measure by its key: its difference, if it could be tested, its margin and its verdict."""
    lines = [[name, "difference [95 %]", "margin", "verdict"]]
    for key, (estimate, margin, verdict) in rows.items():
        number = cell_of(key, estimate).text if estimate else UNDEFINED
        lines.append([MEASURES[key].title, number, cell(margin, "g").text if margin else UNDEFINED, verdict])
    return "\n".join(map(str.rstrip, map("  ".join, pad_columns(lines))))


def adjustment_text(name: str, by_tau: Mapping[float, Mapping[str, float]]) -> str:
    """A row for some of the τ, with the measures of logits − τ log n on all examples. `by_tau` has them by their keys."""
    keys = next(iter(by_tau.values()))
    rows = [[f"{name}, logits − τ log n on all examples", *(MEASURES[key].title for key in keys)]]
    for tau, numbers in by_tau.items():
        if tau in SHOWN_TAUS:
            rows.append([f"τ = {tau:g}", *(cell(numbers[key], MEASURES[key].format).text for key in keys)])
    return "\n".join(plain_table(rows))


def frame(rows: Mapping[str, Sequence[object]], columns: Sequence[str]) -> "pandas.DataFrame":
    """A data frame with a row for each measure. Raises UserError without pandas."""
    try:
        import pandas
    except ImportError:
        raise UserError("to_pandas needs pandas, which is not installed: pip install pandas") from None
    found = pandas.DataFrame.from_dict(dict(rows), orient="index", columns=list(columns))
    return found.rename_axis("measure")
