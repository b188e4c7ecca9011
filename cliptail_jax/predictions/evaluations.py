"""The evaluation of the predictions in a file, like that of a run, and what a reader must know of it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.text import shortened_list
from cliptail_jax.metrics.calibration import calibration, count_on_host
from cliptail_jax.metrics.groups import head_mid_tail
from cliptail_jax.metrics.measures import GROUPS, ClassResults
from cliptail_jax.predictions import adjustment
from cliptail_jax.predictions.classes import ClassTable, check_order, class_ids
from cliptail_jax.predictions.reading import (
    PredictionFile,
)
from cliptail_jax.results.evaluated import EvaluatedModel
from cliptail_jax.results.evaluation import ClassEvaluation, count_confusion
from cliptail_jax.results.run import PREDICTIONS

SET_NAME = "test"  # the name of the set of the examples
MIN_EXAMPLES = 2  # of a class: fewer hardly show its accuracy
MAX_NAMES = 5  # of classes in a note


class ClassNumbers(NamedTuple):
    """The content of a file by class numbers; the columns of logits are in the order of the class table.

    Attributes:
        columns: the class of each column of the logits in the file; None without logits.
    """

    labels: Int[np.ndarray, " example"]
    predicted: Int[np.ndarray, " example"]
    confidence: Float[np.ndarray, " example"] | None
    logits: Float[np.ndarray, "example class"] | None
    columns: Int[np.ndarray, " class"] | None


def class_numbers(content: PredictionFile, table: ClassTable) -> ClassNumbers:
    """The classes in a file. Raises UserError if a value is no class of the table, or logits have other classes."""
    path = content.path
    if content.logits is None:
        labels, predicted = class_ids(table, [content.labels, content.predictions], path)
        return ClassNumbers(labels, predicted, None, None, None)
    logits, classes = content.logits, len(table.names)
    if logits.shape[1] != classes:
        raise UserError(
            f"{path} has logits of {logits.shape[1]:,} classes, and {table.origin} lists {classes:,}: both must have the same, "
            "with 0 for a class without training images"
        )
    (ids,), columns = class_ids(table, [content.labels], path), np.arange(classes)
    if content.classes is None:
        check_order(table, f"the columns of the logits of {path} have no names")
    else:
        (columns,) = class_ids(table, [content.classes], path)
        if len(set(columns.tolist())) < classes:
            raise UserError(f"{path} has two columns for one class: name each column of the logits once in 'classes'")
        if not np.array_equal(columns, np.arange(classes)):
            logits = logits[:, np.argsort(columns)]
    predicted, confidence = adjustment.predict(logits)
    if content.predictions is not None:
        (stored_predictions,) = class_ids(table, [content.predictions], path)
        examples = np.arange(len(ids))  # of equal logits, any is the largest
        if num_wrong := np.count_nonzero(logits[examples, stored_predictions] < logits[examples, predicted]):
            raise UserError(
                f"{path} has {num_wrong:,} predictions that are not the class of the largest of its logits or probabilities: "
                "leave one of both out"
            )
    return ClassNumbers(ids, predicted, confidence, logits, columns)


def evaluation_of(
    labels: Int[np.ndarray, " example"],
    predicted: Int[np.ndarray, " example"],
    confidence: Float[np.ndarray, " example"] | None,
    table: ClassTable,
) -> ClassEvaluation:
    """The evaluation of predictions, like that of a run. `confidence` is in 0..1."""
    classes = len(table.names)
    confusion = count_confusion(labels, predicted, classes)
    counts = None if confidence is None else count_on_host(confidence, predicted == labels, labels, classes)
    results = ClassResults.from_confusion(
        confusion,
        frequency=table.frequency,
        groups=groups_of_classes(table),
        calibration=None if counts is None else calibration(counts),
    )
    share = results.predictions / max(len(labels), 1)
    return ClassEvaluation(SET_NAME, table.names, {}, results, confusion, share, predicted)


def groups_of_classes(table: ClassTable) -> dict[str, Int[np.ndarray, " _"]]:
    return dict(zip(GROUPS, head_mid_tail(table.frequency)))


def check_examples(labels: Int[np.ndarray, " example"], table: ClassTable, path: str) -> None:
    """Raise UserError if there are examples of fewer than two classes, or if most classes have only one example."""
    examples = np.bincount(labels, minlength=len(table.names))
    num_classes = int(np.count_nonzero(examples))
    num_small = int(np.sum(examples[examples > 0] < MIN_EXAMPLES))
    if num_classes < 2:
        raise UserError(
            f"{path} has examples of one class, and bias is between classes: measure examples of more classes"
        )
    if 2 * num_small > num_classes:
        raise UserError(
            f"odds_acc is undefined: {num_small:,} of the {num_classes:,} classes in {path} have fewer than {MIN_EXAMPLES} "
            "examples, which tell the accuracy of a class from chance; measure more examples of each class"
        )


def evaluated_model(
    name: str,
    seed: str,
    evaluation: ClassEvaluation,
    path: str,
    notes: Sequence[str],
    taus: Sequence[float] = (0.0,),
    without_prior: str = "",
) -> EvaluatedModel:
    """The evaluation of the predictions in a file, with notes on them.

    `taus` are the τ by which logits were adjusted, one or that of each half; `without_prior` is the recipe of a subtracted log-prior.
    """
    config = {
        "objective": PREDICTIONS,
        "eval.sets": [evaluation.set_name],
        PREDICTIONS: path,
        "eval.logit_adjustment": taus[0] if len(taus) == 1 else list(taus),
        "eval.without_prior": without_prior,
    }
    return EvaluatedModel(name, seed, evaluation, config, notes)


def reading_notes(content: PredictionFile, table: ClassTable) -> list[str]:
    """How a file was read, and what its numbers may be instead."""
    notes = []
    if content.num_unlabelled:
        notes.append(f"{number_of(content.num_unlabelled, 'example')} without a label left out")
    if content.labels_by_row:
        notes.append(
            f"Labels are those of {content.labels_by_row} in the order of the rows; a column 'filename' in both would join them"
        )
    if content.logits is not None:
        if content.are_probabilities:
            kind, reason = "probabilities", "add up to 1 within their rounding"
        else:
            kind, reason = "logits", "do not add up to 1, or have negative numbers"
        order = f", in the order of the classes of {table.origin}" if content.classes is None else ""
        notes.append(f"Read as {kind}, since rows {reason}{order}")
        if not content.are_probabilities and (doubt := doubt_of_logits(content.logits)):
            notes.append(doubt)
    return notes


def doubt_of_logits(logits: Float[np.ndarray, "example class"]) -> str:
    """What numbers that were read as logits may be instead; '' if nothing speaks against logits."""
    lowest, highest = float(np.nanmin(logits)), float(np.nanmax(logits))
    if -1 <= lowest and highest <= 1:
        return "All are from −1 to 1, as cosines are: multiply these by the scale of the training, such as 1 / 0.07"
    sums = logits.sum(axis=1)
    if lowest >= 0 and highest <= 100 and np.ptp(sums) <= 0.01 * sums.mean():
        return "All are from 0 to 100 with equal sums of rows, as percentages are: divide these by 100"
    return ""


def notes_on(content: PredictionFile, labels: Int[np.ndarray, " example"], table: ClassTable) -> list[str]:
    """Facts on how a file was read, and on its classes and examples, that a reader must know."""
    notes = reading_notes(content, table)
    examples = np.bincount(labels, minlength=len(table.names))
    for counts, noun in ((examples, "test example"), (table.frequency, "training image")):
        if names := [table.names[number] for number in np.flatnonzero(counts == 0)]:
            notes.append(
                f"{number_of(len(names), 'class')} without a {noun}, which slopes and f50 leave out: "
                f"{shortened_list(names, MAX_NAMES)}"
            )
    if len(set(table.frequency.tolist())) == 1:
        notes.append("All classes have equally many training images: there is no bias towards frequent ones to measure")
    return notes


def number_of(number: int, noun: str) -> str:
    """'1 class', '2 classes'."""
    return f"{number:,} {noun}{'' if number == 1 else 'es' if noun.endswith('s') else 's'}"
