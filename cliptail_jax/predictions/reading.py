"""Files of predictions: tables with a label and a prediction per example, and arrays of predictions, logits or probabilities.

Tables are CSV, TSV, Parquet or JSON lines, each also gzipped. Arrays are .npz files with names, or single arrays in .npy files.
Pickled objects are refused, because reading them runs code.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from cliptail_jax.concepts.captions import columns_of, read_rows, suffix
from cliptail_jax.formats.frequency_tables import read_frequency
from cliptail_jax.formats.readers import FORMATS, TEXT
from cliptail_jax.host.errors import UserError, did_you_mean, first_line
from cliptail_jax.predictions.classes import NUMBER, ClassTable, are_from_zero, counted, key_of, table_of, text_of

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
BFLOAT16, FLOAT16 = 8, 11  # significant bits
MOST_ROUNDING = 0.05  # by which rounded probabilities may differ from a sum of 1: more changes calibration
NEARLY_ONE = 0.5  # numbers from 0 to 1 whose sums differ from 1 by less are hardly logits
KEYS = (
    "filename",
    "filepath",
    "path",
    "image_path",
    "image",
    "file",
    "name",
)  # columns of file names, the likeliest first


class ColumnNames(NamedTuple):
    """The names of the columns of tables, or of the arrays of .npz files."""

    label: str = LABEL
    prediction: str = PREDICTION


class Labels(NamedTuple):
    """The labels of examples in a file of their own, and its other columns of texts or whole numbers, by name."""

    path: str
    values: Sequence[Any]
    columns: Mapping[str, Sequence[Any]] = {}

    def of(self, path: str, columns: Mapping[str, Sequence[Any]]) -> tuple[Sequence[Any], str]:
        """The labels of the examples of a file with these columns, joined by file name; or else by row, and the path of this file.

        Raises:
            UserError: an example has no label here, or two; or file names are unknown, and both files have another column that
                may identify the examples.
        """
        keys, own_keys = keys_of(columns), keys_of(self.columns)
        if not keys or not own_keys:
            check_no_shared_column(path, columns, self.path, self.columns)
            return self.values, self.path
        common = [name for name in keys if name in own_keys]
        name, own_name = (common or [*keys])[0], (common or [*own_keys])[0]
        label_of = dict(zip(own_keys[own_name], self.values))
        if len(label_of) < len(self.values):
            raise UserError(
                f"{self.path} has a file name more than once in '{own_name}': give each example one label, or rename that column "
                "if it has no file names"
            )
        if missing := [key for key in keys[name] if key not in label_of]:
            raise UserError(f"{self.path} has no label of {missing[0]}, and of {len(missing) - 1:,} more: add them")
        return [label_of[key] for key in keys[name]], ""


class PredictionFile(NamedTuple):
    """The content of a file of predictions.

    Attributes:
        labels: the true class of each example, by name or number.
        predictions: the predicted class of each example; None for logits, unless the file has both.
        logits: or log-probabilities; None for predictions.
        classes: the names of the columns of the logits; None if the file has none.
        keys: the file name of each example, if it is known.
        left_out: the number of examples without a label.
        are_probabilities: whether the logits were probabilities.
        labels_by_row: the file whose labels are those of the examples in the order of its rows; '' if there is none.
    """

    path: str
    labels: Sequence[Any]
    predictions: Sequence[Any] | None
    logits: Float[np.ndarray, "example class"] | None = None
    classes: tuple[str, ...] | None = None
    keys: Sequence[str] | None = None
    left_out: int = 0
    are_probabilities: bool = False
    labels_by_row: str = ""


def read_predictions(path: str, columns: ColumnNames = ColumnNames(), labels: Labels | None = None) -> PredictionFile:
    """Read a file of predictions.

    Args:
        labels: those of the examples, for a file without; by file name, if both files have these.

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


def read_table(path: str, columns: ColumnNames, labels: Labels | None) -> PredictionFile:
    has = list(columns_of(path))
    wanted = [column_of(path, has, PREDICTION, columns.prediction)]
    if labels is None or columns.label in has:
        labels = None
        wanted.append(column_of(path, has, LABEL, columns.label))
    found, others = read_columns(path, wanted, only_keys=labels is None)
    if not found[wanted[0]]:
        raise UserError(f"{path} has no rows: it must have a row for each example")
    missing = [number for number, value in enumerate(found[wanted[0]], 1) if is_missing(value)]
    if missing:
        raise UserError(
            f"{path} has no {wanted[0]} in row {missing[0]:,} and {len(missing) - 1:,} more: fill or remove them"
        )
    own, by_row = labels.of(path, others) if labels else (found[wanted[1]], "")
    check_length(path, own, found[wanted[0]])
    return PredictionFile(path, own, found[wanted[0]], keys=likeliest_keys(others), labels_by_row=by_row)


