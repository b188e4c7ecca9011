"""Measures files of predictions, prints their tables, and writes results."""

import argparse
import contextlib
import itertools
import re
import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import check_file
from cliptail_jax.metrics.effective_prior import is_same_prior
from cliptail_jax.predictions.classes import FREQUENCY_HELP, ClassTable, with_classes_of
from cliptail_jax.predictions.counts import is_adjusted
from cliptail_jax.predictions.differences import Difference, difference, same_examples
from cliptail_jax.predictions.files import check_results, write_results
from cliptail_jax.predictions.forecasts import forecasts_from, prior_of, source_of
from cliptail_jax.predictions.measured import (
    Measured,
    classes_in_some,
    corrected_parts,
    measured_seeds,
    seed_names,
    with_adjusted,
)
from cliptail_jax.predictions.reading import (
    ColumnNames,
    PredictionFile,
    read_class_table,
    read_labels,
    read_predictions,
    read_training_labels,
)
from cliptail_jax.report.page import address
from cliptail_jax.report.predictions import (
    adjustment_text,
    forecast_text,
    main_differences_text,
    main_measures_text,
    measures_text,
)
from cliptail_jax.runs.console import last_lines
from cliptail_jax.runs.lock import sole_process

OUTPUTS = ("measures.json", "report.html", "figures", "lock")  # of `measure`, beside the directories of models
FORECAST_RECIPES = ("sl", "counts")
MAX_PAIRED_FILES = 4  # more files are compared only with the first one
INTERVALS = (
    "The intervals of differences in accuracy are for the choice of test examples of these classes, those of other numbers for the "
    "choice of classes."
)
ONE_FILE = "Another training of the same model may differ by more: to include that, give the files of several, as NAME=FILE,FILE."
SEVERAL_FILES = "Both include how much the trainings differ."
NAME = re.compile(r"\w[\w.+-]*")
SEED_DIRECTORY = re.compile(r"seed_\d+(_mirrored)?")


def measure_command(options: argparse.Namespace) -> None:
    """Measure the files that the flags of `cliptail measure` name, print the tables, and write results to --output."""
    files = files_by_name(options.files)
    for flag in ("frequency", "train", "labels"):
        if path := getattr(options, flag):
            check_file(Path(path), f"--{flag}={path}")
    if bool(options.frequency) == bool(options.train):
        if options.train:
            raise UserError("both --frequency and --train are given: leave one out")
        raise UserError(f"the class frequency is missing: {FREQUENCY_HELP}")
    run(files, options)


def run(files: dict[str, list[str]], options: argparse.Namespace) -> None:
    """Measure the files of each model. The folder of results is checked first, and locked until the end."""
    inputs = [*itertools.chain(*files.values()), *filter(None, (options.frequency, options.train, options.labels))]
    folder = contextlib.nullcontext()
    if options.output:
        workdirs = [options.output / seed / name for name in files for seed in seed_names(len(files[name]))]
        check_results(options.output, workdirs, ("measures",), inputs, options.overwrite)
        folder = sole_process(options.output, "--output")
    with folder:
        measure_files(files, options)


def measure_files(files: dict[str, list[str]], options: argparse.Namespace) -> None:
    columns = ColumnNames(options.label_column, options.prediction_column)
    if options.frequency:
        table = read_class_table(options.frequency)
    else:
        table = read_training_labels(options.train, columns.label)
    labels = read_labels(options.labels, columns.label) if options.labels else None
    for path in itertools.chain(*files.values()) if table.is_open else ():  # all files have the same classes
        content = read_predictions(path, columns, labels)
        parts = (content.labels, content.predictions, content.classes)
        table = with_classes_of(table, [value for part in parts if part is not None for value in part])
    contents = {name: [read_predictions(path, columns, labels) for path in paths] for name, paths in files.items()}
    models = [
        measured_seeds(name, files_of_model, table, options.trained_with, options.tau)
        for name, files_of_model in contents.items()
    ]
    differences, notes = compare(models)
    is_unnamed = any(
        f.logits is not None and f.classes is None for files_of_model in contents.values() for f in files_of_model
    )
    order = "; columns of logits are taken in their order" * is_unnamed
    print(f"{len(table.names):,} classes of {table.origin}, with {table.frequency.sum():,} training images{order}\n")
    for m in models:
        if m.adjusted:
            print_paragraph(m.advice)
            print(f"{textwrap.indent(m.adjusted.code, '    ')}\n\n" * m.adjusted.is_needed, end="")
    (print_all if options.all else print_main)(models, differences)
    for m in (m for m in models if options.trained_with and not m.adjusted.lacks_scale):
        for sentence in forecast_sentences(m, contents[m.name], table, options.trained_with):
            print_paragraph(sentence)
    for note in notes:
        print_paragraph(note)
    if options.output:
        page = write_results(options.output, models, differences, notes, options.overwrite)
        print(last_lines(options.output, address(page)))


def print_paragraph(text: str) -> None:
    print(textwrap.fill(text, shutil.get_terminal_size((100, 24)).columns), end="\n\n")


