"""Drawings per second of a core from the SVG to the PNG, as `datasets.build icons` makes them, beside CairoSVG.

    python scripts/benchmark/icons.py --raw=iconify-json-2.2.535.tgz --cairosvg    # needs: pip install cairosvg

Prints one JSON line. Every `--every`-th drawing of each icon set is rendered. Drawings that
CairoSVG cannot render count as rendered; `failures_of_cairosvg` is their number.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from common import print_report, rates

from cliptail_jax.datasets.icons.drawings import png
from cliptail_jax.datasets.icons.sets import read_sets, svg


def drawings(raw: Path, size: int, every: int) -> list[str]:
    """SVG documents of every n-th drawing of all sets."""
    sets = read_sets(raw, lambda prefix: True, lambda reason, example: None)
    return [svg(icon, of, size) for of in sets for icon in list(of.icons.values())[::every]]


def cairosvg_of(failures: set[str]) -> Callable[[str], None]:
    from cairosvg import svg2png

    def theirs(document: str) -> None:
        try:
            svg2png(bytestring=document.encode(), background_color="white")
        except Exception:  # of many kinds, for what it does not support
            failures.add(document)

    return theirs


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--size", type=int, default=32, help="pixels")
    parser.add_argument("--every", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10, help="approximate duration of each measurement")
    parser.add_argument("--cairosvg", action="store_true", help="also measure CairoSVG")
    options = parser.parse_args(arguments)
    documents = drawings(options.raw, options.size, options.every)

    def per_core_second(work: Callable[[str], None]) -> float:
        return rates(lambda: [work(document) for document in documents], len(documents), options.seconds)[1]

    report = {"drawings": len(documents), "drawings_per_core_second": per_core_second(png)}
    if options.cairosvg:
        failures = set()
        report["cairosvg_drawings_per_core_second"] = per_core_second(cairosvg_of(failures))
        report["ratio"] = round(report["drawings_per_core_second"] / report["cairosvg_drawings_per_core_second"], 1)
        report["failures_of_cairosvg"] = len(failures)
    print_report("icons", **report)


if __name__ == "__main__":
    main()
