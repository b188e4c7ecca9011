"""Write the interactive page on a study, a run, a transfer or published models:

    cliptail report --workdir=RUN_OR_STUDY [--compare=OTHER ...] [--runs=PATTERN ...] [--output=FILE]
    cliptail report NAME [--compare=OTHER ...] [--runs=PATTERN ...] [--output=FILE]

The page, report.html, is one file that a browser opens without a network. It can be written again at any time. With the
NAME of a published study, such as quickstart, it is computed from the stored counts of its runs, with the published
tests of its claims, and written to NAME.html in this folder.
"""

import argparse
import sys
from pathlib import Path

from cliptail_jax.config.files import known_archives
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import work_path
from cliptail_jax.host.outputs import add_overwrite


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("published", nargs="?", metavar="NAME", help="a published study")
    parser.add_argument(
        "--workdir", type=work_path, help="directory of a run, a study, a transfer, or a folder of runs"
    )
    parser.add_argument(
        "--compare",
        action="append",
        default=[],
        type=work_path,
        metavar="OTHER",
        help="another directory to compare with",
    )
    parser.add_argument(
        "--runs", action="append", metavar="PATTERN", help="only the runs with such names, for example 'glyphs_*'"
    )
    parser.add_argument(
        "--output",
        type=work_path,
        metavar="FILE",
        help="the page; by default report.html in the work directory, or NAME.html",
    )
    parser.add_argument(
        "--images", type=images_of_each, default={}, metavar="N",
        help="training images of each class, and as many test images, if their data exist (default: 4); 0 for none; "
        "all for all test images",
    )  # fmt: skip
    add_overwrite(parser)


def main(options: argparse.Namespace) -> None:
    if bool(options.published) == bool(options.workdir):
        raise UserError(
            "the page is on a directory or a published study: give --workdir=DIR or a NAME, such as quickstart"
        )
    if options.published and Path(options.published).is_dir():
        if options.published not in known_archives():
            raise UserError(f"{options.published} is a directory: give it as --workdir={options.published}")
        print(f"note: this page is on the published study, not on the folder {options.published}", file=sys.stderr)
    from cliptail_jax.jobs.report import report_command  # slow to import

    report_command(options)


def images_of_each(text: str) -> dict[str, int | bool]:
    """The arguments of `write_page` that --images stands for."""
    if text == "all":
        return {"every_image": True}
    if not text.isdecimal():
        raise UserError(f"--images={text} is not a number of images: give 0 or more, or all")
    return {"images": int(text)}