def read_columns(path: str, names: Sequence[str], only_keys: bool) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """Columns of a table, and its other columns of texts or whole numbers, or only those of file names."""
    texts = [name for name, kind in columns_of(path).items() if kind == TEXT or re.match("u?int", kind)]
    keys = [name for name in KEYS if name in texts and name not in names]
    others = keys if only_keys else [name for name in texts if name not in names]
    for others in (others, keys, []):
        try:
            rows = list(read_rows(path, [*names, *others]))
            break
        except UserError:  # rows of JSON may lack columns other than `names`
            if not others:
                raise
    return tuple({name: [row[name] for row in rows] for name in of} for of in (names, others))


def columns_in(path: str, arrays: Mapping[str, np.ndarray], examples: int) -> dict[str, list[Any]]:
    """The arrays with a text or whole number for each example. 'filenames' is the column 'filename'."""
    found = {name: array.tolist() for name, array in arrays.items() if array.ndim == 1 and array.dtype.kind in "USiu"}
    found = {name: values for name, values in found.items() if len(values) == examples}
    if "filenames" in arrays:
        found["filename"] = one_each(path, "filenames", arrays["filenames"]).tolist()
        if len(found["filename"]) != examples:
            given = len(found["filename"])
            raise UserError(f"{path} has {given:,} file names, and {examples:,} examples: give one of each")
    return found


def keys_of(columns: Mapping[str, Sequence[Any]]) -> dict[str, list[str]]:
    """The columns of file names in which all are known, the likeliest first."""
    known = [name for name in KEYS if name in columns and None not in columns[name]]
    return {name: [*map(text_of, columns[name])] for name in known}


def likeliest_keys(columns: Mapping[str, Sequence[Any]]) -> list[str] | None:
    """The file names of the examples; None if they are unknown."""
    return next(iter(keys_of(columns).values()), None)


def check_no_shared_column(
    path: str, columns: Mapping[str, Sequence[Any]], other_path: str, other_columns: Mapping[str, Sequence[Any]]
) -> None:
    """Raise UserError if two files have a column by which their examples may have to be joined.

    It has a text of its own for each example, or the same numbers in another order.
    """
    for name in columns:
        ours, theirs = ([*map(text_of, of.get(name, ()))] for of in (columns, other_columns))
        are_distinct = all(len({*values}) == len(values) > 1 for values in (ours, theirs))
        are_numbers = all(map(is_number, (*ours, *theirs)))
        if are_distinct and (not are_numbers or ours != theirs and {*ours} == {*theirs}):
            raise UserError(
                f"{path} and {other_path} both have the column '{name}', by which labels may have to be joined: name it "
                "'filename' in both, with one in each row; or leave it out, and labels are joined by row"
            )


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


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


def read_arrays_of(path: str, columns: ColumnNames, labels: Labels | None) -> PredictionFile:
    arrays = load(path)
    if not isinstance(arrays, dict):  # of an .npy file
        arrays = named_array(path, arrays, labels is not None, columns)
    classes = arrays.get("classes")
    if unknown := [name for name in NAMES_OF_CLASSES if name in arrays and name not in columns]:
        raise UserError(f"{path} has an array '{unknown[0]}', which is not read: class names are an array 'classes'")
    names = None if classes is None else tuple(map(text_of, classes.tolist()))
    plural = columns.prediction == PREDICTION and "predictions" in arrays
    predicted = "predictions" if plural else columns.prediction
    scores = next((name for name in (LOGITS, PROBABILITIES, predicted) if name in arrays), None)
    values = arrays[scores or column_of(path, list(arrays), PREDICTION, columns.prediction)]
    others, by_row = columns_in(path, arrays, len(np.atleast_1d(values))), ""
    own = arrays.get("labels") if columns.label == LABEL else None
    if own is None and labels and columns.label not in arrays:
        own, by_row = labels.of(path, others)
    if own is None:
        if not any(name in arrays for name in (columns.label, *NEAR[LABEL])):
            raise UserError(
                f"{path} has no labels (it has {', '.join(arrays)}): add an array 'labels' with the true class of each "
                "example, or give them as --labels=FILE"
            )
        own = arrays[column_of(path, list(arrays), LABEL, columns.label)]
    own = one_each(path, "labels", own)
    if scores not in (LOGITS, PROBABILITIES):
        values = one_each(path, scores, values)
    check_length(path, own, values)
    own = named(own, names, path)
    found = PredictionFile(path, own, None, None, names, likeliest_keys(others), labels_by_row=by_row)
    if predicted in arrays:
        predictions = one_each(path, predicted, arrays[predicted])
        check_length(path, own, predictions)
        found = found._replace(predictions=named(predictions, names, path))
    if scores not in (LOGITS, PROBABILITIES):
        return found._replace(classes=None)
    if values.ndim != 2 or values.dtype.kind != "f" or not values.shape[1]:
        raise UserError(
            f"'{scores}' of {path} has the shape {list(values.shape)} and the type {values.dtype}: predictions are "
            "[example], and logits or probabilities floats [example, class]"
        )
    logits, are_probabilities = checked_logits(path, values, scores == PROBABILITIES)
    return found._replace(logits=logits, are_probabilities=are_probabilities)


