"""Plan which images to collect for a model, and predict what they bring, from a run's results by class:

    python -m cliptail_jax.collect --workdir=RUN_OR_STUDY --images=1000 --output=plan.tsv

A logistic mixed model of accuracy by class frequency predicts what more images of each class bring. The plan gives the next
images to the class with the largest gain in the target. --output is a table by class: images now, images to collect,
accuracy now and then, and the images that it needs for 50, 75 and 90 % ('<' or '>' more than a decade outside of the data).
Beside it are pictures of the classes before and after (.png, .pdf, .svg), and report.html, which compares the plan with simple
rules, with a curve by images collected. Of several runs that differ in seed only, the mean is used.

--available and --cost are tables like class_frequency.tsv: a line per class, its name, a tab, and a number.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cliptail_jax.collect import tables
from cliptail_jax.collect.collection import ClassCounts, Collection, collection
from cliptail_jax.collect.counts import counts_of
from cliptail_jax.commands import as_started
from cliptail_jax.concepts.frequency_tables import frequency_of
from cliptail_jax.errors import UserError, command_line
from cliptail_jax.files import work_path, write_text
from cliptail_jax.metrics.collecting import TARGETS
from cliptail_jax.outputs import add_overwrite, check_output
from cliptail_jax.results.layout import plain
from cliptail_jax.runs.provenance import command

LISTED = 10  # classes on the terminal
PICTURES = (".png", ".pdf", ".svg")


@command_line
def main(arguments: list[str]) -> None:
    """Make the plan that the command line describes."""
    options = parser().parse_args(arguments)
    from cliptail_jax.collect import page, pictures  # slow to import
    from cliptail_jax.plotting.style import is_picture, save

    output, report = options.output, options.output.with_name("report.html")
    drawn = [output.with_suffix(suffix) for suffix in PICTURES]
    if output in (report, *drawn):
        raise UserError(f"--output={output} is the name of a picture or of the page: give a file such as plan.tsv")
    read = [path for path in (options.available, options.cost) if path]
    for file, is_own in ((output, is_plan), (report, page.is_page), *((file, is_picture) for file in drawn)):
        check_output(file, is_own, read, options.overwrite)
    name, counts = counts_of(options.workdir, options.runs)
    found = collection(counts, options.images, options.target, *numbers_of_classes(options, counts))
    output.parent.mkdir(parents=True, exist_ok=True)
    write_text(output, tables.plan_text(found))
    figure = pictures.draw_classes(found)
    for file in drawn:
        save(figure, file)
    write_text(report, page.render(found, f"Which images to collect for {name}", command()))
    print("\n".join(lines_of(found)))
    print(f"wrote {', '.join(map(str, (output, *drawn, report)))}")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog=as_started("python -m cliptail_jax.collect"),
        description=as_started(__doc__),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--workdir", type=work_path, required=True, help="directory of a run or of a study")
    made.add_argument("--runs", metavar="NAME", help="which runs of the study")
    made.add_argument(
        "--images",
        type=positive,
        required=True,
        metavar="N",
        help="number of images to collect; with --cost, what they cost",
    )
    made.add_argument(
        "--available", type=work_path, metavar="TSV", help="how many further images of each class there are"
    )
    made.add_argument("--cost", type=work_path, metavar="TSV", help="the cost of an image of each class (default: 1)")
    made.add_argument(
        "--target", choices=TARGETS, default=TARGETS[0], help="the accuracy to raise (default: %(default)s)"
    )
    made.add_argument("--output", type=work_path, required=True, metavar="FILE", help="the plan, a TSV file")
    add_overwrite(made)
    return made


def positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise UserError(f"--images={text} is not a number of images: give 1 or more")
    return int(text)


def is_plan(path: Path) -> bool:
    return path.read_text(encoding="utf-8").startswith("\t".join(tables.HEADER) + "\n")


def numbers_of_classes(options: argparse.Namespace, counts: ClassCounts) -> Sequence[np.ndarray | None]:
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
