"""Draw a figure of the study: `python -m cliptail_jax.figures FIGURE --help`."""

import argparse
import sys

from cliptail_jax.errors import UserError
from cliptail_jax.figures import class_frequency


def main(arguments: list[str]) -> int:
    """Draws what the command line names; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cliptail_jax.figures", description=__doc__)
    figures = parser.add_subparsers(required=True, metavar="FIGURE")
    summary, *_ = class_frequency.__doc__.splitlines()
    figure = figures.add_parser("class_frequency", help=summary, description=summary)
    class_frequency.add_arguments(figure)
    figure.set_defaults(run=class_frequency.run)
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