def named(values: Sequence[Any], classes: Sequence[str] | None, path: str) -> Sequence[Any]:
    """The values, with numbers that are indices of the file's own `classes`, if it has any, replaced by their names.

    They are also read so where they are text or floats. Raises UserError for a number that is no index, and for integers that
    are names and other indices, as with the folders 0, 1, 10, 2.
    """
    if classes is None:
        return values
    array = np.asarray(values)
    if array.dtype.kind == "O":  # None cannot be sorted
        array = np.array(["" if is_missing(value) else text_of(value) for value in array])
    distinct, inverse = np.unique(array, return_inverse=True)
    texts = ["" if is_missing(value) else text_of(value) for value in distinct.tolist()]
    keys, present = [*map(key_of, classes)], [text for text in texts if text]
    if not {*keys}.isdisjoint(map(key_of, present)):
        are_indices = are_from_zero(keys) and {*present} <= {*keys}
        if distinct.dtype.kind in "iuf" and are_indices and any(keys[int(text)] != text for text in present):
            raise UserError(
                f"{path} has numbers as labels or predictions, which are names and other indices of its array 'classes' "
                f"({', '.join(classes[:4])}, ...): save them as text if they are names"
            )
        return values
    if not all(re.fullmatch(r"-?\d+", text) for text in present):
        return values
    if wrong := [text for text in present if not 0 <= int(text) < len(classes)]:
        raise UserError(
            f"{path} has the label {wrong[0]}, and its array 'classes' names {len(classes):,}: it must be an index"
        )
    return np.array([classes[int(text)] if text else "" for text in texts])[inverse]


def array_of(path: str, what: str, values: Any) -> np.ndarray:
    """The values as an array. Raises UserError for lists of different lengths."""
    try:
        return np.asarray(values)
    except ValueError:
        raise UserError(f"the {what} of {path} have different numbers of values by example: give one of each") from None


def one_each(path: str, what: str, values: Any) -> np.ndarray:
    """The values [example], also of a column [example, 1]. Raises UserError for another shape."""
    array = array_of(path, what, values)
    if array.ndim == 2 and array.shape[1] == 1:
        return array[:, 0]
    if array.ndim != 1:
        raise UserError(f"the {what} of {path} have the shape {list(array.shape)}: give one of each example, [example]")
    return array


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
    are_classes = array.dtype.kind != "f" or np.array_equal(array, np.floor(array))
    if array.ndim == 2 and array.shape[1] == 2 and not has_labels and are_classes:
        return {columns.label: array[:, 0], columns.prediction: array[:, 1]}
    if array.ndim == 2 and array.dtype.kind == "f":
        return {LOGITS: array}
    return {columns.prediction: array}


