"""How far are trained recipes from their forecasts (configs/study/forecast.py)?

    python configs/study/analyses/forecast_errors.py forecast_glyphs_16 forecast_cifar100 natural captions pytorch \\
        --output=configs/study/forecast.png > configs/study/results/forecast_errors.md

Writes the forecast and the trained values of each kind of runs of archived studies, or their work directories, to
results/tables/forecast_errors.tsv, prints some of them, and draws trained against forecast values. A forecast is the stored one of
another seed. *Error of the change* compares with the run that corresponds to the forecast's source, on the same images: (kind −
that run) − (forecast − source). `pytorch` are the networks of scripts/examples/long_tail_pytorch.py, each forecast from each other,
from the tables that `cliptail forecast` wrote. The kinds of `natural` (icons) are forecast from one run with adjusted logits, of
another seed, which was trained after them. results/forecast_mean_errors.md has the mean absolute errors over kinds. Their source
has their own family if there is one: adjusted logits for losses over all classes and sampled vocabularies, counted classes for losses over the
batch's classes, and CLIP for CLIP. Recipes that did not learn are left out there: their top-1 is less than half of the forecast one.
results/forecast_baselines.md has the same errors of forecasts without logits: that nothing changes with the prior, and that each
measure, or the log-odds of an accuracy, changes in proportion to its slope, by a constant that a trained SL shows; and how much the
two pairs of a recipe's runs differ, and two studies of a recipe. The table for programs has the epochs of a recipe and of its source.
CLIP on captions has rows of its own: its loss has the log-prior 0, too. In `natural`, where nobody forecast it before, its tokenizer split
rare names; the picture leaves it out. The kinds of `captions` are forecast from SL on plain images, with another seed, before the runs.
"""

import argparse
import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cliptail_jax.config.files import find_table, known_archives
from cliptail_jax.experiments.kinds import kind_name
from cliptail_jax.host.errors import command_line
from cliptail_jax.host.files import write_text
from cliptail_jax.host.text import tsv
from cliptail_jax.metrics.measures import MEASURES
from cliptail_jax.metrics.odds import log_odds
from cliptail_jax.report.forecasts import HEADER, SOURCE, read_forecasts
from cliptail_jax.report.layout import Column, Table, markdown, table_of, text_table
from cliptail_jax.report.style import add_grid, legend_below, save, style
from cliptail_jax.results.archive import opened_archive, unpack
from cliptail_jax.results.directory import Contents, read_directory
from cliptail_jax.results.group import groups_of
from cliptail_jax.results.study import Runs, by_replicate
from configs.study import captions, natural
from configs.study.analyses.data_names import ICONS, data_of
from configs.study.forecast import judged_kinds

KEYS = ("odds_acc", "top1", "head", "tail")
FAMILIES = {"all classes": 0, "batch": 2, "CLIP": 1}  # with their looks
OUTPUT = Path(__file__).parents[1] / "results" / "tables" / "forecast_errors.tsv"
MEANS = OUTPUT.parents[1] / "forecast_mean_errors.md"
BASELINES = OUTPUT.parents[1] / "forecast_baselines.md"
REPEATED = ("forecast_glyphs_16", "mechanism_glyphs_16")  # two studies of the same recipes
PLAIN, CAPTIONS, SPLIT = f"{ICONS}, plain images", f"{ICONS}, captions", f"{ICONS}, captions, rare names split"
# The recipes on the page.
SHOWN = (
    "sl",
    "adjusted:0.5",
    "vocabulary:70:uniform:128",
    "vocabulary:70:linear:128",
    "batch:128",
    "counts",
    "sigmoid",
)
NATURAL = {"sl": "sl", "batch": "batch:256", "counts": "counts", "clip": "clip"}
# CLIP on captions, whose log-prior is that of CLIP.
CAPTIONS_OF_ALL = {"clip_captions": "clip", "clip_all": "clip", "sigmoid_all": "clip"}
PLAIN_CAPTIONS = {"clip_plain_captions": "clip"}
PYTORCH = {"sl": "sl", "batch": "batch:64", "counts": "counts", "adjusted": "adjusted:1"}
FACES = ("full", "none", "left", "bottom", "top", "right")  # how markers of each study are filled
ROUND = {"odds_acc": ".2f", "top1": ".1f", "head": ".1f", "tail": ".1f"}


