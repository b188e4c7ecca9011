"""The slopes of bias on plain images, and on images that show more, of configs/study/captions_glyphs.py.

    python configs/study/analyses/captions_glyphs_slopes.py --workdir=runs/captions_glyphs --data_dir=DIR

By class and run, the regression is that of caption_slopes.py:

    logit P(right) = a + b1 log10(plain images) + b2 log10(all images per plain image)

Intervals are 95 % percentiles over resamples of classes. Test images are plain.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from cliptail_jax.datasets.source import open_source
from cliptail_jax.host.errors import command_line
from cliptail_jax.report.layout import markdown, text_table
from cliptail_jax.report.training_images import training_variant
from cliptail_jax.results.directory import read_directory
from cliptail_jax.results.run import Run
from configs.study.analyses.caption_slopes import COLUMNS, slopes


def class_terms(run: Run, data_dir: str) -> Float[np.ndarray, "class term"]:
    """log10 of the plain images of each class in the run's training data, and of all images per plain one."""
    variant = training_variant(run)
    signs = open_source(variant.source.name, data_dir, "train").metadata["sign"].to_numpy(zero_copy_only=False)
    is_plain = signs[variant.records] == ""
    classes = len(variant.class_names)
    plain_counts = np.bincount(variant.labels[is_plain], minlength=classes).clip(min=1)
    all_counts = np.bincount(variant.labels, minlength=classes)
    return np.log10(np.column_stack([plain_counts, all_counts / plain_counts]))


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
        terms = np.stack([class_terms(run, options.data_dir) for run in runs])
        results = [run.evaluation.results for run in runs]
        correct, examples = (np.stack([getattr(r, key) for r in results]) for key in ("correct", "examples"))
        rows.append([kind, str(len(runs)), *slopes(terms, correct, examples)])
    print("\n".join(markdown(text_table(COLUMNS, rows))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