def checked_logits(
    path: str, values: Float[np.ndarray, "example class"], must_be_probabilities: bool = False
) -> tuple[Float[np.ndarray, "example class"], bool]:
    """The logits, and whether they were probabilities, whose logarithms they are.

    Numbers from 0 on whose sums are 1 within their rounding are probabilities: a softmax normalizes them later.

    Raises:
        UserError: there are nan or infinity; or numbers that are no probabilities, and `must_be_probabilities`, or they may be
            meant as such: they are from 0 to 1 and add up to 0.5 to 1.5.
    """
    sums, lowest, highest = np.zeros((3, len(values)))
    for rows in blocks(values):
        block = values[rows]
        highest[rows] = block.max(axis=1)  # nan if one is
        if not np.isfinite(highest[rows]).all():
            row = rows.start + int(np.flatnonzero(~np.isfinite(highest[rows]))[0])
            what = (
                "NaN" if np.isnan(values[row]).any() else "no finite value" if (values[row] < 0).all() else "infinity"
            )
            raise UserError(
                f"{path} has {what} in the logits of example {row:,} (from 0): find out why the model computes it"
            )
        sums[rows], lowest[rows] = block.sum(axis=1, dtype=np.float64), block.min(axis=1)
    errors = np.where(lowest < 0, np.inf, np.abs(sums - 1))
    row = int(errors.argmax())
    if is_rounding(errors[row], values):
        with np.errstate(divide="ignore"):
            return np.log(values.astype(np.result_type(values.dtype, np.float32), copy=False)), True
    if must_be_probabilities:
        raise UserError(
            f"the probabilities of example {row:,} (from 0) of {path} have the sum {sums[row]:.6g} or lie outside of 0 to 1: give "
            "those of a softmax, with enough decimals, or save logits as 'logits'"
        )
    if errors[row] <= NEARLY_ONE and highest.max() <= 1:
        raise UserError(
            f"{path} has numbers from 0 to 1 that add up to {sums.min():.4g} to {sums.max():.4g} by example: divide probabilities by "
            "their sum, or subtract 1 from logits, which changes no softmax"
        )
    return values, False


def is_rounding(error: float, values: Float[np.ndarray, "example class"]) -> bool:
    """Whether sums of probabilities can differ from 1 by `error` because their numbers are rounded.

    Floats explain 2ε, where 1 + ε is the next float after 1, and their sum in 32 bits explains 2⁻²⁴ for each class.
    Numbers with d decimals explain 10⁻ᵈ / 2 for each class, but no more than MOST_ROUNDING.
    """
    classes = values.shape[1]
    of_sum, precision = classes * 2.0**-24, max(np.finfo(values.dtype).eps, 2.0**-23)
    if error <= 2 * precision + of_sum:
        return True
    if error > MOST_ROUNDING:
        return False
    for bits in (BFLOAT16, FLOAT16):  # also of numbers that are saved with more bits
        if error <= 2 * 2.0 ** (1 - bits) + of_sum and are_whole(
            values, lambda block: np.frexp(block)[0] * 2.0**bits, 0
        ):
            return True
    decimals = math.floor(math.log10(classes / (2 * error)) + 1e-6)  # the most that explain the error
    return decimals > 0 and are_whole(values, lambda block: block * 10.0**decimals, precision)


def are_whole(
    values: Float[np.ndarray, "example class"], scaled: Callable[[np.ndarray], np.ndarray], within: float
) -> bool:
    """Whether all numbers are whole if scaled, `within` a relative error."""
    for rows in blocks(values):
        block = scaled(values[rows].astype(np.float64))
        if (np.abs(block - np.rint(block)) > within * block).any():
            return False
    return True


def blocks(values: np.ndarray) -> Iterator[slice]:
    """Rows of an array that are read at once."""
    rows = max(CHUNK // max(values.shape[1], 1), 1)
    return (slice(start, start + rows) for start in range(0, len(values), rows))


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


def read_labels(path: str, column: str = LABEL) -> Labels:
    """The labels of a table, or of an .npy or .npz file."""
    if suffix(path) in TABLES:
        name = column_of(path, list(columns_of(path)), LABEL, column)
        found, others = read_columns(path, [name], only_keys=False)
        return Labels(path, found[name], others)
    arrays = load(path)
    if not isinstance(arrays, dict):
        return Labels(path, one_each(path, "labels", arrays))
    is_plural = column == LABEL and "labels" in arrays
    values = one_each(path, "labels", arrays["labels" if is_plural else column_of(path, list(arrays), LABEL, column)])
    return Labels(path, values, columns_in(path, arrays, len(values)))


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
    except (TypeError, ValueError, OverflowError):
        pass
    raise UserError(f"{path} has the count {value!r}, which is no whole number")


def read_training_labels(path: str, column: str = LABEL) -> ClassTable:
    """The class frequency of the training images whose labels are in a file, in `column` or else in 'label'."""
    if suffix(path) in TABLES and column not in (has := columns_of(path)) and LABEL in has:
        column = LABEL
    return counted((label for label in read_labels(path, column).values if not is_missing(label)), path)
