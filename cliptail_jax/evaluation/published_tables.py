"""The tables of an evaluation of several published models."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cliptail_jax.evaluation.results import GROUPS
from cliptail_jax.files import write_text
from cliptail_jax.pretrained.hub import slug
from cliptail_jax.pretrained.model import ModelName
from cliptail_jax.pretrained.published import NOT_IN_FIGURES, family_and_size
from cliptail_jax.runs.tables import UNDEFINED, format_interval, format_number, markdown_table, pad_columns

ACCURACIES = {"top1": "top-1 %", "top5": "top-5 %"} | {name: name for name in GROUPS}  # with headings
CORRELATIONS = {"corr_acc": ".2f", "corr_pred": ".2f", "slope_acc": ".1f", "slope_pred": ".2f"}  # with formats
SHEET_COLUMNS = ("run", "set", "kind", "corpus", "backbone")
Summaries = list[dict[str, Any]]  # of evaluations, with the `model` and `set`


def markdown(summaries: Summaries) -> str:
    """A row per model, set and class frequency, with '–' for undefined numbers."""
    headings = [*ACCURACIES.values(), *(f"{key} [95 %]" for key in CORRELATIONS)]
    rows = [["model", "set", *headings, "class frequency"]]
    for summary in summaries:
        cells = [format_number(summary.get(key), ".1f") for key in ACCURACIES]
        cells += [format_interval(summary.get(key), interval(summary, key), form) for key, form in CORRELATIONS.items()]
        rows.append([summary["model"], summary["set"], *cells, summary["settings"]["class_frequency"] or UNDEFINED])
    return "\n".join(markdown_table(pad_columns(rows))) + "\n"


def tsv(summaries: Summaries) -> str:
    """The same with all digits, the bounds of intervals in columns of their own, and '' for undefined numbers."""
    bounds = [f"{key}{part}" for key in CORRELATIONS for part in ("", "_low", "_high")]
    rows = [["model", "set", *ACCURACIES, *bounds, "class_frequency"]]
    for summary in summaries:
        values = [summary.get(key) for key in ACCURACIES]
        for key in CORRELATIONS:
            values += [summary.get(key), *interval(summary, key)]
        cells = ["" if value is None else repr(value) for value in values]
        rows.append([summary["model"], summary["set"], *cells, summary["settings"]["class_frequency"]])
    return "\n".join(map("\t".join, rows)) + "\n"


def write_sheet(models: Sequence[ModelName], summaries: Summaries, path: Path) -> None:
    """Write the sheet of `figures corpora` and `fine_grained`, of the models that have correlations.

    Those that the study's figures leave out are comments. Nothing is written if there is no model.
    """
    lines = []
    for model in models:
        sets = [s["set"] for s in summaries if s["model"] == model.name and "corr_acc" in s]
        if model.corpus and sets:
            cells = slug(model.name), "+".join(dict.fromkeys(sets)), "CLIP", model.corpus, family_and_size(model.name)
            lines.append(("# " if model.name in NOT_IN_FIGURES else "") + "\t".join(cells))
    if lines:
        write_text(path, "\n".join(["\t".join(SHEET_COLUMNS), *lines]) + "\n")


def interval(summary: Mapping[str, Any], key: str) -> Sequence[float | None]:
    """The bounds of a number's 95 % interval."""
    return summary.get(f"{key}_interval", (None, None))
