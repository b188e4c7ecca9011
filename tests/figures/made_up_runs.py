"""Run directories small enough to be written by hand."""

import itertools

import numpy as np

from cliptail_jax import runs
from cliptail_jax.concepts.frequency_tables import write_frequency
from cliptail_jax.evaluation.results import summarize, write
from cliptail_jax.files import save_array, write_json
from cliptail_jax.metrics.groups import head_mid_tail
from cliptail_jax.metrics.neural_collapse import neural_collapse
from cliptail_jax.metrics.similarity import ClassSimilarities

CLASSES, PER_CLASS, DIM = 24, 10, 8
NAMES = tuple(f"{kind} {animal}" for kind, animal in itertools.product(
    ("great", "common", "lesser"), ("tern", "gull", "crane", "heron", "siskin", "kingfisher", "stilt", "albatross"),
))  # fmt: skip
FREQUENCY = np.random.default_rng(0).permutation(np.geomspace(2, 900, CLASSES).astype(int))


def write_run(workdir, slope=0.3, seed=0, sets=("birds:test",), frequency=FREQUENCY, **config):
    """A run whose accuracies and wrong predictions lean towards frequent classes by `slope`, with all there is to measure."""
    rng = np.random.default_rng(seed)
    log_frequency = np.log(np.maximum(frequency, 0.5) / np.mean(frequency))
    log_frequency -= log_frequency.mean()
    right = rng.binomial(PER_CLASS, np.clip(0.5 + slope * log_frequency / 4, 0.02, 0.98))
    confusion = np.diag(right)
    for c in range(CLASSES):
        others = np.where(np.arange(CLASSES) == c, 0, np.exp(slope * log_frequency))
        confusion[c] += rng.multinomial(PER_CLASS - right[c], others / others.sum())
    head = rng.normal(size=(CLASSES, DIM)).astype(np.float32)
    labels = np.repeat(np.arange(CLASSES), PER_CLASS)
    features = head[labels] + rng.normal(scale=0.3 + slope, size=(len(labels), DIM)).astype(np.float32)

    write_json(make(workdir) / "config.json", {"config": {"eval.sets": list(sets), **config}})
    write_frequency(workdir / "class_frequency.tsv", NAMES, frequency)
    similarities = ClassSimilarities(head)
    similarities.add(features, labels, np.ones(len(labels), bool))
    counts, parts = {"confusion": confusion, "top5": np.array(np.trace(confusion))}, head_mid_tail(frequency)
    collapse, similarities = neural_collapse(features, labels, CLASSES, head), similarities.result()
    summary = {"step": 9, "epoch": 1.0} | summarize(counts, frequency, parts, collapse, similarities)
    for name in sets:
        directory = make(runs.evaluation_directory(workdir, name))
        write(directory, summary, counts, parts, collapse, similarities)
        for key, array in {"features": features, "labels": labels, "head": head}.items():
            save_array(directory / f"{key}.npy", array)


def make(directory):
    directory.mkdir(parents=True, exist_ok=True)
    return directory