class Point(NamedTuple):
    """A kind of runs: its forecast, what training gave, and the errors of the change from its base, by measure.

    Attributes:
        origin: the values of the source.
        origin_prior: the slope of its log-prior.
        repetition: the difference between its two pairs of runs, or two seeds; empty if it has a single run.
        epochs: the numbers of epochs of it and of the source, as texts; empty if all recipes train as many steps.
    """

    study: str
    run: str
    name: str
    recipe: str
    family: str
    source: str
    prior: float
    forecast: Mapping[str, float]
    outcome: Mapping[str, float]
    errors: Mapping[str, float]
    origin: Mapping[str, float]
    origin_prior: float
    repetition: Mapping[str, float] = MappingProxyType({})
    epochs: tuple[str, str] = ("", "")


@command_line
def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="+", metavar="NAME", help="an archive's name, or NAME=WORKDIR")
    parser.add_argument("--output", type=Path, required=True, help="the picture")
    options = parser.parse_args(arguments)
    points = []
    with tempfile.TemporaryDirectory() as folder:
        for name, _, workdir in (study.partition("=") for study in options.studies):
            if name == "pytorch":
                points += pytorch_points()
                continue
            directory = Path(workdir) if workdir else unpack(known_archives()[name], Path(folder))
            study_points = points_of(name, read_directory(directory))
            points += study_points
            if name.startswith("forecast"):
                write_text(OUTPUT.parents[1] / "forecasts" / f"{name}.tsv", forecasts_text(nearest(study_points)))
    write_text(OUTPUT, tsv(*numbers_of_points(points)))
    points = nearest(points)
    write_text(MEANS, "\n".join([*markdown(mean_errors(points)), ""]))
    write_text(BASELINES, "\n".join([*markdown(baseline_errors(points)), ""]))
    print("\n".join(markdown(table_of_points([*filter(is_shown, points)]))))
    save(draw(points), options.output)


class Judged(NamedTuple):
    """A kind of runs of a study, and what it is forecast from: `base`, whose own forecasts are stored under `source`."""

    run: str
    name: str
    recipe: str
    base: str
    source: str


def judged_kinds_of(study: str) -> list[Judged]:
    """The kinds of a study that have forecasts; softmaxes over the batch's classes have two in the studies on forecasts."""
    if study == "natural":
        return [
            Judged(run, kind_name(run, natural.NAMES), recipe, "adjusted", "icons_adjusted")
            for run, recipe in (NATURAL | CAPTIONS_OF_ALL).items()
        ]
    if study == "captions":
        plain_runs = {run: recipe for recipe, (run, _) in captions.FORECAST_RUNS.items()}
        return [
            Judged(
                run,
                kind_name(run, captions.NAMES).removesuffix(", plain images"),
                recipe,
                "sl_plain",
                "captions_sl_plain",
            )
            for run, recipe in (plain_runs | PLAIN_CAPTIONS | CAPTIONS_OF_ALL).items()
        ]
    data = study.removeprefix("forecast_")
    return [
        Judged(run, kind_name(run) or kind.name, kind.recipe, base, f"{data}_{base}")
        for run, kind in judged_kinds(data).items()
        for base in [kind.base] + ["counts"] * (run in ("group_32", "group_64", "batch"))
    ]


def points_of(study: str, contents: Contents) -> list[Point]:
    """The kinds of a study with the contents of its directory."""
    replicates = by_replicate(contents.study, contents.runs)
    values = values_of_runs(replicates)
    first_values, second_values = (values_of_runs([replicate]) for replicate in replicates)
    epochs = {run.name: "" if run.config["total_steps"] else str(run.config["total_epochs"]) for run in contents.runs}
    points = []
    for run, name, recipe, base, table in judged_kinds_of(study):
        if run not in values or base not in values:
            continue
        forecasts = read_forecasts(find_table(f"results/forecasts/{table}"))
        forecast, source = forecasts[recipe], forecasts[base]
        errors = {k: values[run][k] - values[base][k] - (forecast[k] - source[k]) for k in KEYS}
        fields = run, name, recipe, family_of(run, base), base, forecast["prior_per_decade"]
        data = data_of_kind(study, run)
        numbers = forecast, values[run], errors, source, source["prior_per_decade"]
        repetition = {key: second_values[run][key] - first_values[run][key] for key in KEYS}
        points.append(Point(data, *fields, *numbers, repetition, (epochs[run], epochs[base])))
    return points


def data_of_kind(study: str, run: str) -> str:
    """The data of a kind of runs; those of icons are by what images and texts show."""
    if study == "captions":
        return CAPTIONS if run in CAPTIONS_OF_ALL else PLAIN
    if study == "natural" and run in CAPTIONS_OF_ALL:
        return SPLIT
    return data_of(study)


