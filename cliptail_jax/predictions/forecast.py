"""Forecasts recipes for the command line: reads logits or runs, prints tables, and writes the file and its picture."""

import argparse
import contextlib
import functools
import shutil
import sys
import textwrap
from collections.abc import Mapping

import numpy as np
from ml_collections import ConfigDict

from cliptail_jax.config.files import known_configs
from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.effective_prior import is_same_prior, per_decade
from cliptail_jax.metrics.recipes import is_recipe
from cliptail_jax.predictions.classes import ClassTable, with_images
from cliptail_jax.predictions.counts import runs_of_name
from cliptail_jax.predictions.evaluations import number_of
from cliptail_jax.predictions.forecasts import Forecast, LogitSource, Prior, forecasts_from, prior_of, source_of
from cliptail_jax.predictions.measured import Measured
from cliptail_jax.predictions.reading import (
    ColumnNames,
    PredictionFile,
    read_class_table,
    read_labels,
    read_predictions,
)
from cliptail_jax.report import forecasts as tables
from cliptail_jax.report.layout import Table, plain
from cliptail_jax.report.table_files import check_table, write_table
from cliptail_jax.results.group import twice_chance
from cliptail_jax.results.run import Run
from cliptail_jax.runs.lock import sole_process_of_file

# Of networks in PyTorch on texts, spectra, digits and tables, from SL: 0.17, 0.8 and 1.8 on average, and at most 0.44, 2.1 and 4.6.
EXPECTED_ERRORS = (
    "Expect errors of about 0.2 in bias, one point in top-1 and two in the tail for losses that learn as well as this model, and larger "
    "ones between losses over all classes, over a batch's classes, and CLIP's; counts tends to be more biased than adjusted logits. A tail "
    "of 0 % is outside of what was tried."
)
DEFAULT_RECIPES = ("sl", "batch:64", "batch:256", "adjusted:0.5", "counts")


def forecast_command(options: argparse.Namespace) -> None:
    """Run `cliptail forecast`. Errors are raised before anything is written."""
    check_options(options)
    if options.output:
        inputs = [path for path in (options.logits, options.frequency) if path]
        check_table(options.output, tables.HEADER, "forecasts.tsv", inputs, options.overwrite)
    with sole_process_of_file(options.output) if options.output else contextlib.nullcontext():
        forecast(options)


def forecast(options: argparse.Namespace) -> None:
    """Print, and write to --output, forecasts or, without a model, log-priors."""
    recipes = {name: prior for text in options.recipes or DEFAULT_RECIPES for name, prior in read_recipes(text).items()}
    if options.workdir or options.logits:
        show_forecasts(options, recipes)
    else:
        show_priors(options, recipes)


def show_forecasts(options: argparse.Namespace, recipes: Mapping[str, Prior]) -> None:
    """Print, and write to --output, what the recipes give, forecast from the logits of a model."""
    name, replicates = sources_of_runs(options) if options.workdir else sources_of_file(options)
    recipes = {recipe: prior for recipe, prior in recipes.items() if recipe != name}
    forecasts, frequency = forecasts_from(replicates, name, recipes), replicates[0][0].table.frequency
    slopes = {recipe: per_decade(forecast.prior, frequency) for recipe, forecast in forecasts.items()}
    measures = {recipe: forecast.measures.estimates for recipe, forecast in forecasts.items()}
    row_names = shared_names(forecasts, name)
    print_table(tables.forecast_table(slopes, {recipe: measures[recipe] for recipe in row_names}, name, row_names))
    for note in [*forecasts[name].measures.notes, *hardly_learned(forecasts[name].measures), EXPECTED_ERRORS]:
        print(f"\n{textwrap.fill(note, width_of_terminal())}")
    if options.output:
        groups = {recipes: forecasts[recipe].measures.group for recipe, recipes in row_names.items()}
        print()
        write_table(options.output, tables.file_text(slopes, measures), tables.draw_forecasts(groups, row_names[name]))


def shared_names(forecasts: Mapping[str, Forecast], model: str) -> dict[str, str]:
    """The names of all recipes with the same forecast by the first of them, in one text; the trained model has its own."""
    names: dict[str, list[str]] = {model: [model]}
    for recipe, forecast in forecasts.items():
        equals = (first for first in names if first != model and is_same_forecast(forecasts[first], forecast))
        if recipe != model:
            names.setdefault(next(equals, recipe), []).append(recipe)
    return {first: ", ".join(recipes) for first, recipes in names.items()}


def is_same_forecast(a: Forecast, b: Forecast) -> bool:
    return all(np.array_equal(x.correct, y.correct) for x, y in zip(a.measures.results, b.measures.results))


def hardly_learned(model: Measured) -> list[str]:
    """A note on a model that is above chance, but less accurate than at twice its odds."""
    bound = twice_chance(len(model.results[0].correct))
    if model.top1 > bound:
        return []
    return [
        f"{model.name} has hardly learned: its top-1 is {model.top1:.1f} %, and {bound:.1f} % has twice the odds of chance."
    ]


def show_priors(options: argparse.Namespace, recipes: Mapping[str, Prior]) -> None:
    """Print, and write to --output, the log-priors of the recipes on the classes of --frequency."""
    table = read_class_table(options.frequency)
    frequency = with_images(table).frequency
    if number := len(table.names) - len(frequency):
        print(
            f"{number_of(number, 'class')} without training images left out: no loss has a finite log-prior for them\n"
        )
    priors = {recipe: prior(frequency) for recipe, prior in recipes.items()}
    slopes = {recipe: per_decade(psi, frequency) for recipe, psi in priors.items()}
    print_table(tables.prior_table(slopes))
    if options.output:
        print()
        write_table(options.output, tables.file_text(slopes, {}), tables.draw_priors(priors, frequency))


