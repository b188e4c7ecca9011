"""The arguments of `measure` and `forecast`, in the form of a file of predictions."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from cliptail_jax.host.arrays import as_array
from cliptail_jax.host.errors import UserError
from cliptail_jax.predictions.classes import ClassTable, class_table, text_of
from cliptail_jax.predictions.probabilities import checked_logits
from cliptail_jax.predictions.reading import (
    PredictionFile,
    check_length,
    one_each,
    with_class_names,
    without_unlabelled,
)

NO_REAL_NUMBERS = "cSUOMm"  # NumPy's kinds of complex numbers, texts, objects and times


def predictions_in_memory(
    labels: Sequence[Any],
    predictions: Sequence[Any],
    frequency: Mapping[Any, int] | Sequence[int],
    classes: Sequence[Any] | None,
) -> tuple[PredictionFile, ClassTable]:
    """The examples with labels, and the classes, from the arguments of `measure`, which raises these errors."""
    for argument, value in (
        ("labels", labels),
        ("predictions", predictions),
        ("classes", () if classes is None else classes),
    ):
        check_list(argument, value, "give a list or an array")
    if not isinstance(frequency, Mapping):
        check_list(
            "frequency", frequency, "give a mapping from each class to its number of images, or a list in class order"
        )
        if not hasattr(frequency, "__len__"):
            raise TypeError(f"frequency is of the type {type(frequency).__name__}: give one number for each class")
    if getattr(frequency, "ndim", 1) != 1:
        raise UserError(f"frequency has the shape {list(frequency.shape)}: give one number for each class, [class]")
    counts = frequency.to_dict() if hasattr(frequency, "to_dict") else frequency
    if hasattr(counts, "__array__"):  # the numbers of a tensor are tensors
        counts = np.asarray(counts).tolist()
    # A Counter or a Series of counts has its classes in the order of the data or of the counts, not in that of any logits.
    table = class_table(counts, "frequency", is_open=isinstance(counts, Counter) or hasattr(frequency, "to_dict"))
    columns = None if classes is None else tuple(map(text_of, classes))
    true_labels = with_class_names(as_values(one_each("predictions", "labels", labels)), columns, "predictions")
    values = as_array("the predictions", predictions)
    if values.ndim == 2 and values.shape[1] > 1:
        check_length("predictions", true_labels, values)
        if values.dtype.kind in NO_REAL_NUMBERS:
            raise TypeError(
                f"predictions [{len(values):,}, {values.shape[1]:,}] have the type {values.dtype}: logits and probabilities "
                "[example, class] are real numbers, and predicted classes are one of each example"
            )
        floats = values.astype(np.result_type(values.dtype, np.float16), copy=False)
        logits, are_probabilities = checked_logits("predictions", floats)
        content = PredictionFile("predictions", true_labels, None, logits, columns, are_probabilities=are_probabilities)
    else:
        values = with_class_names(as_values(one_each("predictions", "predictions", values)), columns, "predictions")
        check_length("predictions", true_labels, values)
        content = PredictionFile("predictions", true_labels, values)
    return without_unlabelled(content), table


def check_list(argument: str, value: Any, remedy: str) -> None:
    """Raise TypeError for an argument that is neither a list nor an array, or whose masked values would count."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{argument} is a masked array, whose masked values would count: leave them out, and {remedy}")
    is_list = isinstance(value, Sequence) and not isinstance(value, str | bytes) or hasattr(value, "__array__")
    if value is None or isinstance(value, Iterable) and not is_list:
        raise TypeError(f"{argument} is of the type {type(value).__name__}: {remedy}")


def as_values(array: np.ndarray) -> Sequence[Any]:
    """The values: an array of numbers or text as it is, and others as a list."""
    return array if array.dtype.kind in "iuU" else array.tolist()
