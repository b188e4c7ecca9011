"""Forecasts of recipes: their tables, their file, and their picture; and a study's forecasts beside what training gave."""

import math
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.text import tsv
from cliptail_jax.metrics.bootstrap import Estimate
from cliptail_jax.metrics.effective_prior import SL_PER_DECADE, batch_log_prior, is_same_prior, per_decade
from cliptail_jax.metrics.measures import MEASURES
from cliptail_jax.report.layout import Column, Row, Table, cell
from cliptail_jax.report.odds import draw_odds, label_odds
from cliptail_jax.report.predictions import cell_of
from cliptail_jax.report.style import add_grid, add_title, legend_below, styles
from cliptail_jax.results.group import RunGroup
from cliptail_jax.runs.files import FORECASTS

COMPARED = ("odds_acc", "top1", "tail")
SHOWN = ("top1", "mean_per_class", "head", "mid", "tail", "odds_acc", "f50")
SLOWER = 3.0  # points of top-1 less than forecast
LEGEND_LETTERS = 80  # in a line of the name of a shared line
MARKED = 0.15  # of the diagonal of a panel, between the markers of a line
BATCHES = 2 ** np.arange(3, 17)  # of the curve of slopes
NUMBERS = ("recipe", "prior_per_decade", "share_of_sl", *SHOWN)
SOURCE = "source"  # a further column, if recipes are forecast from several models: the run that each is forecast from
UNBOUNDED = ("f50", "f50_low", "f50_high")  # may be infinite: far outside of the data
FIELDS_OF_PRIORS = 3  # of a recipe whose measures are not forecast
HEADER = (*NUMBERS, *(f"{key}_{side}" for key in SHOWN for side in ("low", "high")))  # of the file

Slopes = Mapping[str, float]  # of ψ per decade of class frequency, by recipe; nan if all classes are equally frequent
Measures = Mapping[str, Mapping[str, Estimate]]  # by recipe and key
T = TypeVar("T")


def forecast_table(slopes: Slopes, measures: Measures, model: str, names: Mapping[str, str]) -> Table:
    """A row for the trained model, whose name is `model`, and one for each forecast; `names` are those of rows by recipe."""
    columns = [
        Column("slope", "prior", "slope of the effective log-prior per decade of class frequency; SL has 2.30"),
        *(Column(key, MEASURES[key].title, MEASURES[key].meaning, is_optional=key in ("mid", "f50")) for key in SHOWN),
    ]
    rows = []
    for recipe, estimates in measures.items():
        cells = {"slope": cell(slopes[recipe], ".2f")} | {key: cell_of(key, estimates[key]) for key in SHOWN}
        bias = cells["odds_acc"]
        cells["odds_acc"] = bias._replace(number=bias.text, interval="")  # terminals leave out other intervals
        rows.append(Row(names[recipe], cells, " (trained)" if recipe == model else ""))
    return Table("recipe", columns, rows)


def prior_table(slopes: Slopes) -> Table:
    """A row for each recipe, with its prior alone."""
    columns = [
        Column("slope", "prior", "slope of the effective log-prior per decade of class frequency"),
        Column("share", "of SL's %", "the slope divided by that of SL"),
    ]
    rows = [
        Row(recipe, {"slope": cell(slope, ".2f"), "share": cell(100 * slope / SL_PER_DECADE, ".0f")})
        for recipe, slope in slopes.items()
    ]
    return Table("recipe", columns, rows)


def file_text(slopes: Slopes, measures: Measures) -> str:
    """The content of the file: a header, and a line for each recipe.

    Numbers are plain: empty if they are undefined, and infinite if they are far outside of the data.
    """
    rows = []
    for recipe, slope in slopes.items():
        numbers = [slope, slope / SL_PER_DECADE]
        if estimates := measures.get(recipe):
            numbers += [estimates[key].value for key in SHOWN]
            numbers += [bound for key in SHOWN for bound in (estimates[key].low, estimates[key].high)]
        rows.append([recipe, *("" if math.isnan(number) else f"{number:.4f}" for number in numbers)])
    return tsv(HEADER, rows)


