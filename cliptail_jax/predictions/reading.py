"""Files of predictions: tables with a label and a prediction per example, and arrays of predictions, logits or probabilities.

Tables are CSV, TSV, Parquet or JSON lines, each also gzipped. Arrays are .npz files with names, or single arrays in .npy files.
Pickled objects are refused, because reading them runs code.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from cliptail_jax.concepts.captions import columns_of, read_rows, suffix
from cliptail_jax.concepts.frequency_tables import read_frequency
from cliptail_jax.concepts.readers import FORMATS
from cliptail_jax.errors import UserError, did_you_mean, first_line
from cliptail_jax.predictions.classes import NUMBER, ClassTable, counted, table_of, text_of

TABLES = tuple(name for name, of in FORMATS.items() if of.rows)
LABEL, PREDICTION = "label", "prediction"
LOGITS, PROBABILITIES = "logits", "probabilities"
# What other programs call these columns and arrays: they are suggested, and not taken without being named.
NEAR = {
    LABEL: ("labels", "target", "targets", "class", "true", "truth", "y", "y_true", "true_label", "gt"),
    PREDICTION: ("predictions", "pred", "preds", "predicted", "y_pred", "predicted_label", "predicted_class"),
}
NAMES_OF_CLASSES = ("names", "class_names", "categories", "classnames")
COUNTS = ("count", "frequency", "images", "n")
CHUNK = 1 << 22  # numbers that are checked at once
ROUNDING = 2e-3  # by which the probabilities of an example may differ from a sum of 1, as 16-bit floats do


class ColumnNames(NamedTuple):
    """The names of the columns of tables, or of the arrays of .npz files."""

    label: str = LABEL
    prediction: str = PREDICTION


class PredictionFile(NamedTuple):
    """The content of a file of predictions.

    Attributes:
        labels: the true class of each example, by name or number.
        predictions: the predicted class of each example; None for logits.
        logits: or log-probabilities; None for predictions.
        classes: the names of the columns of the logits; None if the file has none.
        keys: the file name of each example, if it is known.
        left_out: the number of examples without a label.
        are_probabilities: whether the logits were probabilities.
    """

    path: str
    labels: Sequence[Any]
    predictions: Sequence[Any] | None
    logits: Float[np.ndarray, "example class"] | None = None
    classes: tuple[str, ...] | None = None
    keys: Sequence[str] | None = None
    left_out: int = 0
    are_probabilities: bool = False


def read_predictions(
    path: str, columns: ColumnNames = ColumnNames(), labels: Sequence[Any] | None = None
) -> PredictionFile:
    """Read a file of predictions.

    Args:
        labels: those of the examples, for a file without.

    Raises:
        UserError: the file cannot be read, has another form, lacks labels or predictions, or has nan.
    """
    if suffix(path) in TABLES:
        found = read_table(path, columns, labels)
    elif suffix(path) in (".npy", ".npz") and not path.endswith(".gz"):
        found = read_arrays_of(path, columns, labels)
    else:
        raise UserError(
            f"{path} is no file of predictions by its name: they end in {', '.join((*TABLES, '.npy', '.npz'))}"
        )
    return without_unlabelled(found)


def read_table(path: str, columns: ColumnNames, labels: Sequence[Any] | None) -> PredictionFile:
    has = list(columns_of(path))
    wanted = [column_of(path, has, PREDICTION, columns.prediction)]
    if labels is None:
        wanted.append(column_of(path, has, LABEL, columns.label))
    keys = [name for name in ("filename", "filepath", "path") if name in has][:1]
    rows = [tuple(row.values()) for row in read_rows(path, [*wanted, *keys])]
    if not rows:
        raise UserError(f"{path} has no rows: it must have a row for each example")
    found = dict(zip([*wanted, *keys], zip(*rows)))
    missing = [number for number, value in enumerate(found[wanted[0]], 1) if is_missing(value)]
    if missing:
        raise UserError(
            f"{path} has no {wanted[0]} in row {missing[0]:,} and {len(missing) - 1:,} more: fill or remove them"
        )
    own = found[wanted[1]] if labels is None else labels
    check_length(path, own, found[wanted[0]])
    names = found[keys[0]] if keys else [None]
    return PredictionFile(path, own, found[wanted[0]], keys=None if None in names else [*map(text_of, names)])


def column_of(path: str, has: Sequence[str], what: str, name: str) -> str:
    """The name of a column, if the file has it. Raises UserError, with the columns that may be meant."""
    if name in has:
        return name
    check_header(path, has, f"{LABEL},{PREDICTION}")
    near = [other for other in has if other.lower() in NEAR[what]]
    hint = f" (did you mean {' or '.join(near)}?)" if near else did_you_mean(name, has)
    raise UserError(
        f"{path} has no '{name}'{hint}; it has {', '.join(has) or 'none'}: name it with --{what}_column=NAME"
    )


def check_header(path: str, has: Sequence[str], header: str) -> None:
    """Raise UserError if the columns of a table have numbers as names, as if it has no line with their names."""
    if numbers := [name for name in has if NUMBER.fullmatch(name)]:
        raise UserError(
            f"{path} has a column named '{numbers[0]}', as its first line is read as the names of its columns: put the line "
            f"{header} above it"
        )


def is_missing(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float | np.floating) and bool(np.isnan(value)))


def read_arrays_of(path: str, columns: ColumnNames, labels: Sequence[Any] | None) -> PredictionFile:
    arrays = load(path)
    if not isinstance(arrays, dict):  # of an .npy file
        arrays = named_array(path, arrays, labels is not None, columns)
    classes = arrays.get("classes")
    if unknown := [name for name in NAMES_OF_CLASSES if name in arrays and name not in columns]:
        raise UserError(f"{path} has an array '{unknown[0]}', which is not read: class names are an array 'classes'")
    names = None if classes is None else tuple(map(text_of, classes.tolist()))
    own = labels
    if own is None and columns.label == LABEL and "labels" in arrays:
        own = arrays["labels"]
    if own is None:
        if not any(name in arrays for name in (columns.label, *NEAR[LABEL])):
            raise UserError(
                f"{path} has no labels (it has {', '.join(arrays)}): add an array 'labels' with the true class of each "
                "example, or give them as --labels=FILE"
            )
        own = arrays[column_of(path, list(arrays), LABEL, columns.label)]
    keys = arrays.get("filenames")
    scores = next((name for name in (LOGITS, PROBABILITIES) if name in arrays), None)
    if scores is None:
        plural = columns.prediction == PREDICTION and "predictions" in arrays
        scores = "predictions" if plural else column_of(path, list(arrays), PREDICTION, columns.prediction)
    values = arrays[scores]
    check_length(path, own, values)
    own = named(own, names, path)
    keys = None if keys is None else [text_of(key) for key in keys.tolist()]
    if values.ndim == 1:
        return PredictionFile(path, own, named(values, names, path), keys=keys)
    if values.ndim != 2 or values.dtype.kind != "f":
        raise UserError(
            f"'{scores}' of {path} has the shape {list(values.shape)} and the type {values.dtype}: predictions are "
            "[example], and logits or probabilities floats [example, class]"
        )
    logits, are_probabilities = checked_logits(path, values)
    return PredictionFile(path, own, None, logits, names, keys, are_probabilities=are_probabilities)


def named(values: Sequence[Any], classes: Sequence[str] | None, path: str) -> Sequence[Any]:
    """The values, with numbers that are indices of the file's own `classes`, if it has any, replaced by their names."""
    array = np.asarray(values)
    if classes is None or array.dtype.kind not in "iu" or {*map(str, np.unique(array))} <= {*classes}:
        return values
    if array.min(initial=0) < 0 or array.max(initial=0) >= len(classes):
        wrong = array[(array < 0) | (array >= len(classes))][0]
        raise UserError(
            f"{path} has the label {wrong}, and its array 'classes' names {len(classes):,}: it must be an index"
        )
    return np.array(classes)[array]


