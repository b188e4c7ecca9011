"""The tables of measures and differences, as text and for pandas."""

import math
import shutil
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.text import UNDEFINED
from cliptail_jax.metrics.bootstrap import Estimate
from cliptail_jax.metrics.measures import MEASURES, prediction_measures
from cliptail_jax.report.layout import Cell, cell, plain_table

if TYPE_CHECKING:
    import pandas

SHOWN_TAUS = (0.0, 0.5, 1.0, 1.5, 2.0)


def cell_of(key: str, estimate: Estimate) -> Cell:
    """A measure or difference with its interval, if that is known. Its bounds are '<' or '>' far outside of the data."""
    value, *bounds = estimate[:3]
    return cell(value, MEASURES[key].format, bounds)


def measures_text(files: Mapping[str, Mapping[str, Estimate]], width: int | None = None) -> str:
    """A column for each file and a row for each measure that any of them has, divided into blocks that fit the width.

    `files` are their estimates, by their names and the keys of measures.
    """
    width = width or shutil.get_terminal_size((100, 24)).columns
    rows, undefined = [["", *files]], Estimate(math.nan)
    for key in prediction_measures():
        texts = [cell_of(key, estimates.get(key, undefined)).text for estimates in files.values()]
        if any(text != UNDEFINED for text in texts):
            rows.append([MEASURES[key].title, *texts])
    titles, *columns = zip(*rows)
    blocks = [[titles]]
    for column in columns:
        block = [*blocks[-1], column]
        if len(block) > 2 and max(map(len, plain_table([*zip(*block)]))) > width:
            blocks.append([titles, column])
        else:
            blocks[-1] = block
    return "\n\n".join("\n".join(plain_table([*zip(*block)])) for block in blocks)


def difference_text(name: str, rows: Mapping[str, tuple[Estimate | None, float, str]]) -> str:
    """A row for each measure by its key: its difference, if it could be tested, its margin and its verdict."""
    cells = [[name, "difference [95 %]", "margin", "verdict"]]
    for key, (estimate, margin, verdict) in rows.items():
        difference = cell_of(key, estimate).text if estimate else UNDEFINED
        cells.append([MEASURES[key].title, difference, cell(margin or None, "g").text, verdict])
    return "\n".join(plain_table(cells))


def adjustment_text(name: str, by_tau: Mapping[float, Mapping[str, float]]) -> str:
    """A row for some of the τ, with the measures of logits − τ log n on all examples. `by_tau` has them by their keys."""
    keys = next(iter(by_tau.values()))
    rows = [[f"{name}, logits − τ log n on all examples", *(MEASURES[key].title for key in keys)]]
    for tau, numbers in by_tau.items():
        if tau in SHOWN_TAUS:
            rows.append([f"τ = {tau:g}", *(cell(numbers[key], MEASURES[key].format).text for key in keys)])
    return "\n".join(plain_table(rows, "<>"))


def frame(rows: Mapping[str, Sequence[object]], columns: Sequence[str]) -> "pandas.DataFrame":
    """A data frame with a row for each measure. Raises UserError without pandas."""
    try:
        import pandas
    except ImportError:
        raise UserError("to_pandas needs pandas, which is not installed: pip install pandas") from None
    return pandas.DataFrame.from_dict(dict(rows), orient="index", columns=list(columns)).rename_axis("measure")