def values_of_runs(replicates: Sequence[Sequence[Runs]]) -> dict[str, dict[str, float]]:
    """The measures of each kind of runs, over these pairs or seeds."""
    groups = groups_of(replicates)
    return {run: {key: group.value(key) for key in KEYS} for run, group in groups.items() if group.evaluations}


def pytorch_points() -> list[Point]:
    """Each network of the example in PyTorch, forecast from each other one on the same images."""
    tables = {name: read_forecasts(find_table(f"results/forecasts/pytorch_{name}")) for name in PYTORCH}
    points = []
    for name, recipe in PYTORCH.items():
        for source in PYTORCH:
            if source != name:
                forecast, outcome, origin = (
                    tables[source][recipe],
                    tables[name][recipe],
                    tables[source][PYTORCH[source]],
                )
                errors = {key: outcome[key] - forecast[key] for key in KEYS}
                fields = name, kind_name(name), recipe, family_of(name, source), source, forecast["prior_per_decade"]
                prior = origin["prior_per_decade"]
                points.append(Point("PyTorch", *fields, forecast, outcome, errors, origin, prior))
    return points


def family_of(run: str, base: str) -> str:
    if "clip" in base or run in ("clip", "clip_plain") or run in CAPTIONS_OF_ALL or run in PLAIN_CAPTIONS:
        return "CLIP"
    return "batch" if run.startswith(("group", "batch", "counts")) else "all classes"


def is_own_family(point: Point) -> bool:
    """Whether its source has a loss of its family."""
    return (point.family == "batch") == (point.source in ("counts", "batch"))


def nearest(points: Sequence[Point]) -> list[Point]:
    """The forecast of each kind from its own family, if there is one."""
    nearest_of: dict[tuple[str, str], Point] = {}
    for point in sorted(points, key=is_own_family):
        nearest_of[point.study, point.name] = point
    return [point for point in points if point is nearest_of[point.study, point.name]]


def is_shown(point: Point) -> bool:
    """Whether the page has it: some recipes on characters and photographs, and all others."""
    return point.study in (ICONS, PLAIN, CAPTIONS, SPLIT, "PyTorch") or point.recipe in SHOWN


def has_learned(point: Point) -> bool:
    """Whether its top-1 is more than half of the forecast one: else it has not converged. All of CLIP on captions counts."""
    return point.outcome["top1"] > point.forecast["top1"] / 2 or point.study in (CAPTIONS, SPLIT)


def table_of_points(points: Sequence[Point]) -> Table:
    """A row for each kind and source."""

    def values_of(point: Point, key: str) -> str:
        return f"{point.forecast[key]:{ROUND[key]}}, {point.outcome[key]:{ROUND[key]}}"

    columns = [
        Column("source", "from", value=lambda point: point.source),
        Column("prior", "prior", "", ".2f", lambda point: point.prior),
        *(
            Column(key, f"{MEASURES[key].title}: forecast, trained", value=lambda point, key=key: values_of(point, key))
            for key in KEYS
        ),
    ]
    return table_of("recipe", columns, points, lambda point: f"{point.study}: {point.name}")


def numbers_of_points(points: Sequence[Point]) -> tuple[list[str], list[list[str]]]:
    """The header and the rows of the table for programs, with a number in each cell."""
    measures = (f"{key}_{kind}" for key in KEYS for kind in ("forecast", "trained"))
    header = ["data", "recipe", "from", "epochs", "epochs of the source", "prior", *measures]
    rows = []
    for point in points:
        numbers = [number for key in KEYS for number in (point.forecast[key], point.outcome[key])]
        texts = point.study, point.name, point.source, *point.epochs
        rows.append([*texts, *(f"{number:.4f}" for number in (point.prior, *numbers))])
    return header, rows


def forecasts_text(points: Sequence[Point]) -> str:
    """The forecasts.tsv of a study, which its page shows: each kind from the source that this page has."""
    rows = []
    for point in points:
        numbers = (
            "" if math.isnan(number) else f"{number:.4f}"
            for number in (point.forecast.get(k, math.nan) for k in HEADER[1:])
        )
        rows.append([point.run, *numbers, point.source])
    return tsv([*HEADER, SOURCE], rows)


def mean_errors(points: Sequence[Point]) -> Table:
    """The mean absolute errors of each study over recipes that learned, of forecasts and of changes."""
    rows = []
    for study in dict.fromkeys(point.study for point in points):
        all_of_study = [point for point in points if point.study == study]
        group = [*filter(has_learned, all_of_study)]
        number = f"{len(group)}" + f" of {len(all_of_study)}" * (len(group) < len(all_of_study))
        for name, errors in (
            ("forecasts", [{k: p.outcome[k] - p.forecast[k] for k in KEYS} for p in group]),
            ("changes from the source", [p.errors for p in group]),
        ):
            means = [np.mean([abs(error[k]) for error in errors]) for k in KEYS]
            rows.append([study, number, name, *(f"{mean:{ROUND[k]}}" for k, mean in zip(KEYS, means))])
    return text_table(["data", "recipes", "errors of", *(MEASURES[key].title for key in KEYS)], rows)


