"""Is an image found by two words because each is frequent, or because they were seen together?

    python configs/study/analyses/composition.py --workdir=runs/icons [--workdir=runs/clip] --output=composition.png

Reads finished runs that are evaluated by retrieval (`eval.sets` NAME:SPLIT@FIELD, or a set without labels; the first of several
sets), and their training captions. Of the N training captions of the first epoch, n_a and n_b contain a word, and n_ab both.
Their pointwise mutual information is PMI = log10(n_ab N / (n_a n_b)), with ½ added to each n, so that it exists for words that
were never seen together. Words are lemmas, as in `cliptail_jax.concepts.count --words`. Queries are the set's captions with
exactly two distinct words. A query is right if its image is among the first five:

    logit P(right) = a + b1 log10 max(n_a, n_b) + b2 log10 min(n_a, n_b) + b3 log10 n_ab + b4 PMI

with some of the terms. PMI is a sum of the others and of log10 N, so no model contains all. Captions with the same text compete
for the first places, so images of the same text before a query's own are ignored. Images of similar texts are not, such as
'clock alarm' for 'alarm clock'.

Besides the coefficients, the table has McFadden's R² (1 − log-likelihood / that of a alone), the log-loss of a caption in nats by
ten-fold cross-validation, which compares models with different numbers of terms, and Pearson's r between a single term and
accuracy over tenths of the pairs, with ties together. On such bins of CLIP models, arXiv 2507.08000 reports r = 0.97 for PMI, and
arXiv 2502.18326 reports that the frequencies of single words suffice. The last line uses only pairs that were never seen
together. Runs of the same name in a study (seeds) are one regression. Intervals are 95 % percentiles over resamples of pairs of
words with all their captions and runs. Folds are also of pairs.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from scipy.sparse import csc_array
from scipy.stats import rankdata

from cliptail_jax.concepts.tally import count_chunks
from cliptail_jax.concepts.word_counter import WordCounter
from cliptail_jax.curation.variant import caption_chunks
from cliptail_jax.evaluation.pairs import open_pairs
from cliptail_jax.host.errors import UserError, command_line
from cliptail_jax.metrics.bootstrap import percentiles
from cliptail_jax.metrics.retrieval import DECILES, deciles
from cliptail_jax.report.layout import cell, markdown, text_table
from cliptail_jax.report.style import add_grid, legend_below, save, style
from cliptail_jax.report.training_images import data_section, data_values, training_variant
from cliptail_jax.results.run import Run
from configs.study.analyses.regression import fit, log_likelihood, read_runs, weights_of_resamples

FOUND, FOLDS = 5, 10  # recall at 5
TERMS = ("log10 max(n_a, n_b)", "log10 min(n_a, n_b)", "log10 n_ab", "PMI")
MODELS = ((), (0, 1), (3,), (2,), (0, 1, 2))
COLUMNS = ("study", "runs", "pairs", *TERMS, "R²", "log-loss", "r")


class Pairs(NamedTuple):
    """The pairs of words of a run's queries: counts of training captions, and of queries. `total` is N, repeated."""

    names: Sequence[str]
    larger: Int[np.ndarray, " pair"]
    smaller: Int[np.ndarray, " pair"]
    together: Int[np.ndarray, " pair"]
    total: Int[np.ndarray, " pair"]
    correct: Int[np.ndarray, " pair"]
    examples: Int[np.ndarray, " pair"]


def pairs_of(run: Run) -> Pairs:
    """Raises UserError if a run's data or set are not there or others than before, or no caption has exactly two words."""
    data, evaluation, counter = data_section(data_values(run.config)), run.retrieval, WordCounter()
    fields = tuple(evaluation.summary.get("settings", {}).get("captions", ())), tuple(data.captions.words)
    pair_set, results = (
        open_pairs(evaluation.set_name, data.data_dir, *fields, data.name, data.class_names),
        evaluation.results,
    )
    if pair_set is None or not np.isin(results.captions, pair_set.caption_records).all():
        raise UserError(f"{run.workdir} was evaluated on other captions than '{evaluation.set_name}' has now")
    texts = [pair_set.captions[row] for row in np.searchsorted(pair_set.caption_records, results.captions)]
    names = count_chunks(counter, [texts]).counts["name"].to_pylist()
    captions, words = counter.find(texts, names)
    order = np.lexsort((words, captions))  # by caption, then by word
    words = words[order][np.bincount(captions)[captions[order]] == 2].reshape(-1, 2)
    queries = np.flatnonzero(np.bincount(captions, minlength=len(texts)) == 2)
    if not len(queries):
        raise UserError(f"no caption of '{evaluation.set_name}' has exactly two words")
    pairs, pair = np.unique(words, axis=0, return_inverse=True)
    right = ranks_among_others(texts, results.text_to_image)[queries] < FOUND
    return Pairs(
        [f"{names[a]} {names[b]}" for a, b in pairs],
        *counts(counter, caption_chunks(training_variant(run)), names, pairs),
        np.bincount(pair, right).astype(int),
        np.bincount(pair),
    )


def ranks_among_others(texts: Sequence[str], ranks: Int[np.ndarray, " caption"]) -> Int[np.ndarray, " caption"]:
    """The number of images before each caption's own, without those of other captions with the same text."""
    text = np.unique(texts, return_inverse=True)[1]
    distinct, place = np.unique(np.stack([text, ranks], axis=1), axis=0, return_inverse=True)
    return ranks - (place - np.searchsorted(distinct[:, 0], text))