def compared_table(workdir: Path, groups: Iterable[RunGroup]) -> Table:
    """The forecasts in a study's directory beside what training gave: a row for each trained kind that was forecast.

    Without a file of forecasts, or with one of priors alone, the table has no rows.
    """
    columns = [Column("prior_per_decade", "prior", "slope of the effective log-prior per decade of class frequency")]
    for key in COMPARED:
        columns.append(Column(f"{key}_forecast", f"{MEASURES[key].title}: forecast", "before the training"))
        columns.append(Column(key, f"{MEASURES[key].title}: trained", MEASURES[key].meaning))
    path = workdir / FORECASTS
    all_numbers = read_forecasts(path) if path.exists() else {}
    forecasts = {name: numbers for name, numbers in all_numbers.items() if "top1" in numbers}
    first, rows, slow_names, other_names, sources = next(iter(forecasts), ""), [], [], [], {}
    for group in groups:
        numbers = forecasts.get(group.name)
        source = numbers.get(SOURCE, first) if numbers else ""
        if not numbers and group.evaluations:
            other_names.append(group.name)
        if numbers and group.name != source and group.evaluations:
            sources[source] = None
            cells = {SOURCE: cell(source), "prior_per_decade": cell(numbers["prior_per_decade"], ".2f")}
            for key in COMPARED:
                cells[f"{key}_forecast"] = cell(numbers[key], MEASURES[key].format)
                cells[key] = cell(group.value(key), MEASURES[key].format, group.interval(key) or ())
            rows.append(Row(group.name, cells))
            if group.value("top1") < numbers["top1"] - SLOWER:
                slow_names.append(group.name)
    notes = []
    if len(sources) > 1:
        columns.insert(0, Column(SOURCE, "from", "the run whose logits the forecast is from"))
        notes.append("Forecasts are from the logits of the runs in the column 'from', for equal training.")
    elif rows:
        notes.append(f"Forecasts are from the logits of {first}, for equal training.")
    if rows and (unknown_names := [name for name in other_names if name not in sources]):
        notes.append(f"Not forecast: {', '.join(unknown_names)}.")
    if slow_names:
        notes.append(
            f"More than {SLOWER:g} points less accurate than forecast, so that bias may differ, too: {', '.join(slow_names)}."
        )
    return Table("run", columns, rows, notes)


def draw_forecasts(groups: Mapping[str, RunGroup], model: str, outcomes: Mapping[str, RunGroup] = {}) -> Figure:
    """Accuracy by class frequency: a line for the model, and one for each forecast. Equal ones share a line, which names all.

    `outcomes` are what training gave later, by the names of their forecasts, whose colours they have; forecasts are then dashed.
    """
    figure = Figure(figsize=(7, 4.6), layout="constrained")
    axes, looks = figure.subplots(), looks_of(groups)
    for names in equal_names(groups, is_same_accuracy):
        group, look = groups[names[0]], looks[names[0]]
        label = ", ".join(name + " (trained)" * (name == model) for name in names)
        if outcomes:
            look = look | {"linestyle": "--", "markerfacecolor": "none"}
            label += ", forecast"
        draw_odds(axes, *group.by_class, group.odds_line, look, textwrap.fill(label, LEGEND_LETTERS))
    for name, group in outcomes.items():
        draw_odds(axes, *group.by_class, group.odds_line, looks[name], f"{name}, trained")
    label_odds(axes, np.concatenate([group.by_class[0] for group in groups.values()]))
    add_grid(axes)
    add_title(figure, "Forecasts by effective log-prior")
    legend_below(figure, columns=4)
    return figure


def equal_names(values: Mapping[str, T], is_equal: Callable[[T, T], bool]) -> list[list[str]]:
    """The names of values, those of equal ones together."""
    names: list[list[str]] = []
    for name, value in values.items():
        equal_ones = next((line for line in names if is_equal(values[line[0]], value)), None)
        if equal_ones:
            equal_ones.append(name)
        else:
            names.append([name])
    return names


