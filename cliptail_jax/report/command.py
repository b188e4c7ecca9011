"""Writes the page of a directory or of a published study."""

import argparse
import sys
import tempfile
from pathlib import Path

from cliptail_jax.claims.verdicts import read_claims
from cliptail_jax.config.files import find_archive, find_results
from cliptail_jax.host.outputs import check_output
from cliptail_jax.host.printing import one_line
from cliptail_jax.report.page import ALL_RUNS, address, is_page, write_page
from cliptail_jax.results.archive import unpack


def report_command(options: argparse.Namespace) -> None:
    """Write the page that the flags of `cliptail report` ask for, and print its address and what it does not show."""
    problems: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        workdir, output, claims = options.workdir, options.output, None
        if options.published:
            workdir = unpack(find_archive(options.published), Path(folder))
            output = output or Path(f"{options.published}.html")
            check_output(output, is_page, overwrite=options.overwrite)
            print(f"computing the page of {options.published} from its stored counts ...", file=sys.stderr)
            claims = read_claims(find_results(options.published))  # tests of the same counts, which need no repetition
        page = write_page(
            workdir,
            options.compare,
            output,
            **options.images,
            runs=options.runs or ALL_RUNS,
            overwrite=options.overwrite,
            claims=claims,
            problems=problems,
        )
    for problem in problems:
        print(one_line(f"not shown: {problem}"), file=sys.stderr)
    print(f"wrote {address(page)}")
