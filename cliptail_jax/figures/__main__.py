"""Draw a figure of the paper: `python -m cliptail_jax.figures FIGURE --help`; without arguments, list the figures."""

import sys

from cliptail_jax.figures import draw_figure, make_parser
from cliptail_jax.host.errors import command_line


@command_line
def main(arguments: list[str]) -> None:
    """Draw the figure that the command line names."""
    if not arguments:
        return make_parser().print_help()
    print(f"wrote {', '.join(map(str, draw_figure(arguments)))}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
