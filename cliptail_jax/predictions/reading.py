"""Files of predictions: tables with a label and a prediction for each example, and arrays of predictions or logits.

Tables are CSV, TSV, Parquet or JSON lines, gzipped or not. Arrays are in .npz files, by name, or in .npy files. Pickled objects
are refused, because reading them can run code.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.concepts.captions import columns_of, read_rows, suffix
from cliptail_jax.formats.frequency_tables import read_frequency
from cliptail_jax.formats.readers import FORMATS, TEXT
from cliptail_jax.host.arrays import as_array
from cliptail_jax.host.errors import UserError, did_you_mean, first_line
from cliptail_jax.predictions.classes import NUMBER, ClassTable, are_from_zero, count_labels, key_of, table_of, text_of
from cliptail_jax.predictions.joining import KEYS, Labels, likeliest_keys
from cliptail_jax.predictions.probabilities import checked_logits

TABLE_SUFFIXES = tuple(name for name, file_format in FORMATS.items() if file_format.rows)
SUFFIXES = (*TABLE_SUFFIXES, ".npy", ".npz")
LABEL, PREDICTION = "label", "prediction"
LOGITS, PROBABILITIES = "logits", "probabilities"
# Names of these columns and arrays in files of other programs. Errors suggest them; they are read only if a flag names them, but
# for the arrays 'labels' and 'predictions'.
SIMILAR_NAMES = {
    LABEL: ("labels", "target", "targets", "class", "true", "truth", "y", "y_true", "true_label", "gt"),
    PREDICTION: ("predictions", "pred", "preds", "predicted", "y_pred", "predicted_label", "predicted_class"),
}
NAMES_OF_CLASSES = ("names", "class_names", "categories", "classnames")
COUNTS = ("count", "frequency", "images", "n")


class ColumnNames(NamedTuple):
    """The names of the columns of tables, or of the arrays of .npz files."""

    label: str = LABEL
    prediction: str = PREDICTION


class PredictionFile(NamedTuple):
    """The content of a file of predictions.

    Attributes:
        labels: the true class of each example, by name or number.
        predictions: the predicted class of each example; None for logits, unless the file has both.
        logits: logits or log-probabilities; None for predictions.
        classes: the names of the columns of the logits; None if the file has none.
        keys: the file name of each example; None if they are unknown.
        num_unlabelled: the number of examples without a label, which are left out.
        are_probabilities: whether the file has probabilities instead of logits.
        labels_by_row: the file whose labels were joined by row; '' if there is none.
    """

    path: str
    labels: Sequence[Any]
    predictions: Sequence[Any] | None
    logits: Float[np.ndarray, "example class"] | None = None
    classes: tuple[str, ...] | None = None
    keys: Sequence[str] | None = None
    num_unlabelled: int = 0
    are_probabilities: bool = False
    labels_by_row: str = ""


def read_predictions(path: str, columns: ColumnNames = ColumnNames(), labels: Labels | None = None) -> PredictionFile:
    """Read a file of predictions.

    Args:
        labels: the labels of the examples, if the file has none; joined by file name, if both files have these, or else by row.

    Raises:
        UserError: the file cannot be read, has another form, lacks labels or predictions, or has nan.
    """
    if suffix(path) in TABLE_SUFFIXES:
        file = read_table(path, columns, labels)
    elif suffix(path) in (".npy", ".npz") and not path.endswith(".gz"):
        file = read_arrays_of(path, columns, labels)
    else:
        raise UserError(f"{path} is no file of predictions by its name: they end in {', '.join(SUFFIXES)}")
    return without_unlabelled(file)


def read_table(path: str, columns: ColumnNames, labels: Labels | None) -> PredictionFile:
    names = list(columns_of(path))
    required_names = [column_of(path, names, PREDICTION, columns.prediction)]
    if labels is None or columns.label in names:
        labels = None  # those of the file replace those of --labels
        required_names.append(column_of(path, names, LABEL, columns.label))
    main_columns, other_columns = read_columns(path, required_names, only_keys=labels is None)
    predictions = main_columns[required_names[0]]
    if not predictions:
        raise UserError(f"{path} has no rows: it must have a row for each example")
    empty_rows = [number for number, value in enumerate(predictions, 1) if is_missing(value)]
    if empty_rows:
        raise UserError(
            f"{path} has no {required_names[0]} in row {empty_rows[0]:,} and {len(empty_rows) - 1:,} more: fill or remove "
            "them"
        )
    values, labels_by_row = labels.join(path, other_columns) if labels else (main_columns[required_names[1]], "")
    check_length(path, values, predictions)
    return PredictionFile(path, values, predictions, keys=likeliest_keys(other_columns), labels_by_row=labels_by_row)


def read_columns(path: str, names: Sequence[str], only_keys: bool) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """Columns of a table, and its other columns of texts or whole numbers, or only those of file names."""
    texts = [name for name, kind in columns_of(path).items() if kind == TEXT or re.match("u?int", kind)]
    keys = [name for name in KEYS if name in texts and name not in names]
    other_names = keys if only_keys else [name for name in texts if name not in names]
    for candidates in (other_names, keys, []):
        try:
            rows = list(read_rows(path, [*names, *candidates]))
            break
        except UserError:  # rows of JSON may lack columns other than `names`
            if not candidates:
                raise
    return tuple({name: [row[name] for row in rows] for name in group} for group in (names, candidates))


def columns_in(path: str, arrays: Mapping[str, np.ndarray], examples: int) -> dict[str, list[Any]]:
    """The arrays with a text or whole number for each example. 'filenames' is the column 'filename'."""
    columns = {name: array.tolist() for name, array in arrays.items() if array.ndim == 1 and array.dtype.kind in "USiu"}
    columns = {name: values for name, values in columns.items() if len(values) == examples}
    if "filenames" in arrays:
        file_names = columns["filename"] = one_each(path, "filenames", arrays["filenames"]).tolist()
        if len(file_names) != examples:
            raise UserError(f"{path} has {len(file_names):,} file names, and {examples:,} examples: give one of each")
    return columns


def column_of(path: str, names: Sequence[str], kind: str, name: str) -> str:
    """`name`, the column of this kind, if the file has it. Otherwise raises UserError and suggests similar names."""
    if name in names:
        return name
    check_header(path, names, f"{LABEL},{PREDICTION}")
    similar_names = [other for other in names if other.lower() in SIMILAR_NAMES[kind]]
    hint = f" (did you mean {' or '.join(similar_names)}?)" if similar_names else did_you_mean(name, names)
    raise UserError(
        f"{path} has no '{name}'{hint}; it has {', '.join(names) or 'none'}: name it with --{kind}_column=NAME"
    )


def check_header(path: str, names: Sequence[str], header: str) -> None:
    """Raise UserError if the names of columns are numbers: the table probably has no line with names."""
    if numbers := [name for name in names if NUMBER.fullmatch(name)]:
        raise UserError(
            f"{path} has a column named '{numbers[0]}', as its first line is read as the names of its columns: put the line "
            f"{header} above it"
        )


def is_missing(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float | np.floating) and bool(np.isnan(value)))


def read_arrays_of(path: str, columns: ColumnNames, labels: Labels | None) -> PredictionFile:
    arrays = load(path)
    if not isinstance(arrays, dict):  # that of an .npy file
        arrays = array_by_name(path, arrays, labels is not None, columns)
    if ignored_names := [name for name in NAMES_OF_CLASSES if name in arrays and name not in columns]:
        raise UserError(
            f"{path} has an array '{ignored_names[0]}', which is not read: class names are an array 'classes'"
        )
    if LOGITS in arrays and PROBABILITIES in arrays:
        raise UserError(f"{path} has both logits and probabilities: leave one of both out")
    classes = tuple(map(text_of, arrays["classes"].tolist())) if "classes" in arrays else None
    is_plural = columns.prediction == PREDICTION and "predictions" in arrays
    prediction_name = "predictions" if is_plural else columns.prediction
    score_name = next((name for name in (LOGITS, PROBABILITIES, prediction_name) if name in arrays), None)
    scores = arrays[score_name or column_of(path, list(arrays), PREDICTION, columns.prediction)]
    other_columns, labels_by_row = columns_in(path, arrays, len(np.atleast_1d(scores))), ""
    values = arrays.get("labels") if columns.label == LABEL else None
    if values is None and labels and columns.label not in arrays:
        values, labels_by_row = labels.join(path, other_columns)
    if values is None:
        if not any(name in arrays for name in (columns.label, *SIMILAR_NAMES[LABEL])):
            raise UserError(
                f"{path} has no labels (it has {', '.join(arrays)}): add an array 'labels' with the true class of each "
                "example, or give them as --labels=FILE"
            )
        values = arrays[column_of(path, list(arrays), LABEL, columns.label)]
    values = one_each(path, "labels", values)
    if score_name not in (LOGITS, PROBABILITIES):
        scores = one_each(path, score_name, scores)
    check_length(path, values, scores)
    values = with_class_names(values, classes, path)
    file = PredictionFile(path, values, None, None, classes, likeliest_keys(other_columns), labels_by_row=labels_by_row)
    if prediction_name in arrays:
        predictions = one_each(path, prediction_name, arrays[prediction_name])
        check_length(path, values, predictions)
        file = file._replace(predictions=with_class_names(predictions, classes, path))
    if score_name not in (LOGITS, PROBABILITIES):
        return file._replace(classes=None)
    if scores.ndim != 2 or scores.dtype.kind != "f" or not scores.shape[1]:
        raise UserError(
            f"'{score_name}' of {path} has the shape {list(scores.shape)} and the type {scores.dtype}: predictions are "
            "[example], and logits or probabilities floats [example, class]"
        )
    logits, are_probabilities = checked_logits(path, scores, score_name == PROBABILITIES)
    return file._replace(logits=logits, are_probabilities=are_probabilities)


def with_class_names(values: Sequence[Any], classes: Sequence[str] | None, path: str) -> Sequence[Any]:
    """The values, where names replace the numbers that are indices of the file's array `classes`, if it has one.

    Numbers may also be text or floats. Raises UserError for a number that is no index, and for integers that are names and also
    indices of other classes, as with the folders 0, 1, 10, 2.
    """
    if classes is None:
        return values
    array = np.asarray(values)
    if array.dtype.kind == "O":  # None cannot be sorted
        array = np.array(["" if is_missing(value) else text_of(value) for value in array])
    distinct, inverse = np.unique(array, return_inverse=True)
    texts = ["" if is_missing(value) else text_of(value) for value in distinct.tolist()]
    keys, labels = [*map(key_of, classes)], [text for text in texts if text]
    if not {*keys}.isdisjoint(map(key_of, labels)):
        are_indices = are_from_zero(keys) and {*labels} <= {*keys}
        if distinct.dtype.kind in "iuf" and are_indices and any(keys[int(label)] != label for label in labels):
            raise UserError(
                f"{path} has numbers as labels or predictions, which are names and other indices of its array 'classes' "
                f"({', '.join(classes[:4])}, ...): save them as text if they are names"
            )
        return values
    if not all(re.fullmatch(r"-?\d+", label) for label in labels):
        return values
    if wrong_labels := [label for label in labels if not 0 <= int(label) < len(classes)]:
        raise UserError(
            f"{path} has the label {wrong_labels[0]}, and its array 'classes' names {len(classes):,}: it must be an index"
        )
    return np.array([classes[int(text)] if text else "" for text in texts])[inverse]


def one_each(path: str, name: str, values: Any) -> np.ndarray:
    """The values as an array [example]; the shape may also be [example, 1]. Raises UserError for another shape."""
    array = as_array(f"the {name} of {path}", values)
    if array.ndim == 2 and array.shape[1] == 1:
        return array[:, 0]
    if array.ndim != 1:
        raise UserError(f"the {name} of {path} have the shape {list(array.shape)}: give one of each example, [example]")
    return array


def load(path: str) -> np.ndarray | dict[str, np.ndarray]:
    """The array of an .npy file, or the arrays of an .npz file by name."""
    if Path(path).exists() and not Path(path).is_file():
        raise UserError(f"{path} is no file: save the arrays in one, since they are read more than once")
    try:
        content = np.load(path, allow_pickle=False)
        if not isinstance(content, np.lib.npyio.NpzFile):
            return content
        arrays = {name: content[name] for name in content}
        if other_members := [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]:
            raise UserError(f"{path} contains '{other_members[0]}', which is no array: write it with numpy.savez")
        return arrays
    except UserError:
        raise
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


def array_by_name(path: str, array: np.ndarray, has_labels: bool, columns: ColumnNames) -> dict[str, np.ndarray]:
    """The content of an .npy file by name: two columns of classes are labels and predictions, and floats are logits."""
    if array.dtype.names:
        return {name: array[name] for name in array.dtype.names}
    are_classes = array.dtype.kind != "f" or np.array_equal(array, np.floor(array))
    if array.ndim == 2 and array.shape[1] == 2 and not has_labels and are_classes:
        return {columns.label: array[:, 0], columns.prediction: array[:, 1]}
    if array.ndim == 2 and array.dtype.kind == "f":
        return {LOGITS: array}
    return {columns.prediction: array}


def check_length(path: str, labels: Sequence[Any], predictions: Sequence[Any]) -> None:
    if len(labels) != len(predictions):
        raise UserError(
            f"{path} has {len(predictions):,} predictions, and there are {len(labels):,} labels: give one of each"
        )
    if not len(labels):
        raise UserError(f"{path} has no examples")


def without_unlabelled(file: PredictionFile) -> PredictionFile:
    """The file without the examples that have no label. Raises UserError if no example has one."""
    if isinstance(file.labels, np.ndarray) and file.labels.dtype.kind in "iub":
        return file
    has_label = np.array([not is_missing(label) for label in file.labels])
    if has_label.all():
        return file
    if not has_label.any():
        raise UserError(f"{file.path} has no label of any example: without true classes, nothing can be measured")
    return with_rows(file, np.flatnonzero(has_label))._replace(num_unlabelled=int((~has_label).sum()))


def with_rows(file: PredictionFile, rows: Int[np.ndarray, " row"]) -> PredictionFile:
    """The file with these of its examples, in this order."""

    def select(values: Any) -> Any:
        if values is None:
            return None
        return values[rows] if isinstance(values, np.ndarray) else [values[row] for row in rows]

    return file._replace(
        labels=select(file.labels),
        predictions=select(file.predictions),
        logits=select(file.logits),
        keys=select(file.keys),
    )


def read_labels(path: str, column: str = LABEL) -> Labels:
    """The labels of a table, or of an .npy or .npz file."""
    if suffix(path) in TABLE_SUFFIXES:
        name = column_of(path, list(columns_of(path)), LABEL, column)
        labels, other_columns = read_columns(path, [name], only_keys=False)
        return Labels(path, labels[name], other_columns)
    if suffix(path) not in (".npy", ".npz"):
        raise UserError(
            f"{path} is no file of labels by its name: they end in {', '.join(SUFFIXES)}, and tables begin "
            f"with a line of column names, such as {LABEL}"
        )
    arrays = load(path)
    if not isinstance(arrays, dict):
        return Labels(path, one_each(path, "labels", arrays))
    is_plural = column == LABEL and "labels" in arrays
    values = one_each(path, "labels", arrays["labels" if is_plural else column_of(path, list(arrays), LABEL, column)])
    return Labels(path, values, columns_in(path, arrays, len(values)))


def read_class_table(path: str) -> ClassTable:
    """The class frequency in a file: lines of name, tab and count, as this package writes it, or a table with two columns.

    Raises UserError if the file cannot be read or is no such table.
    """
    if suffix(path) not in TABLE_SUFFIXES or suffix(path) == ".tsv" and not path.endswith(".gz"):
        names, counts = read_frequency(Path(path))
        return table_of(names, counts, path)
    names = list(columns_of(path))
    count = next((name for name in names if name.lower() in COUNTS), None)
    class_columns = [name for name in names if name != count]
    if count is None:
        check_header(path, names, "class,count")
    if count is None or len(class_columns) != 1:
        raise UserError(
            f"{path} is not a table of class frequencies: it has the columns {', '.join(names)}, and must have two, the class "
            "and its count"
        )
    rows = list(read_rows(path, [class_columns[0], count]))
    return table_of([row[class_columns[0]] for row in rows], [count_of(row[count], path) for row in rows], path)


def count_of(value: Any, path: str) -> int:
    try:
        if (number := int(value)) == float(value):
            return number
    except (TypeError, ValueError, OverflowError):
        pass
    raise UserError(f"{path} has the count {value!r}, which is no whole number")


def read_training_labels(path: str, column: str = LABEL) -> ClassTable:
    """The class frequency of the training images whose labels are in a file, in `column` or else in 'label'."""
    if suffix(path) in TABLE_SUFFIXES and column not in (names := columns_of(path)) and LABEL in names:
        column = LABEL
    return count_labels((label for label in read_labels(path, column).values if not is_missing(label)), path)
