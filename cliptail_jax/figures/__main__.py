"""Draw a figure of the study: `python -m cliptail_jax.figures FIGURE --help`."""

import sys

from cliptail_jax.errors import UserError
from cliptail_jax.figures.program import draw_figure


def main(arguments: list[str]) -> int:
    """Draws what the command line names; returns the exit status."""
    try:
        written = draw_figure(arguments)
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"wrote {', '.join(map(str, written))}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
