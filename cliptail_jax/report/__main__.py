"""Write report.html on a run, a study, a transfer or evaluations of published models, from their files:

    python -m cliptail_jax.report --workdir=RUN_OR_STUDY [--compare=OTHER ...] [--output=FILE]
"""

import argparse
import sys
from pathlib import Path

from cliptail_jax.errors import command_line


@command_line
def main(arguments: list[str]) -> None:
    """Write the page that the command line describes, and say where it is."""
    parser = argparse.ArgumentParser(
        prog="python -m cliptail_jax.report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--workdir", required=True, type=Path, help="directory of a run, a study, a transfer, or a folder of runs"
    )
    parser.add_argument(
        "--compare", action="append", default=[], type=Path, metavar="OTHER", help="another one, to compare with"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="the page; by default report.html in the work directory")
    options = parser.parse_args(arguments)
    from cliptail_jax.report.page import write_page  # slow to import

    page = write_page(options.workdir, options.compare, options.output)
    print(f"wrote {page} ({page.stat().st_size / 1e6:.1f} MB): {page.resolve().as_uri()}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