def print_main(models: Sequence[Measured], differences: Sequence[Difference]) -> None:
    """A table of the main measures, and one of the differences."""
    held_out = {m.adjusted.cross_validation.name for m in models if m.adjusted and not m.adjusted.is_given}
    rows = {m.name + " (held out)" * (m.name in held_out): m.estimates for m in with_adjusted(models)}
    print(main_measures_text(rows), end="\n\n")
    if claims := {f"{pair.a} − {pair.b}": pair.claims for pair in differences if not pair.obstacle}:
        print(main_differences_text(claims), end="\n\n")
    for pair in differences:
        if pair.obstacle:
            print_paragraph(pair.table())


def print_all(models: Sequence[Measured], differences: Sequence[Difference]) -> None:
    """All measures of all files, also by τ, and all differences."""
    tables = [measures_text({m.name: m.estimates for m in with_adjusted(models)})]
    tables += [adjustment_text(m.name, m.adjusted.by_tau) for m in models if m.adjusted]
    tables += [pair.table() for pair in differences]
    print("\n\n".join(tables), end="\n\n")


def forecast_sentences(
    m: Measured, contents: Sequence[PredictionFile], table: ClassTable, trained_with: str
) -> list[str]:
    """What SL and counted classes would give in place of the recipe `trained_with`, or why nothing is forecast."""
    own_prior = prior_of(trained_with)
    replicates = [[source_of(content, table, own_prior)] for content in contents]
    frequency = replicates[0][0].table.frequency
    priors = {recipe: prior_of(recipe) for recipe in FORECAST_RECIPES}
    priors = {
        recipe: prior for recipe, prior in priors.items() if not is_same_prior(prior(frequency), own_prior(frequency))
    }
    try:
        forecasts = forecasts_from(replicates, trained_with, priors)
    except UserError as error:  # such as a model at chance, which is measured all the same
        return [f"{m.name}: nothing is forecast: {error}"]
    sentences = []
    for recipe, prior in priors.items():
        is_measured = m.without_prior and table.frequency.all() and np.ptp(prior(frequency)) == 0
        measures = m.without_prior.name if is_measured else forecasts[recipe].measures.estimates
        sentences.append(forecast_text(m.name, trained_with, recipe, measures))
    return sentences


def compare(models: Sequence[Measured]) -> tuple[list[Difference], list[str]]:
    """The differences of files, and of adjusted predictions from those without adjustment; and the notes on all of them."""
    pairs, names_by_note = [(part, m) for m in models for part in corrected_parts(m)], {}
    for m in with_adjusted(models):
        for note in m.notes:
            names_by_note.setdefault(note, []).append(m.name)
    notes = [f"{', '.join(names)}: {note}" for note, names in names_by_note.items()] + classes_in_some(models)
    for a, b in itertools.combinations(models, 2):
        if len(models) > MAX_PAIRED_FILES and a is not models[0]:
            break
        if len(a.group.runs) != len(b.group.runs):
            seeds = f"{a.name} has {len(a.group.runs)} seeds and {b.name} has {len(b.group.runs)}"
            notes.append(f"{seeds}: they are not compared, which takes as many files of each.")
        elif same_examples(a.labels, a.keys, b.labels, b.keys):
            pairs.append((a, b))
        else:
            order = "" if a.keys and b.keys else ", or the same in another order (a column 'filename' identifies them)"
            notes.append(f"{a.name} and {b.name} have different examples{order}, and are not compared.")
    differences = [difference(a.predictions, b.predictions) for a, b in pairs]
    claims = [claim for pair in differences for claim in pair.claims.values() if claim.difference]
    if claims:
        is_single = any(len(claim.by_seed) == 1 for claim in claims)
        notes.append(f"{INTERVALS} {ONE_FILE if is_single else SEVERAL_FILES}")
    return differences, notes


def files_by_name(arguments: Sequence[str]) -> dict[str, list[str]]:
    """The files of each model by its name, from arguments NAME=FILE,FILE or FILE, whose name is then the model's.

    Raises:
        UserError: two models have the same name, or a name cannot be that of a folder, or is that of adjusted predictions.
    """
    files: dict[str, list[str]] = {}
    for argument in arguments:
        name, equals, paths = argument.partition("=")
        if not equals or Path(argument).exists():
            name, paths = Path(argument).name.removesuffix(".gz"), argument
            name = name.removesuffix(Path(name).suffix)
        if not NAME.fullmatch(name) or name in OUTPUTS or SEED_DIRECTORY.fullmatch(name):
            raise UserError(
                f"'{name}' is no name of a model: use letters, digits, '.', '-' and '_', as in NAME={paths}"
            )
        if name in files:
            raise UserError(f"two models have the name '{name}': name them, as in {name}_2={paths}")
        files[name] = [path for path in paths.split(",") if path] if equals and paths != argument else [paths]
        if not files[name]:
            raise UserError(f"{name}= names no file: is a variable of the shell empty?")
        for path in files[name]:
            check_file(Path(path))
            if not Path(path).is_file():
                raise UserError(f"there is no file {path}")
    if names := [name for name in files if is_adjusted(name, files)]:
        raise UserError(
            f"'{names[0]}' is the name of the adjusted predictions of another file: name it, as in NAME={files[names[0]][0]}"
        )
    return files
