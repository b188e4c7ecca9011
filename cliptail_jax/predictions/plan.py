"""Writes a plan of collection with its pictures, and prints it."""

import argparse
import shutil
from collections.abc import Sequence

import numpy as np

from cliptail_jax.formats.frequency_tables import frequency_of
from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.collection import Collection, RightByClass, collection
from cliptail_jax.predictions.counts import counts_of
from cliptail_jax.report import collection as tables
from cliptail_jax.report.layout import plain
from cliptail_jax.report.table_files import check_table, write_table

MAX_CLASSES = 10  # that are printed


def write_plan(options: argparse.Namespace) -> None:
    """Write the plan that the options of the command line describe. Errors are raised before anything is written."""
    inputs = [path for path in (options.available, options.cost) if path]
    check_table(options.output, tables.HEADER, "plan.tsv", inputs, options.overwrite)
    _, counts = counts_of(options.workdir, options.runs)
    result = collection(counts, options.images, options.target, *numbers_of_classes(options, counts))
    print("\n".join(lines_of(result)))
    write_table(options.output, tables.plan_text(result), tables.draw_classes(result))


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
