"""Plan which images to collect for a model, and predict what they bring:

    cliptail collect --workdir=RUN_OR_STUDY --images=1000 --output=plan.tsv

From a run's results by class, a logistic mixed model of accuracy by class frequency predicts what more images of each
class bring. The plan gives the next images to the class with the largest gain in the target. --output is a table of the
classes: images, images to collect, accuracy before and after, and the images needed for 50, 75 and 90 % ('<' or '>' if
more than a decade outside of the data). Pictures of the classes before and after are beside it (.png, .pdf, .svg). The
terminal compares the plan with simple rules. If several runs differ only in seed, the plan is for their mean.

--available and --cost are tables like class_frequency.tsv: a line per class, its name, a tab, and a number.
"""

import argparse

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import work_path
from cliptail_jax.host.outputs import add_overwrite
from cliptail_jax.metrics.collecting import TARGETS


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workdir", type=work_path, required=True, help="directory of a run or of a study")
    parser.add_argument("--runs", metavar="NAME", help="which runs of the study")
    parser.add_argument(
        "--images",
        type=positive,
        required=True,
        metavar="N",
        help="number of images to collect; with --cost, what they cost",
    )
    parser.add_argument(
        "--available", type=work_path, metavar="TSV", help="how many further images of each class there are"
    )
    parser.add_argument("--cost", type=work_path, metavar="TSV", help="the cost of an image of each class (default: 1)")
    parser.add_argument(
        "--target", choices=TARGETS, default=TARGETS[0], help="the accuracy to raise (default: %(default)s)"
    )
    parser.add_argument("--output", type=work_path, required=True, metavar="FILE", help="the plan, a TSV file")
    add_overwrite(parser)


def main(options: argparse.Namespace) -> None:
    from cliptail_jax.predictions.plan import write_plan

    write_plan(options)


def positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise UserError(f"--images={text} is not a number of images: give 1 or more")
    return int(text)