def baseline_errors(points: Sequence[Point]) -> Table:
    """The mean absolute errors of forecasts and of simpler ones, of the recipes that learned, without SL, which gives these their constant."""
    rows = []
    for study in dict.fromkeys(point.study for point in points if point.study not in (CAPTIONS, SPLIT)):
        all_learned = [point for point in points if point.study == study and has_learned(point)]
        sl = next((point for point in all_learned if point.recipe == "sl"), None)  # none where it is the source
        group = [point for point in all_learned if point.recipe != "sl"]
        errors_of = {"the logits, by the law": lambda p, key: p.forecast[key] - p.outcome[key]}
        if sl:
            errors_of["the slope of the prior alone"] = lambda p, key, sl=sl: proportional(p, sl, key) - p.outcome[key]
            errors_of["the same, accuracies as log-odds"] = lambda p, key, sl=sl: (
                proportional(p, sl, key, key != "odds_acc") - p.outcome[key]
            )
        errors_of["no change"] = lambda p, key: p.origin[key] - p.outcome[key]
        if group[0].repetition:
            errors_of["the other pair of runs"] = lambda p, key: p.repetition[key]
        for name, error in errors_of.items():
            means = {key: np.mean([abs(error(point, key)) for point in group]) for key in KEYS}
            rows.append([study, str(len(group)), name, *(f"{mean:{ROUND[key]}}" for key, mean in means.items())])
        if study == data_of(REPEATED[0]):
            rows.append(repetition_row(study))
    return text_table(["data", "recipes", "forecast from", *(MEASURES[key].title for key in KEYS)], rows)


def proportional(point: Point, sl: Point, key: str, by_log_odds: bool = False) -> float:
    """A measure that changes from the source in proportion to the slope of the log-prior, as it does for the trained SL.

    With `by_log_odds`, it is an accuracy in percent, whose log-odds change so.
    """

    def scaled(value: float) -> float:
        return log_odds(value / 100) if by_log_odds else value

    slope = (scaled(sl.outcome[key]) - scaled(sl.origin[key])) / (sl.prior - sl.origin_prior)
    value = scaled(point.origin[key]) + slope * (point.prior - point.origin_prior)
    return 100 / (1 + math.exp(-value)) if by_log_odds else value


def repetition_row(study: str) -> list[str]:
    """How much the same kinds of two studies differ on average."""
    values_by_study = []
    for name in REPEATED:
        with opened_archive(known_archives()[name]) as contents:
            values_by_study.append(values_of_runs(by_replicate(contents.study, contents.runs)))
    first_values, second_values = values_by_study
    shared_runs = [run for run in first_values if run in second_values]
    means = {
        key: np.mean([abs(first_values[run][key] - second_values[run][key]) for run in shared_runs]) for key in KEYS
    }
    numbers = (f"{mean:{ROUND[key]}}" for key, mean in means.items())
    return [study, str(len(shared_runs)), "another study of the same recipes", *numbers]


def draw(points: Sequence[Point]) -> Figure:
    """Trained against forecast values, of bias, tail and top-1, of recipes that learned, and of tokenizers that split no names."""
    points = [point for point in points if has_learned(point) and point.study != SPLIT]
    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    panels: Sequence[Axes] = figure.subplots(1, 3)
    studies = list(dict.fromkeys(point.study for point in points))
    for axes, key in zip(panels, ("odds_acc", "tail", "top1")):
        for point in points:
            look = style(FAMILIES[point.family]) | {"linestyle": ""}
            label = f"{point.family}, {point.study}" if len(studies) > 1 else point.family
            face = FACES[studies.index(point.study)]
            axes.plot(point.forecast[key], point.outcome[key], **look, fillstyle=face, markersize=7, label=label)
        values = [value for point in points for value in (point.forecast[key], point.outcome[key])]
        ends = [min(values), max(values)]
        axes.plot(ends, ends, color="0.6", linewidth=0.8, zorder=0)
        axes.set(xlabel=f"forecast {MEASURES[key].title}", ylabel=f"trained {MEASURES[key].title}")
        axes.set_aspect("equal", adjustable="datalim")
        add_grid(axes)
    figure.suptitle("Each point is a recipe: as forecast, and as trained", fontsize=12)
    legend_below(figure)
    return figure


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
