"""Plan which images to collect for a model, and predict what they bring, from a run's results by class:

    python -m cliptail_jax.collect --workdir=RUN_OR_STUDY --images=1000 --output=plan.tsv

A logistic mixed model of accuracy by class frequency predicts what more images of each class bring. The plan gives the next
images to the class with the largest gain in the target. --output is a table by class: images now, images to collect,
accuracy now and then, and the images that it needs for 50, 75 and 90 % ('<' or '>' more than a decade outside of the data).
Beside it are pictures of the classes before and after (.png, .pdf, .svg). The terminal compares the plan with simple rules. Of
several runs that differ in seed only, the mean is used.

--available and --cost are tables like class_frequency.tsv: a line per class, its name, a tab, and a number.
"""

import argparse
import sys

from cliptail_jax.host.commands import program_parser
from cliptail_jax.host.errors import UserError, command_line
from cliptail_jax.host.files import work_path
from cliptail_jax.host.outputs import add_overwrite
from cliptail_jax.metrics.collecting import TARGETS


@command_line
def main(arguments: list[str]) -> None:
    """Make the plan that the command line describes."""
    options = parser().parse_args(arguments)
    from cliptail_jax.collect.program import write_plan  # slow to import

    write_plan(options)


def parser() -> argparse.ArgumentParser:
    made = program_parser("collect", __doc__)
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
