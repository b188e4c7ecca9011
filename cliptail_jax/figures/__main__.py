"""Draw a figure of the paper: `python -m cliptail_jax.figures FIGURE --help`; without arguments, list the figures."""

import sys

from cliptail_jax.errors import UserError
from cliptail_jax.figures import draw_figure, make_parser


def main(arguments: list[str]) -> int:
    """Draw the figure that the command line names, and return the exit status."""
    if not arguments:
        make_parser().print_help()
        return 0
    try:
        written = draw_figure(arguments)
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"wrote {', '.join(map(str, written))}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
