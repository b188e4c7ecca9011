"""The tables of measures and differences, as text and for pandas."""

import math
import shutil
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.text import UNDEFINED
from cliptail_jax.metrics.bootstrap import Estimate
from cliptail_jax.metrics.measures import MEASURES
from cliptail_jax.predictions.measured import CURVE, MEASURED, Adjusted, Measured
from cliptail_jax.report.layout import Cell, cell
from cliptail_jax.report.text_tables import pad_columns, plain_table

if TYPE_CHECKING:
    import pandas

    from cliptail_jax.predictions.differences import Difference

SHOWN_TAUS = (0.0, 0.5, 1.0, 1.5, 2.0)


def cell_of(key: str, estimate: Estimate) -> Cell:
    """A measure or difference with its interval, if that is known. Its bounds are '<' or '>' far outside of the data."""
    value, *bounds = estimate[:3]
    return cell(value, MEASURES[key].format, None if any(map(math.isnan, bounds)) else bounds)


def measured_text(files: Sequence[Measured], width: int | None = None) -> str:
    """A column for each file and a row for each measure that one of them has, in as many blocks as the width needs."""
    width = width or shutil.get_terminal_size((100, 24)).columns
    columns = [[of.name, *(cell_of(key, of.estimate(key)).text for key in MEASURED)] for of in files]
    shown = [n for n in range(1 + len(MEASURED)) if n == 0 or any(column[n] != UNDEFINED for column in columns)]
    titles = ["", *(MEASURES[key].title for key in MEASURED)]
    blocks, block = [], []
    for column in columns:
        if block and len(lines_of(titles, [*block, column], shown)[0]) > width:
            blocks.append(block)
            block = []
        block.append(column)
    return "\n\n".join("\n".join(map(str.rstrip, lines_of(titles, of, shown))) for of in [*blocks, block])


def lines_of(titles: Sequence[str], columns: Sequence[Sequence[str]], shown: Sequence[int]) -> list[str]:
    rows = [[titles[n], *(column[n] for column in columns)] for n in shown]
    return ["  ".join(row) for row in pad_columns(rows)]


def difference_text(found: Sequence["Difference"]) -> str:
    """A row for each measure of each pair of files, with its verdict."""
    lines = []
    for pair in found:
        rows = [[f"{pair.a} − {pair.b}", "difference [95 %]", "margin", "verdict"]]
        for key, claim in pair.claims.items():
            margin = cell(claim.margin, "g").text if claim.margin else UNDEFINED
            number = cell_of(key, claim.difference).text if claim.difference else UNDEFINED
            rows.append([MEASURES[key].title, number, margin, pair.verdict(key)])
        if not pair.obstacle:
            lines.append("\n".join(map(str.rstrip, map("  ".join, pad_columns(rows)))))
        else:
            lines.append(f"{pair.a} and {pair.b} are not compared: {pair.obstacle}")
    return "\n\n".join(lines)


def adjustment_text(name: str, adjusted: Adjusted) -> str:
    """A row for some τ, with the measures of logits − τ log n, whatever the half."""
    rows = [[f"{name}, logits − τ log n on all examples", *(MEASURES[key].title for key in CURVE)]]
    for tau, numbers in adjusted.by_tau.items():
        if tau in SHOWN_TAUS:
            rows.append([f"τ = {tau:g}", *(cell(numbers[key], MEASURES[key].format).text for key in CURVE)])
    return "\n".join(plain_table(rows))


def frame(rows: Mapping[str, Sequence[object]], columns: Sequence[str]) -> "pandas.DataFrame":
    """A data frame with a row for each measure. Raises UserError without pandas."""
    try:
        import pandas
    except ImportError:
        raise UserError("to_pandas needs pandas, which is not installed: pip install pandas") from None
    found = pandas.DataFrame.from_dict(dict(rows), orient="index", columns=list(columns))
    return found.rename_axis("measure")
