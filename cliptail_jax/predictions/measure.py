"""Measures files of predictions, prints their tables, and writes results."""

import argparse
import contextlib
import itertools
import re
import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import check_file
from cliptail_jax.predictions.classes import FREQUENCY_HELP, with_classes_of
from cliptail_jax.predictions.differences import Difference, difference, same_examples
from cliptail_jax.predictions.files import check_results, results_folder, write_results
from cliptail_jax.predictions.measured import Measured, classes_in_some, measured_seeds, seed_names, with_adjusted
from cliptail_jax.predictions.reading import (
    ColumnNames,
    read_class_table,
    read_labels,
    read_predictions,
    read_training_labels,
)
from cliptail_jax.report.page import address
from cliptail_jax.report.predictions import adjustment_text, measures_text
from cliptail_jax.runs.console import last_lines

WRITTEN = ("measures.json", "report.html", "figures", "lock")  # by `measure`, beside the directories of models
MOST_COMPARED = 4  # files: of more, each is compared with the first only
ONE_FILE = (
    "The intervals of differences of single files cover the choice of classes, but not how much repeated trainings of a model "
    "differ: NAME=FILE,FILE takes the files of several."
)
NAME = re.compile(r"\w[\w.+-]*")
OF_SEED = re.compile(r"seed_\d+(_mirrored)?")


def measure_command(options: argparse.Namespace) -> None:
    """Measure the files that the flags of `cliptail measure` name, print the tables, and write results to --output."""
    named = named_files(options.files)
    for flag in ("frequency", "train", "labels"):
        if path := getattr(options, flag):
            check_file(Path(path), f"--{flag}={path}")
    if bool(options.frequency) == bool(options.train):
        if options.train:
            raise UserError("both --frequency and --train are given: leave one out")
        raise UserError(f"the class frequency is missing: {FREQUENCY_HELP}")
    run(named, options)


def run(named: dict[str, list[str]], options: argparse.Namespace) -> None:
    """Measure the files. The folder of results is checked before and is no other program's until the end."""
    inputs = [*itertools.chain(*named.values()), *filter(None, (options.frequency, options.train, options.labels))]
    folder = contextlib.nullcontext()
    if options.output:
        workdirs = [options.output / seed / name for name in named for seed in seed_names(len(named[name]))]
        check_results(options.output, workdirs, ("measures",), inputs, options.overwrite)
        folder = results_folder(options.output)
    with folder:
        measure_files(named, options)


def measure_files(named: dict[str, list[str]], options: argparse.Namespace) -> None:

    columns = ColumnNames(options.label_column, options.prediction_column)
    if options.frequency:
        table = read_class_table(options.frequency)
    else:
        table = read_training_labels(options.train, columns.label)
    labels = read_labels(options.labels, columns.label) if options.labels else None
    for path in itertools.chain(*named.values()) if table.is_open else ():  # all files have the same classes
        content = read_predictions(path, columns, labels)
        parts = (content.labels, content.predictions, content.classes)
        table = with_classes_of(table, [value for part in parts if part is not None for value in part])
    measured = [
        measured_seeds(name, [read_predictions(path, columns, labels) for path in paths], table)
        for name, paths in named.items()
    ]
    differences, notes = compared(measured)
    print(f"{len(table.names):,} classes of {table.origin}, with {table.frequency.sum():,} training images\n")
    print(measures_text({of.name: of.estimates for of in with_adjusted(measured)}))
    for of in measured:
        if of.adjusted:
            print(f"\n{adjustment_text(of.name, of.adjusted.by_tau)}")
    for pair in differences:
        print(f"\n{pair.table()}")
    for note in notes:
        print(f"\n{textwrap.fill(note, shutil.get_terminal_size((100, 24)).columns)}")
    if options.output:
        page = write_results(options.output, measured, differences, notes, options.overwrite)
        print(f"\n{last_lines(options.output, address(page))}")


def compared(measured: Sequence[Measured]) -> tuple[list[Difference], list[str]]:
    """The differences of files, and of adjusted predictions from those without adjustment; and the notes on all of them."""

    pairs = [(of.adjusted.measured, of) for of in measured if of.adjusted]
    notes = [f"{of.name}: {note}" for of in with_adjusted(measured) for note in of.notes] + classes_in_some(measured)
    for a, b in itertools.combinations(measured, 2):
        if len(measured) > MOST_COMPARED and a is not measured[0]:
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
    tested = [claim for pair in differences for claim in pair.claims.values() if claim.difference]
    return differences, [*notes, *([ONE_FILE] if any(len(claim.by_seed) == 1 for claim in tested) else [])]


def named_files(given: Sequence[str]) -> dict[str, list[str]]:
    """The files of each model by its name, which is that of its file without the suffix if none is given.

    Raises:
        UserError: two models have the same name, or a name cannot be that of a folder, or is that of adjusted predictions.
    """
    found: dict[str, list[str]] = {}
    for text in given:
        name, equals, files = text.partition("=")
        if not equals or Path(text).exists():
            name, files = Path(text).name.split(".")[0], text
        if not NAME.fullmatch(name) or name in WRITTEN or OF_SEED.fullmatch(name):
            raise UserError(
                f"'{name}' is no name of a model: use letters, digits, '.', '-' and '_', as in NAME={files}"
            )
        if name in found:
            raise UserError(f"two models have the name '{name}': name them, as in {name}_2={files}")
        found[name] = [file for file in files.split(",") if file] if equals and files != text else [files]
        if not found[name]:
            raise UserError(f"{name}= names no file: is a variable of the shell empty?")
        for file in found[name]:
            if not Path(file).is_file():
                raise UserError(f"there is no file {file}")
    if taken := [name for name in found if name.endswith("_adjusted") and name.removesuffix("_adjusted") in found]:
        raise UserError(
            f"'{taken[0]}' is the name of the adjusted predictions of another file: name it, as in NAME={found[taken[0]][0]}"
        )
    return found