def is_same_accuracy(group: RunGroup, other: RunGroup) -> bool:
    """Whether two groups have the same accuracy on all classes of the same frequencies."""
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(group.by_class, other.by_class))


def looks_of(recipes: Iterable[str]) -> dict[str, dict[str, Any]]:
    """A style for each recipe, or list of recipes: the first one of a kind, such as 'batch:64', has that of its kind in all figures."""
    return styles({recipe: re.split("[:,]", recipe)[0] for recipe in recipes})


def draw_priors(priors: Mapping[str, Float[np.ndarray, " class"]], frequency: Int[np.ndarray, " class"]) -> Figure:
    """ψ by class frequency, and the slope of a softmax over a batch's classes by the size of the batch.

    Equal ψ share a line, which names all. Lines have markers, each at other places, for those who do not tell the colours apart.
    """
    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    (priors_panel, batch_panel), looks, order = figure.subplots(1, 2), looks_of(priors), np.argsort(frequency)
    lines = equal_names(priors, is_same_prior)
    for number, names in enumerate(lines):
        psi = priors[names[0]][order]
        places = (MARKED * number / len(lines), MARKED)
        label = textwrap.fill(", ".join(names), LEGEND_LETTERS)
        priors_panel.plot(
            frequency[order], psi - psi[0], **looks[names[0]], markersize=5, markevery=places, label=label
        )
    priors_panel.set(xscale="log", xlabel="class frequency", ylabel="effective log-prior (rarest class: 0)")
    slopes = [per_decade(batch_log_prior(frequency, int(batch)), frequency) for batch in BATCHES]
    batch_panel.plot(BATCHES, slopes, color="black")
    batch_panel.axhline(SL_PER_DECADE, color="grey", linestyle=":")
    batch_panel.annotate(
        "SL", (BATCHES[0], SL_PER_DECADE), xytext=(0, -2), textcoords="offset points", va="top", fontsize=9
    )
    batch_panel.set(
        xscale="log", xlabel="images in a batch, whose classes count once", ylabel="slope of the log-prior per decade"
    )
    for axes in (priors_panel, batch_panel):
        add_grid(axes)
    title = f"{len(frequency):,} classes with {frequency.min():,} to {frequency.max():,} training images"
    add_title(figure, title)
    legend_below(figure, [priors_panel], columns=4)
    return figure


def read_forecasts(path: Path) -> dict[str, dict[str, Any]]:
    """The numbers of a file of forecasts, and the names of their sources, if it has these, by recipe and key.

    Raises UserError if it is no such file.
    """
    remedy = "write it with `cliptail forecast --output`"
    if not path.is_file():
        raise UserError(f"{path} is no file: {remedy}")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{path} is no text: {remedy}") from None
    header, *lines = (line.split("\t") for line in text.splitlines() or [""])
    if tuple(header[: len(NUMBERS)]) != NUMBERS:  # files of earlier versions have other intervals
        raise UserError(f"{path} is no table of forecasts: {remedy}")
    forecasts = {}
    for number, fields in enumerate(lines, start=2):
        if len(fields) not in (len(header), FIELDS_OF_PRIORS):
            raise UserError(f"{path}, line {number}, has {len(fields)} of {len(header)} fields: {remedy}")
        numbers: dict[str, Any] = {}
        for key, field in zip(header[1:], fields[1:]):
            try:
                numbers[key] = field if key == SOURCE else number_in(field, key)
            except ValueError:
                raise UserError(
                    f"{path}, line {number}, has {field[:20]!r} for {key}, which is no finite number: {remedy}"
                ) from None
        forecasts[fields[0]] = numbers
    return forecasts


def number_in(field: str, key: str) -> float:
    """The number in a field of the file; nan if it is empty. Raises ValueError for what `file_text` does not write."""
    if not field:
        return math.nan
    number = float(field)
    if math.isnan(number) or math.isinf(number) and key not in UNBOUNDED:
        raise ValueError(f"{key} is never {number}")
    return number