def load(path: str) -> np.ndarray | dict[str, np.ndarray]:
    """The array of an .npy file, or the arrays of an .npz file by name."""
    try:
        found = np.load(path, allow_pickle=False)
        return dict(found) if isinstance(found, np.lib.npyio.NpzFile) else found
    except FileNotFoundError:
        raise UserError(f"there is no file {path}") from None
    except Exception as error:  # NumPy raises exceptions of many kinds for a damaged file
        if "pickle" in str(error).lower():
            raise UserError(
                f"{path} contains pickled objects, which can run code and are not read: save arrays of numbers or text"
            ) from None
        raise UserError(
            f"{path} cannot be read as arrays ({first_line(error)}): write it with numpy.save or numpy.savez"
        ) from None


def named_array(path: str, array: np.ndarray, has_labels: bool, columns: ColumnNames) -> dict[str, np.ndarray]:
    """The content of an .npy file by name: two columns of classes are labels and predictions, and floats are logits."""
    if array.dtype.names:
        return {name: array[name] for name in array.dtype.names}
    if array.ndim == 2 and array.dtype.kind == "f":
        return {LOGITS: array}
    if array.ndim == 2 and array.shape[1] == 2 and not has_labels:
        return {columns.label: array[:, 0], columns.prediction: array[:, 1]}
    return {columns.prediction: array}