def print_table(table: Table) -> None:
    print("\n".join(plain(table, width_of_terminal())))


def width_of_terminal() -> int:
    return shutil.get_terminal_size((100, 24)).columns


def check_options(options: argparse.Namespace) -> None:
    if options.workdir and (options.logits or options.frequency):
        raise UserError("--workdir has its logits and class frequency: leave out --logits and --frequency")
    if not options.workdir and not options.frequency:
        raise UserError(
            "the class frequency is missing: give --workdir=RUN; or --frequency=TSV, with --logits=FILE and --trained_with=RECIPE "
            "for forecasts, and without for the priors alone"
        )
    if options.logits and not options.trained_with:
        raise UserError(
            "--logits need the recipe of their model: give it as --trained_with=sl, batch:64, adjusted:1, ..."
        )
    if options.trained_with and not (options.logits or options.workdir):
        raise UserError("--trained_with is the recipe of a model: give its logits as --logits=FILE")
    if options.workdir and options.labels:
        raise UserError("--workdir has its labels: leave out --labels")
    if options.data_dir and not options.workdir:
        raise UserError("--data_dir is the folder of the sets of a run: leave it out, or give --workdir")
    if options.runs and not options.workdir:
        raise UserError("--runs are those of a study: give its directory as --workdir")


def read_recipes(text: str) -> dict[str, Prior]:
    """The ψ of a recipe such as 'batch:64', of a config such as 'sup:data=glyphs_lt', or of all kinds of a study, by name.

    Kinds of a study without a known ψ are left out, with a note. Raises UserError for another text.
    """
    name = text.partition(":")[0]
    if is_recipe(text) or not (name in known_configs() or name.endswith(".py")):
        return {text: prior_of(text)}
    # These import JAX, which recipes do not need.
    from cliptail_jax.config.command_line import read_config

    config = read_config(text)
    if "runs" not in config:
        if "objective" not in config:
            raise UserError(f"'{text}' is no config of a training: give a recipe, such as sl, or a config, such as sup")
        return {text: prior_of_config(config)}
    recipes = {}
    for run, run_config in config.runs.items():
        try:
            recipes[run] = prior_of_config(run_config)
        except UserError as error:
            print(f"note: {run} is not forecast: {error}", file=sys.stderr)
    return recipes


def prior_of_config(config: ConfigDict) -> Prior:
    """The ψ of a config. Raises UserError if it is not known."""
    from cliptail_jax.config.fields import plain as plain_values
    from cliptail_jax.objectives import effective_log_prior

    values = plain_values(config)
    effective_log_prior(values, np.array([1, 2]))  # an error now, and not after other work
    return functools.partial(effective_log_prior, values)


def sources_of_file(options: argparse.Namespace) -> tuple[str, list[list[LogitSource]]]:
    """The recipe of the model, and the logits of --logits."""
    labels = read_labels(options.labels) if options.labels else None
    content = read_predictions(options.logits, ColumnNames(), labels)
    table = read_class_table(options.frequency)
    return options.trained_with, [[source_of(content, table, prior_of_model(options.trained_with))]]


def prior_of_model(text: str) -> Prior:
    """The ψ of a recipe, or of a config. Raises UserError for a study, which has several."""
    priors = read_recipes(text)
    if [*priors] != [text]:
        raise UserError(
            f"--trained_with={text} is a study, and a model has one recipe: give that of its run, such as sl"
        )
    return priors[text]


def sources_of_runs(options: argparse.Namespace) -> tuple[str, list[list[LogitSource]]]:
    """The name of the runs in --workdir, and their logits by seed or mirrored pair."""
    from cliptail_jax.jobs.predict import logits_of_run

    name, runs = runs_of_name(options.workdir, options.runs)
    replicates: dict[str, list[LogitSource]] = {}
    for run in runs:
        prior = own_prior(run, options.trained_with)
        labels, logits, classes = logits_of_run(run.workdir, options.data_dir)
        content = PredictionFile(str(run.workdir), labels, None, logits, classes)
        table = ClassTable(run.class_names, run.class_frequency, f"{run.workdir}")
        replicates.setdefault(run.replicate or str(run.workdir), []).append(source_of(content, table, prior))
    sizes = {len(sources) for sources in replicates.values()}
    if len(sizes) > 1:
        raise UserError(f"a run of a mirrored pair of {name} in {options.workdir} is missing: train it")
    return name, [*replicates.values()]


def own_prior(run: Run, trained_with: str | None) -> Prior:
    """The ψ of a run's config. Raises UserError if it is not known, or if `trained_with` is another recipe."""
    from cliptail_jax.objectives import prior_of_run

    prior = prior_of_run(run)
    frequency = run.class_frequency[run.class_frequency > 0]
    psi = prior(frequency)
    if trained_with:
        other = prior_of_model(trained_with)(frequency)
        if not is_same_prior(psi, other):
            raise UserError(
                f"--trained_with={trained_with} contradicts the config of {run.workdir}, whose prior has the slope "
                f"{per_decade(psi, frequency):.2f} per decade and not {per_decade(other, frequency):.2f}: leave it out"
            )
    return prior
