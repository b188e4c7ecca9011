"""Writes a plan with its pictures, and shows it on the terminal."""

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

LISTED = 10  # classes on the terminal


def write_plan(options: argparse.Namespace) -> None:
    """Write what the options of the command line describe. Raises UserError before anything is written."""
    output = options.output
    drawn = [output.with_suffix(suffix) for suffix in FORMATS] if output.name else []
    if not output.name or output in drawn:
        raise UserError(f"--output={output} is the name of a folder or a picture: give a file such as plan.tsv")
    read = [path for path in (options.available, options.cost) if path]
    for file, is_own in ((output, is_plan), *((file, is_picture) for file in drawn)):
        check_output(file, is_own, read, options.overwrite)
    _, counts = counts_of(options.workdir, options.runs)
    found = collection(counts, options.images, options.target, *numbers_of_classes(options, counts))
    output.parent.mkdir(parents=True, exist_ok=True)
    write_text(output, tables.plan_text(found))
    figure = tables.draw_classes(found)
    for file in drawn:
        save(figure, file)
    print("\n".join(lines_of(found)))
    print(f"wrote {', '.join(map(str, (output, *drawn)))}")


def is_plan(path: Path) -> bool:
    return path.read_text(encoding="utf-8").startswith("\t".join(tables.HEADER) + "\n")


def numbers_of_classes(options: argparse.Namespace, counts: RightByClass) -> Sequence[np.ndarray | None]:
    """The tables --available and --cost in label order. Raises UserError if a table is wrong."""
    available = frequency_of(counts.names, options.available) if options.available else None
    cost = frequency_of(counts.names, options.cost, number=float) if options.cost else None
    if cost is not None and not ((cost > 0) & np.isfinite(cost)).all():
        wrong = counts.names[int(np.argmin((cost > 0) & np.isfinite(cost)))]
        raise UserError(f"--cost={options.cost}: an image of '{wrong}' has no positive cost: give each class one")
    return available, cost


def lines_of(found: Collection) -> list[str]:
    """What the terminal shows."""
    width, by_class = shutil.get_terminal_size().columns, tables.class_table(found)
    some = by_class._replace(rows=by_class.rows[:LISTED])
    more = len(by_class.rows) - LISTED
    rest = [f"and {more:,} more classes"] if more > 0 else []
    return [*tables.summary(found), "", *plain(tables.rule_table(found), width), "", *plain(some, width), *rest]
