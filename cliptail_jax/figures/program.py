"""The figures by name, and the command line of each."""

import argparse
from collections.abc import Sequence
from pathlib import Path

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
from cliptail_jax.plotting.style import add_output, check_output, save

FIGURES = {
    module.__name__.rpartition(".")[2]: module
    for module in (  # in the order of the study's
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
}


def draw_figure(arguments: Sequence[str]) -> list[Path]:
    """Draws what the command line names, as in `draw_figure(["scale", "--runs", "scale.tsv", "--output", "scale"])`.

    Returns the files that it wrote. Raises UserError where a run, a sheet or a table is not as the figure needs it.
    """
    options = parser().parse_args(arguments)
    check_output(options.output)
    return save(options.draw(options), options.output)


def parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(
        prog="python -m cliptail_jax.figures", description="Draw a figure of the study: FIGURE --help says how."
    )
    figures = whole.add_subparsers(required=True, metavar="FIGURE")
    for name, module in FIGURES.items():
        summary, *_ = module.__doc__.splitlines()
        figure = figures.add_parser(
            name, help=summary, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        module.add_arguments(figure)
        add_output(figure)
        figure.set_defaults(draw=module.draw)
    return whole