def counts(
    counter: WordCounter, chunks: Iterable[Sequence[str]], names: Sequence[str], pairs: Int[np.ndarray, "pair 2"]
) -> Int[np.ndarray, "4 pair"]:
    """The numbers of captions with the more frequent word of each pair, with the other one, with both, and of all."""
    total, single, together = 0, np.zeros(len(names), int), np.zeros(len(pairs), int)
    for captions in chunks:
        matches = counter.find(captions, names)
        has = csc_array((np.ones(matches.shape[1], int), matches), (len(captions), len(names)))
        total, single = total + len(captions), single + has.sum(axis=0)
        together += has[:, pairs[:, 0]].multiply(has[:, pairs[:, 1]]).sum(axis=0)
    return np.stack([single[pairs].max(axis=1), single[pairs].min(axis=1), together, np.full(len(pairs), total)])


def terms(
    larger: Int[np.ndarray, " pair"],
    smaller: Int[np.ndarray, " pair"],
    together: Int[np.ndarray, " pair"],
    total: Int[np.ndarray, " pair"],
) -> Float[np.ndarray, "pair 4"]:
    """The `TERMS`."""
    logs = np.log10(np.stack([larger, smaller, together]) + 0.5)
    return np.stack([*logs, logs[2] + np.log10(total) - logs[0] - logs[1]], axis=1)


def estimates(
    x: Float[np.ndarray, "row term"],
    correct: Int[np.ndarray, " row"],
    examples: Int[np.ndarray, " row"],
    names: Sequence[str],
) -> tuple[list[str], float, float]:
    """The coefficients of the terms with intervals, McFadden's R², and the cross-validated log-loss."""
    x, unit = np.column_stack([np.ones(len(x)), x]), np.unique(names, return_inverse=True)[1]
    units = unit.max() + 1
    (beta,) = fit(x, correct, examples, np.ones((1, len(x))))
    blocks = weights_of_resamples(units) if len(beta) > 1 else ()
    draws = [fit(x, correct, examples, times[:, unit]) for times in blocks]
    bounds = map(percentiles, np.concatenate(draws).T[1:]) if draws else ()
    alone = log_likelihood(fit(x[:, :1], correct, examples, np.ones((1, len(x)))), x[:, :1], correct, examples).sum()
    fold = np.random.default_rng(0).permutation(units)[unit] % FOLDS
    folds = fit(x, correct, examples, (fold != np.arange(FOLDS)[:, None]).astype(float))
    loss = -log_likelihood(folds, x, correct, examples)[fold, np.arange(len(x))].sum() / examples.sum()
    cells = [cell(b, ".2f", interval).text for b, interval in zip(beta[1:], bounds)]
    return cells, 1 - log_likelihood(beta[None], x, correct, examples).sum() / alone, loss


def binned(
    x: Float[np.ndarray, " row"], correct: Int[np.ndarray, " row"], examples: Int[np.ndarray, " row"]
) -> Float[np.ndarray, "2 bin"]:
    """Means of a term, and accuracies, over tenths of the rows by the term. Rows of the same value are in the same one."""
    tenth = deciles(rankdata(x, "dense").astype(int))
    rows = [tenth == number for number in range(DECILES) if np.any(tenth == number)]
    return np.array([(x[bin_rows].mean(), correct[bin_rows].sum() / examples[bin_rows].sum()) for bin_rows in rows]).T


def table(runs: Sequence[Pairs]) -> list[list[str]]:
    """The cells of a row for each of the `MODELS`, and one for pairs that were never seen together, if there are any."""
    names, *numbers = (np.concatenate(columns) for columns in zip(*runs))
    x, (together, _, correct, examples) = terms(*numbers[:4]), numbers[2:]
    everything, table_rows = np.ones(len(x), bool), []
    unseen = [((0, 1), together == 0)] if not together.all() else []
    for columns, rows in [(columns, everything) for columns in MODELS] + unseen:
        data = x[rows][:, columns], correct[rows], examples[rows]
        coefficients, share, loss = estimates(*data, names[rows])
        cells = dict(zip(columns, coefficients))
        r = f"{np.corrcoef(binned(data[0][:, 0], *data[1:]))[0, 1]:.2f}" if len(columns) == 1 else ""
        pairs = f"{len(np.unique(names[rows])):,}" + ("" if rows is everything else " with n_ab = 0")
        cells_of_terms = [cells.get(term, "") for term in range(len(TERMS))]
        table_rows.append([pairs, *cells_of_terms, f"{share:.4f}", f"{loss:.4f}", r])
    return table_rows


@command_line
def main(arguments: Sequence[str] | None = None) -> None:
    (output, study_runs), groups, rows = read_runs(__doc__, arguments), {}, []
    for study, run in study_runs:
        if run.retrieval and not run.is_published:
            groups.setdefault((study, run.name), []).append(pairs_of(run))
    if not groups:
        raise UserError("no finished run is evaluated by retrieval: evaluate one on eval.sets NAME:SPLIT@FIELD")
    figure = Figure(figsize=(8.4, 4), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    has_studies = len({study for study, _ in groups}) > 1
    for number, ((study, name), runs) in enumerate(groups.items()):
        rows += [[study, f"{len(runs)}, {name}", *cells] for cells in table(runs)]
        _, *numbers = (np.concatenate(columns) for columns in zip(*runs))
        for axes, term in zip(panels, (2, 1)):
            x, recall = binned(terms(*numbers[:4])[:, term], *numbers[4:])
            axes.plot(
                10**x, 100 * recall, **style(number), label=f"{Path(study).name}: {name}" if has_studies else name
            )
    for axes, label in zip(panels, ("both words", "the rarer word")):
        axes.set(xscale="log", xlabel=f"training captions with {label} (+ ½)")
        add_grid(axes)
    panels[0].set(ylim=(0, None), ylabel=f"text→image recall at {FOUND} (%)")
    legend_below(figure)
    save(figure, output)
    print("\n".join(markdown(text_table(COLUMNS, rows))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
