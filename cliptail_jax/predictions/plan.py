"""Writes a plan of collection with its pictures, and prints it."""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cliptail_jax.formats.frequency_tables import frequency_of
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import write_text
from cliptail_jax.host.outputs import check_output
from cliptail_jax.metrics.collection import Collection, RightByClass, collection
from cliptail_jax.predictions.counts import counts_of
from cliptail_jax.report import collection as tables
from cliptail_jax.report.layout import plain
from cliptail_jax.report.style import FORMATS, is_picture, save

MAX_CLASSES = 10  # that are printed


def write_plan(options: argparse.Namespace) -> None:
    """Write the plan that the options of the command line describe. Errors are raised before anything is written."""
    output = options.output
    picture_files = [output.with_suffix(suffix) for suffix in FORMATS] if output.name else []
    if not output.name or output in picture_files:
        raise UserError(f"--output={output} is the name of a folder or a picture: give a file such as plan.tsv")
    inputs = [path for path in (options.available, options.cost) if path]
    for file, is_own in ((output, is_plan), *((file, is_picture) for file in picture_files)):
        check_output(file, is_own, inputs, options.overwrite)
    _, counts = counts_of(options.workdir, options.runs)
    result = collection(counts, options.images, options.target, *numbers_of_classes(options, counts))
    output.parent.mkdir(parents=True, exist_ok=True)
    write_text(output, tables.plan_text(result))
    figure = tables.draw_classes(result)
    for file in picture_files:
        save(figure, file)
    print("\n".join(lines_of(result)))
    print(f"wrote {', '.join(map(str, (output, *picture_files)))}")


def is_plan(path: Path) -> bool:
    return path.read_text(encoding="utf-8").startswith("\t".join(tables.HEADER) + "\n")


def numbers_of_classes(options: argparse.Namespace, counts: RightByClass) -> Sequence[np.ndarray | None]:
    """The numbers of --available and --cost in label order. Raises UserError if a table is wrong."""
    available = frequency_of(counts.names, options.available) if options.available else None
    cost = frequency_of(counts.names, options.cost, number=float) if options.cost else None
    if cost is not None and not ((cost > 0) & np.isfinite(cost)).all():
        name = counts.names[int(np.argmin((cost > 0) & np.isfinite(cost)))]
        raise UserError(f"--cost={options.cost}: an image of '{name}' has no positive cost: give each class one")
    return available, cost


def lines_of(result: Collection) -> list[str]:
    """The lines that are printed."""
    width, table = shutil.get_terminal_size().columns, tables.class_table(result)
    first_rows = table._replace(rows=table.rows[:MAX_CLASSES])
    remainder = len(table.rows) - MAX_CLASSES
    note = [f"and {remainder:,} more classes"] if remainder > 0 else []
    return [*tables.summary(result), "", *plain(tables.rule_table(result), width), "", *plain(first_rows, width), *note]