def checked_logits(
    path: str, values: Float[np.ndarray, "example class"]
) -> tuple[Float[np.ndarray, "example class"], bool]:
    """The logits, and whether they were probabilities, whose logarithms they are. Raises UserError for nan and infinity."""
    rows = max(CHUNK // max(values.shape[1], 1), 1)
    are_probabilities = True
    for start in range(0, len(values), rows):
        block = values[start : start + rows]
        largest = block.max(axis=1)  # nan if one is
        if not np.isfinite(largest).all():
            row = start + int(np.flatnonzero(~np.isfinite(largest))[0])
            what = (
                "NaN" if np.isnan(values[row]).any() else "no finite value" if (values[row] < 0).all() else "infinity"
            )
            raise UserError(
                f"{path} has {what} in the logits of example {row:,} (from 0): find out why the model computes it"
            )
        if are_probabilities:
            sums = block.sum(axis=1, dtype=np.float64)
            are_probabilities = bool(block.min() >= 0 and np.all(np.abs(sums - 1) < ROUNDING))
    if are_probabilities:
        with np.errstate(divide="ignore"):
            values = np.log(values.astype(np.result_type(values.dtype, np.float32), copy=False))
    return values, are_probabilities


def check_length(path: str, labels: Sequence[Any], predictions: Sequence[Any]) -> None:
    if len(labels) != len(predictions):
        raise UserError(
            f"{path} has {len(predictions):,} predictions, and there are {len(labels):,} labels: give one of each"
        )
    if not len(labels):
        raise UserError(f"{path} has no examples")


def without_unlabelled(found: PredictionFile) -> PredictionFile:
    """The file without examples that have no label. Raises UserError if none has one."""
    if isinstance(found.labels, np.ndarray) and found.labels.dtype.kind in "iub":
        return found
    known = np.array([not is_missing(label) for label in found.labels])
    if known.all():
        return found
    if not known.any():
        raise UserError(f"{found.path} has no label of any example: without true classes, nothing can be measured")
    rows = np.flatnonzero(known)

    def kept(values: Any) -> Any:
        if values is None:
            return None
        return values[known] if isinstance(values, np.ndarray) else [values[row] for row in rows]

    return found._replace(
        labels=kept(found.labels),
        predictions=kept(found.predictions),
        logits=kept(found.logits),
        keys=kept(found.keys),
        left_out=int((~known).sum()),
    )


def read_labels(path: str, column: str = LABEL) -> Sequence[Any]:
    """The labels of a table, or of an .npy or .npz file."""
    if suffix(path) in TABLES:
        name = column_of(path, list(columns_of(path)), LABEL, column)
        return [row[name] for row in read_rows(path, [name])]
    arrays = load(path)
    if not isinstance(arrays, dict):
        return arrays
    return (
        arrays["labels"]
        if column == LABEL and "labels" in arrays
        else arrays[column_of(path, list(arrays), LABEL, column)]
    )


def read_class_table(path: str) -> ClassTable:
    """The class frequency in a file: name, tab and count, as this package writes it, or a table with these two columns.

    Raises UserError if it cannot be read, or is no such table.
    """
    if suffix(path) not in TABLES or suffix(path) == ".tsv" and not path.endswith(".gz"):
        names, counts = read_frequency(Path(path))
        return table_of(names, counts, path)
    has = list(columns_of(path))
    count = next((name for name in has if name.lower() in COUNTS), None)
    others = [name for name in has if name != count]
    if count is None:
        check_header(path, has, "class,count")
    if count is None or len(others) != 1:
        raise UserError(
            f"{path} is not a table of class frequencies: it has the columns {', '.join(has)}, and must have two, the class "
            "and its count"
        )
    rows = list(read_rows(path, [others[0], count]))
    return table_of([row[others[0]] for row in rows], [whole(row[count], path) for row in rows], path)


def whole(value: Any, path: str) -> int:
    try:
        if (number := int(value)) == float(value):
            return number
    except (TypeError, ValueError):
        pass
    raise UserError(f"{path} has the count {value!r}, which is no whole number")


def read_training_labels(path: str, column: str = LABEL) -> ClassTable:
    """The class frequency of the training images whose labels are in a file, in `column` or else in 'label'."""
    if suffix(path) in TABLES and column not in (has := columns_of(path)) and LABEL in has:
        column = LABEL
    return counted((label for label in read_labels(path, column) if not is_missing(label)), path)
