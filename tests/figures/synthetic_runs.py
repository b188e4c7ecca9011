"""Run directories small enough to be written by hand."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from cliptail_jax.evaluation.results import class_results
from cliptail_jax.figures.parts.sheet import read_sheet
from cliptail_jax.formats.frequency_tables import write_frequency
from cliptail_jax.host.files import save_array, write_json
from cliptail_jax.metrics.confidence import count_calibration
from cliptail_jax.metrics.groups import head_mid_tail
from cliptail_jax.metrics.measures import summarize
from cliptail_jax.metrics.neural_collapse import neural_collapse
from cliptail_jax.metrics.similarity import ClassSimilarities
from cliptail_jax.runs.evaluations import ClassArrays, add_summary, evaluation_directory, write_class_arrays

CLASSES, PER_CLASS, DIM = 24, 10, 8
NAMES = tuple(f"{kind} {animal}" for kind, animal in itertools.product(
    ("great", "common", "lesser"), ("tern", "gull", "crane", "heron", "siskin", "kingfisher", "stilt", "albatross"),
))  # fmt: skip
FREQUENCY = np.random.default_rng(0).permutation(np.geomspace(2, 900, CLASSES).astype(int))


def biased_confusion(frequency, slope, rng, per_class=PER_CLASS, noise=0.0):
    """Counts of predictions whose accuracies and errors favour frequent classes by `slope`."""
    log_frequency = np.log(np.maximum(frequency, 0.5))
    log_frequency -= log_frequency.mean()
    accuracy = 0.5 + slope * log_frequency / 4 + rng.normal(0, noise, len(frequency))
    right = rng.binomial(per_class, np.clip(accuracy, 0.02, 0.98))
    confusion = np.diag(right)
    for c in range(len(frequency)):
        others = np.where(np.arange(len(frequency)) == c, 0, np.exp(slope * log_frequency))
        confusion[c] += rng.multinomial(per_class - right[c], others / others.sum())
    return confusion


def synthetic_calibration(confusion, rng):
    """Counts of confidences, which are higher by some chance where predictions are right."""
    rows = [
        (label, column == label) for label, row in enumerate(confusion) for column in np.repeat(range(CLASSES), row)
    ]
    labels, correct = np.array(rows).T
    confidence = rng.beta(2 + 2 * correct, 2).astype(np.float32)
    counted = jax.tree.map(jnp.asarray, (confidence, correct.astype(bool), labels, np.ones(len(rows), bool)))
    return np.asarray(count_calibration(*counted, CLASSES))


def write_evaluations(
    workdir,
    sets,
    confusion,
    frequency,
    settings=None,
    values=None,
    calibration=None,
    predicted=None,
):
    """The evaluations of a run on `sets`, all of them the same."""
    counts = {"confusion": confusion, "top5": np.array(np.trace(confusion))}
    counts |= {} if calibration is None else {"calibration": calibration}
    parts = head_mid_tail(frequency)
    summary = {"step": 9, "epoch": 1.0, "settings": settings or {}}
    results = class_results(counts, frequency, parts, values or {})
    summary |= summarize(results)
    arrays = ClassArrays(confusion, results.groups, results.calibration, values or {}, predicted)
    for name in sets:
        directory = make(evaluation_directory(workdir, name))
        write_class_arrays(directory, arrays)
        add_summary(directory, summary)


def write_run(workdir, slope=0.3, seed=0, sets=("birds:test",), frequency=FREQUENCY, **config):
    """A run that favours frequent classes by `slope`, evaluated with all options."""
    rng = np.random.default_rng(seed)
    confusion = biased_confusion(frequency, slope, rng)
    head = rng.normal(size=(CLASSES, DIM)).astype(np.float32)
    labels = np.repeat(np.arange(CLASSES), PER_CLASS)
    features = head[labels] + rng.normal(scale=0.3 + slope, size=(len(labels), DIM)).astype(np.float32)

    write_json(make(workdir) / "config.json", {"config": {"eval.sets": list(sets), **config}})
    write_frequency(workdir / "class_frequency.tsv", NAMES, frequency)
    similarities = ClassSimilarities(head)
    similarities.add(features, labels, np.ones(len(labels), bool))
    values = neural_collapse(features, labels, head)._asdict() | similarities.result()._asdict()
    calibration = synthetic_calibration(confusion, rng)
    write_evaluations(workdir, sets, confusion, frequency, None, values, calibration)
    for name in sets:
        for key, array in {"features": features, "labels": labels, "head": head}.items():
            save_array(evaluation_directory(workdir, name) / f"{key}.npy", array)


def write_sheet(path, columns, *rows):
    path.write_text("\n".join("\t".join(map(str, row)) for row in (columns.split(), *rows)))
    return path


def entries(folder, columns, *rows):
    """The entries of a sheet in a folder, which must have the first two of its columns."""
    return read_sheet(write_sheet(folder / "sheet.tsv", columns, *rows), columns.split()[:2])


def make(directory):
    directory.mkdir(parents=True, exist_ok=True)
    return directory
