"""Draws the pictures of configs/study's pages from the results beside them, so that no picture needs a training:

    python scripts/draw_pages.py [mechanism quickstart ...]

Without names, it draws all but claims_small.png, which is old. Those with images are drawn from archives, with the prepared glyphs
and icons.
"""

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image
from update_pages import RESULTS, runs_in

from cliptail_jax.config.files import ARCHIVE
from cliptail_jax.experiments.kinds import KINDS
from cliptail_jax.figures import draw_figure
from cliptail_jax.host.files import write_text
from cliptail_jax.host.text import tsv
from cliptail_jax.report.pictures import draw_kinds
from cliptail_jax.report.style import save
from cliptail_jax.results.archive import unpack
from configs.study import mechanism

PAGES = RESULTS.parent


def bias_of(name: str, title: str, path: Sequence[str] = ()) -> Callable[[], Figure]:
    """The bias of a study's runs."""
    return lambda: draw_kinds(runs_in(name), path, title)


PICTURES: Mapping[str, Callable[[], Figure]] = {
    "mechanism": bias_of("mechanism_glyphs_16", "From SL to CLIP on long-tailed glyphs of 16 pixels", mechanism.PATH),
    "natural_runs": bias_of("natural", "A natural long tail: icons"),
    "captions": bias_of("captions", "Icons: images that show their class alone, then all with each kind of text"),
    "noise": bias_of("noise_glyphs_16", "Wrong captions and labels on long-tailed glyphs of 16 pixels"),
    "doses": bias_of("doses", "CLIP's batches and captions by dose, on long-tailed glyphs of 16 pixels"),
    "optimizers": bias_of("optimizers", "Optimizers of SL on long-tailed glyphs of 16 pixels"),
}


# By name: the results, and the runs in them.
WITH_IMAGES = {
    "quickstart": ("quickstart", ("sl", "counts", "adjusted", "clip")),
    "natural": ("natural", ("sl", "counts", "clip_captions")),
    "forecast_runs": ("forecast_glyphs_16", ("sl", "batch", "counts", "clip")),
}


def draw_with_images(results: str, runs: Sequence[str], output: Path) -> None:
    """Accuracy by class frequency, with images beside it."""
    with tempfile.TemporaryDirectory() as folder:
        study = unpack(RESULTS / f"{results}{ARCHIVE}", Path(folder))
        rows = [(f"{seed.name}/{run}", KINDS[run].name) for run in runs for seed in sorted(study.glob("seed_*"))]
        write_text(study / "sheet.tsv", tsv(("run", "label"), rows))
        arguments = ["--runs", str(study / "sheet.tsv"), "--output", str(output), "--overwrite"]
        draw_figure(["accuracy_by_frequency", *arguments])


def main(names: Sequence[str]) -> None:
    for name in names or (*PICTURES, *WITH_IMAGES):
        output = PAGES / f"{name}.png"
        if name in WITH_IMAGES:
            draw_with_images(*WITH_IMAGES[name], output)
        else:
            save(PICTURES[name](), output)
        with Image.open(output) as picture:  # of a third of the size, and to the eye the same
            picture.convert("RGB").quantize(256).save(output, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
