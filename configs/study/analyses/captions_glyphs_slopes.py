"""The slopes of bias on plain images, and on images that show more, of configs/study/captions_glyphs.py.

    python configs/study/analyses/captions_glyphs_slopes.py --workdir=runs/captions_glyphs --data_dir=DIR

By class and run, the regression is that of caption_slopes.py:

    logit P(right) = a + b1 log10(plain images) + b2 log10(all images per plain image)

Intervals are 95 % percentiles over resamples of classes. Test images are plain. Below SL, whose logits are log n + log P(image | class),
are the slopes that they forecast: without log n for `counts` and CLIP on class names, and without the log of the number of plain images
for CLIP on class names and signs.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.datasets.source import open_source
from cliptail_jax.host.errors import command_line
from cliptail_jax.jobs.predict import logits_of_run
from cliptail_jax.report.layout import markdown, text_table
from cliptail_jax.report.training_images import training_variant
from cliptail_jax.results.directory import read_directory
from cliptail_jax.results.run import Run
from configs.study.analyses.caption_slopes import COLUMNS, slopes


def class_counts(run: Run, data_dir: str) -> tuple[Int[np.ndarray, " class"], Int[np.ndarray, " class"]]:
    """The plain images of each class in the run's training data, and all images."""
    variant = training_variant(run)
    signs = open_source(variant.source.name, data_dir, "train").metadata["sign"].to_numpy(zero_copy_only=False)
    is_plain = signs[variant.records] == ""
    classes = len(variant.class_names)
    plain_counts = np.bincount(variant.labels[is_plain], minlength=classes).clip(min=1)
    return plain_counts, np.bincount(variant.labels, minlength=classes)


def correct_of_forecast(run: Run, data_dir: str, prior: Float[np.ndarray, " class"]) -> Int[np.ndarray, " class"]:
    """The test images of each class that the run's logits without a log-prior get right."""
    labels, logits, names = logits_of_run(run.workdir, data_dir)
    classes = list(names)
    assert tuple(classes) == run.class_names
    numbers = np.array([classes.index(label) for label in labels])
    is_right = np.argmax(logits - prior, axis=1) == numbers
    return np.bincount(numbers[is_right], minlength=len(classes))


@command_line
def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=Path, required=True, help="of the study")
    parser.add_argument("--data_dir", required=True, help="the folder with the prepared sets")
    options = parser.parse_args(arguments)
    kinds: dict[str, list[Run]] = {}
    for run in read_directory(options.workdir).runs:
        if run.is_finished:
            kinds.setdefault(run.workdir.name, []).append(run)

    rows = []
    for kind, runs in kinds.items():
        counts = [class_counts(run, options.data_dir) for run in runs]
        terms = np.stack([np.log10(np.column_stack([plain, total / plain])) for plain, total in counts])
        results = [run.evaluation.results for run in runs]
        correct, examples = (np.stack([getattr(r, key) for r in results]) for key in ("correct", "examples"))
        rows.append([kind, str(len(runs)), *slopes(terms, correct, examples)])
        if kind == "sl":
            for place, name in ((1, "counts, clip: forecast"), (0, "clip_sign: forecast")):
                forecasts = [
                    correct_of_forecast(run, options.data_dir, np.log(numbers[place]))
                    for run, numbers in zip(runs, counts)
                ]
                rows.append([name, str(len(runs)), *slopes(terms, np.stack(forecasts), examples)])
    print("\n".join(markdown(text_table(COLUMNS, rows))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
