"""The table of the differences that pairs of runs can decide."""

from collections.abc import Collection

from cliptail_jax.claims.power import POWER, Design, published_variances
from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.measures import MEASURES, format_of
from cliptail_jax.report.layout import Column, cell, markdown, table_of

PAIRS = (1, 2, 4, 8)


def power_table(design: Design, statistics: Collection[str], has_borrowed: bool) -> str:
    """A line for each statistic of a study's claims: the differences that `PAIRS` pairs, or seeds, decide.

    Args:
        has_borrowed: whether the study borrows the variance between seeds from published results.

    Raises UserError if there are no published results of several pairs on its data.
    """
    variances, unit = published_variances(design), f"{design.replicate}s"
    measures = [measure for measure in MEASURES if measure in variances and measure in statistics]
    if not measures:
        raise UserError(
            f"--power needs published results of several {unit} on {', '.join(sorted(design.data))} of this image size and the "
            "study's measures: there are none, so train two first"
        )
    columns = [
        *(
            Column(
                str(pairs),
                f"{pairs} {unit if pairs > 1 else design.replicate}",
                value=lambda key, pairs=pairs: cell(variances[key].decidable(pairs), format_of(key)),
            )
            for pairs in PAIRS
        ),
        Column("unit", "unit", value=lambda key: MEASURES[key].unit),
        Column("study", "variances from", value=lambda key: variances[key].study),
    ]
    lines = [
        f"Differences that are decided with a probability of {POWER:.0%} (two-sided, 5 %):",
        "",
        *markdown(table_of("measure", columns, measures)),
    ]
    clause = "" if has_borrowed else f", which the interval of one {design.replicate} leaves out"
    lines += ["", f"These numbers include how much repeated trainings differ{clause}."]
    if other_statistics := sorted({*statistics} - {*measures}):
        lines.append(f"No published results of several {unit} on these data have {', '.join(other_statistics)}.")
    return "\n".join(lines)
