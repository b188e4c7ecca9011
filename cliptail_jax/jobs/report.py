"""Reads and judges the directories of a page, or a published study, and writes the page."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cliptail_jax.claims.judge import judge
from cliptail_jax.claims.judged import JudgedContents, judge_contents
from cliptail_jax.claims.verdicts import read_claims
from cliptail_jax.config.files import find_archive, find_results
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.outputs import check_output, is_same
from cliptail_jax.host.printing import one_line
from cliptail_jax.report.page import ALL_RUNS, PAGE, address, is_page, write_page
from cliptail_jax.results.archive import unpack
from cliptail_jax.results.directory import Contents, matches, read_directory, select


def report_command(options: argparse.Namespace) -> None:
    """Write the page that the flags of `cliptail report` ask for, and print its address and what it does not show."""
    runs = options.runs or ALL_RUNS
    with tempfile.TemporaryDirectory() as folder:
        workdir, output = options.workdir, options.output
        if options.published:
            workdir = unpack(find_archive(options.published), Path(folder))
            output = output or Path(f"{options.published}.html")
        all_contents = read_directories([workdir, *options.compare], runs)
        check_output(output or workdir / PAGE, is_page, overwrite=options.overwrite)
        if options.published:
            print(f"computing the page of {options.published} from its stored counts ...", file=sys.stderr)
        results = [options.published, *[""] * len(options.compare)]
        directories = [judge_selected(contents, runs, name) for contents, name in zip(all_contents, results)]
        page = write_page(directories, output, **options.images, runs=runs, overwrite=options.overwrite)
        problems = [problem for directory in directories for problem in directory.contents.problems]
    for problem in problems:
        print(one_line(f"not shown: {problem}"), file=sys.stderr)
    print(f"wrote {address(page)}")


def read_directories(workdirs: Sequence[Path], runs: Sequence[str]) -> list[Contents]:
    """The contents of different directories.

    Raises UserError if a directory is given twice or has nothing to show, or no run matches one of the patterns `runs`.
    """
    for number, workdir in enumerate(workdirs):
        if any(is_same(workdir, path) for path in workdirs[:number]):
            raise UserError(f"{workdir} is given twice: compare different directories")
    directories = [*map(read_directory, workdirs)]
    for contents in directories:
        if not (contents.runs or contents.transfers or contents.study or contents.problems):
            raise UserError(
                f"{contents.workdir} contains no run: name the directory of a run, a study, a transfer or evaluations of "
                "published models"
            )
    names = dict.fromkeys(name for contents in directories for name in contents.names)
    for pattern in runs:
        if runs != ALL_RUNS and not any(matches(name, [pattern]) for name in names):
            raise UserError(f"no run matches --runs={pattern}: there are {', '.join(names)}")
    return directories


def judge_selected(contents: Contents, runs: Sequence[str], study: str | None) -> JudgedContents:
    """The contents with those runs that match the patterns, and all claims, since these are corrected for their number.

    The claims of a published `study` are not tested again: its stored tests are of the same counts.
    """
    claims = read_claims(find_results(study)) if study else judge(contents)
    return judge_contents(select(contents, runs), claims)
