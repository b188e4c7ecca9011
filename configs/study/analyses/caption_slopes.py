"""Does bias come from a class's plain images, or from its images that show more than the class?

    python configs/study/analyses/caption_slopes.py --workdir=runs/captions --data_dir=DIR

Reads the finished runs of configs/study/captions.py and the records of the icons in DIR. A plain image is one whose caption
consists of a name of its class; the others have further words (caption_tables.py). By class, the regression is

    logit P(right) = a + b1 log10(plain images) + b2 log10(all images per plain image)

For a run on plain images alone, the second term is left out. Each kind of runs is one regression, with its seeds together.
Intervals are 95 % percentiles over resamples of classes. `--set` chooses test images, by default those of the icons; runs that were
not evaluated on it are left out.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.datasets.source import open_source
from cliptail_jax.host.errors import command_line
from cliptail_jax.metrics.bootstrap import percentiles
from cliptail_jax.report.layout import markdown, text_table
from cliptail_jax.results.directory import read_directory
from cliptail_jax.results.run import Run
from configs.study.analyses.caption_tables import tables
from configs.study.analyses.regression import fit, weights_of_resamples

COLUMNS = ("run", "runs", "plain images", "all images per plain image")
PLAIN = "_plain"


def slopes(
    terms: Float[np.ndarray, "run class term"],
    correct: Int[np.ndarray, "run class"],
    examples: Int[np.ndarray, "run class"],
) -> list[str]:
    """The slope of each term with its interval over classes, as text. Classes without examples are left out."""
    has_examples = examples.sum(axis=0) > 0
    terms, correct, examples = terms[:, has_examples], correct[:, has_examples], examples[:, has_examples]
    runs, classes, _ = terms.shape
    x = np.column_stack([np.ones(runs * classes), *terms.reshape(runs * classes, -1).T])
    right = correct.ravel()
    number = examples.ravel()
    values = fit(x, right, number, np.ones((1, len(x))))[0]
    blocks = [fit(x, right, number, np.tile(weights, runs)) for weights in weights_of_resamples(classes)]
    draws = np.concatenate(blocks)
    texts = []
    for term in range(1, x.shape[1]):
        low, high = percentiles(draws[~np.isnan(draws[:, term]), term])
        texts.append(f"{values[term]:.2f} [{low:.2f}, {high:.2f}]")
    return texts


@command_line
def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=Path, required=True, help="of the study")
    parser.add_argument("--data_dir", required=True, help="the folder with the prepared icons")
    parser.add_argument("--set", default="icons:test", help="of evaluations (default: %(default)s)")
    options = parser.parse_args(arguments)
    records = tables(options.data_dir)
    plain_counts, all_counts = (np.bincount(records[name][1]) for name in ("plain", "words"))
    places = {name: place for place, name in enumerate(open_source("icons", options.data_dir, "train").class_names)}
    kinds: dict[str, list[Run]] = {}
    for run in read_directory(options.workdir).runs:
        if run.is_finished and options.set in run.sets:
            kinds.setdefault(run.workdir.name, []).append(run)

    rows = []
    for kind, runs in kinds.items():
        terms = [np.log10(plain_counts)]
        if PLAIN not in kind:
            terms.append(np.log10(all_counts / plain_counts))
        evaluations = [run.evaluated_on(options.set) for run in runs]
        classes = [places[name] for name in evaluations[0].class_names]
        correct = np.stack([evaluation.results.correct for evaluation in evaluations])
        examples = np.stack([evaluation.results.examples for evaluation in evaluations])
        texts = slopes(np.tile(np.column_stack(terms)[classes], (len(runs), 1, 1)), correct, examples)
        rows.append([kind, str(len(runs)), *texts, *["–"] * (2 - len(texts))])
    print("\n".join(markdown(text_table(COLUMNS, rows))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
