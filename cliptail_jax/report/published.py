"""The tables of published models: the lists of them, an evaluation of several, and the sheet for figures."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from cliptail_jax.config import zero_shot
from cliptail_jax.evaluation.published import Summaries
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import write_text
from cliptail_jax.host.outputs import first_bytes
from cliptail_jax.host.text import UNDEFINED, tsv
from cliptail_jax.metrics.measures import GROUPS, MEASURES, Measure, format_of
from cliptail_jax.metrics.retrieval import CUTOFFS
from cliptail_jax.pretrained.hub import slug
from cliptail_jax.pretrained.model import ModelName
from cliptail_jax.pretrained.published import (
    LISTS,
    NOT_IN_FIGURES,
    PublishedModel,
    family_and_size,
    listed_models,
    published_models,
)
from cliptail_jax.report.layout import Cell, Column, cell, markdown, table_of, text_lines
from cliptail_jax.report.run_tables import measure_column

CLASS_MEASURES = ("top1", "top5", "odds_acc", "f50", "slope_pred", *GROUPS, "slope_acc", "corr_acc", "corr_pred")
RECALLS = tuple(f"{direction}_r{k}" for direction in ("image_to_text", "text_to_image") for k in CUTOFFS)
SHEET_COLUMNS = ("run", "set", "kind", "corpus", "backbone")
LIST_COLUMNS = (
    Column("corpus", "trained on", value=lambda model: model.corpus or UNDEFINED),
    Column("parameters", "parameters, millions", "", ",.0f", lambda model: model.parameters / 1e6),
    Column("image_size", "image size", value=lambda model: str(model.image_size)),
)
NOTE = f"'trained on' is the corpus if the paper has published its class frequencies, and '{UNDEFINED}' for others."
TABLES = {"table.md": b"| model", "models.tsv": b"run\tset"}  # the first bytes of each


def model_lists(config: ConfigDict | None) -> str:
    """All lists of published models, or the models that `config` evaluates, as a table under each heading.

    Raises UserError if the config evaluates none, or one that is not in the lists.
    """
    if config is None:
        lists = {f"configs/zero_shot_all.py:list={name}": listed_models(name) for name in LISTS}
    elif config.get("objective") == zero_shot.MODE:
        lists = {"the config": models_named(config.eval.models)}
    else:
        raise UserError("--list prints lists of published models, and this config does not evaluate any")
    lines = []
    for heading, models in lists.items():
        lines += [heading, "", *text_lines(table_of("model", LIST_COLUMNS, models, lambda model: model.name)), ""]
    return "\n".join([*lines, NOTE]) + "\n"


def models_named(names: Sequence[str]) -> list[PublishedModel]:
    """The models with these names. Raises UserError if a name is not in the lists."""
    models = {model.name: model for model in published_models()}
    for name in names:
        if name not in models:
            raise UserError(f"--list prints models of the published lists: {name} is in none")
    return [models[name] for name in names]


def measures_of(summaries: Summaries) -> list[Measure]:
    """The measures of classes, if any evaluation has classes, and recalls, if any has recalls."""
    groups = [keys for keys in (CLASS_MEASURES, RECALLS) if any(keys[0] in summary for summary in summaries)]
    return [MEASURES[key] for keys in groups for key in keys]


def table(summaries: Summaries) -> str:
    """A row per model, set and class frequency in Markdown, with '–' for undefined numbers."""
    columns = [
        Column("set", "set", value=lambda summary: summary["set"]),
        *(
            dataclasses.replace(
                measure_column(measure), value=lambda summary, key=measure.key: summary_cell(summary, key)
            )
            for measure in measures_of(summaries)
        ),
        Column("frequency", "class frequency", value=lambda s: s["settings"]["class_frequency"] or UNDEFINED),
    ]
    models = table_of("model", columns, summaries, lambda summary: summary["model"])
    return "\n".join(markdown(models, is_padded=True)) + "\n"


def summary_cell(summary: Mapping[str, Any], key: str) -> Cell:
    """A number of an evaluation with its interval, if it has one; '<' or '>' beyond the data, and '–' if it is undefined."""
    value = summary.get(key)
    if not isinstance(value, float):
        return cell(summary.get(f"{key}_beyond") if value is None else str(value))
    return cell(value, format_of(key), summary.get(f"{key}_interval"))


def write_sheet(models: Sequence[ModelName], summaries: Summaries, path: Path) -> None:
    """Write the sheet for `figures corpora` and `fine_grained`, with the models that have correlations.

    Models that the paper's figures leave out are comments. Without any such model, the sheet is removed.
    """
    rows = []
    for model in models:
        sets = [s["set"] for s in summaries if s["model"] == model.name and "corr_acc" in s]
        if model.corpus and sets:
            run = ("# " if model.name in NOT_IN_FIGURES else "") + slug(model.name)
            rows.append((run, "+".join(dict.fromkeys(sets)), "CLIP", model.corpus, family_and_size(model.name)))
    if rows:
        write_text(path, tsv(SHEET_COLUMNS, rows))
    else:
        path.unlink(missing_ok=True)


def check_tables(workdir: Path) -> None:
    """Raise UserError if a table in `workdir` was not written by an evaluation of several models."""
    for name, start in TABLES.items():
        path = workdir / name
        if path.exists() and not first_bytes(path).startswith(start):
            raise UserError(f"{path} exists, and this program did not write it: give another --workdir")
