"""Draw a figure of the study: `python -m cliptail_jax.figures FIGURE --help`."""

import argparse
import sys

from cliptail_jax.errors import UserError
from cliptail_jax.figures import (
    captions_vocabulary,
    class_frequency,
    corpora,
    diversity,
    example_classes,
    feature_maps,
    fine_grained,
    laionet,
    open_world,
    scale,
    tail_similarity,
    transfer,
    trimmed_tail,
)
from cliptail_jax.figures.style import add_output, check_output, save

FIGURES = (  # in the order of the study's
    class_frequency,
    corpora,
    captions_vocabulary,
    scale,
    diversity,
    open_world,
    trimmed_tail,
    tail_similarity,
    feature_maps,
    transfer,
    laionet,
    fine_grained,
    example_classes,
)


def main(arguments: list[str]) -> int:
    """Draws what the command line names; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cliptail_jax.figures", description=__doc__)
    figures = parser.add_subparsers(required=True, metavar="FIGURE")
    for module in FIGURES:
        name = module.__name__.rpartition(".")[2]
        summary, *_ = module.__doc__.splitlines()
        figure = figures.add_parser(
            name, help=summary, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        module.add_arguments(figure)
        add_output(figure)
        figure.set_defaults(draw=module.draw)
    options = parser.parse_args(arguments)
    try:
        check_output(options.output)
        written = save(options.draw(options), options.output)
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"wrote {', '.join(map(str, written))}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
