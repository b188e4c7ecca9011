"""The classes of predictions: their names and frequency, and the class of each value in a file."""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from cliptail_jax.formats.class_names import composed, normalized_name, without_point
from cliptail_jax.host.errors import UserError

NUMBER = re.compile(r"\d+")
NEGATIVE = re.compile(r"-\d+")
FREQUENCY_HELP = (
    "give a table with a line for each class, its name, a tab and its number of training images, as --frequency=FILE, or the "
    "labels of the training images, which are counted, as --train=FILE"
)


class ClassTable(NamedTuple):
    """The classes, and the number of training images of each.

    Attributes:
        origin: the source of the numbers, for messages: a file or an argument.
        is_open: whether classes of examples that the table lacks have no training images, as in counts of training labels.
        was_text_order: whether its source lists numbers in the order of texts, 0, 1, 10, 2, like folders.
    """

    names: tuple[str, ...]
    frequency: Int[np.ndarray, " class"]
    origin: str
    is_open: bool = False
    was_text_order: bool = False


def with_images(table: ClassTable) -> ClassTable:
    """The classes that have training images."""
    has_images = table.frequency > 0
    return table._replace(
        names=tuple(itertools.compress(table.names, has_images)), frequency=table.frequency[has_images]
    )


def text_of(value: Any) -> str:
    """A label as text: 3 for 3.0, because a column of integers with gaps has floats."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    text = str(int(value)) if isinstance(value, float | np.floating) and float(value).is_integer() else str(value)
    return without_point(text)


def key_of(name: str) -> str:
    """The form in which names are compared: numbers by their value, so 7 for 07, and others in their normalized spelling."""
    if NEGATIVE.fullmatch(name.strip()):
        return name.strip()  # -1 is no class 1
    key = normalized_name(name)
    return key.lstrip("0") or "0" if NUMBER.fullmatch(key) else key


def are_from_zero(names: Sequence[str]) -> bool:
    """Whether the names are the numbers from 0 on, in any order."""
    return all(map(NUMBER.fullmatch, names)) and sorted(map(key_of, names)) == sorted(map(str, range(len(names))))


def class_table(counts: Mapping[Any, int] | Sequence[int], origin: str, is_open: bool = False) -> ClassTable:
    """The table of counts by class, or of counts in the order of class numbers.

    Classes whose names are the numbers from 0 on get the order of these numbers.

    Raises:
        UserError: there is no class, no class has images, a count is negative or not a whole number, a class is listed twice,
            or the counts are the class numbers.
    """
    if isinstance(counts, Mapping):
        return table_of(counts.keys(), counts.values(), origin, is_open)
    return table_of(range(len(counts)), counts, origin, is_open)


def table_of(classes: Iterable[Any], counts: Iterable[int], origin: str, is_open: bool = False) -> ClassTable:
    """The table of classes and their counts. Raises UserError like `class_table`."""
    names, values = [text_of(name) for name in classes], list(counts)
    if not names:
        raise UserError(f"{origin} lists no class: {FREQUENCY_HELP}")
    if duplicates := [name for name, times in Counter(map(composed, names)).items() if times > 1]:
        raise UserError(f"{origin} lists the class '{duplicates[0]}' more than once: give each class one line")
    if broken_names := [name for name in names if re.search(r"[\n\r\t]", name)]:
        raise UserError(f"{origin} has the class {broken_names[0]!r}: a name has no line break and no tab")
    if wrong_values := [value for value in values if not is_count(value)]:
        raise UserError(
            f"{origin} has the count {wrong_values[0]!r}: the number of training images of a class is a whole number, 0 or "
            "more"
        )
    frequency, was_text_order = np.array(values, np.int64), False
    if not frequency.any():
        raise UserError(f"all counts of {origin} are 0: give the number of training images of each class")
    if not is_open and len(names) > 1 and np.array_equal(frequency, np.arange(len(names))):
        raise UserError(
            f"the counts of {origin} are 0 to {len(names) - 1} in order, as class numbers are: give each class its number of "
            "training images (in a file, a name, a tab and the count)"
        )
    if are_from_zero(names):
        order = np.argsort([int(key_of(name)) for name in names])
        was_text_order = names == sorted(names) and not np.array_equal(order, np.arange(len(names)))
        names, frequency = [names[number] for number in order], frequency[order]
    return ClassTable(tuple(names), frequency, origin, is_open, was_text_order)


def is_count(value: Any) -> bool:
    """Whether a value is a whole number, 0 or more, of at most 64 bits."""
    if not isinstance(value, int | float | np.number) or isinstance(value, bool):
        return False
    return bool(0 <= value <= np.iinfo(np.int64).max and value == np.floor(value))


def count_labels(labels: Iterable[Any], origin: str) -> ClassTable:
    """The table of the classes of training images, from their labels. Numbers between the labels have no training images."""
    counts = Counter(map(text_of, labels))
    if counts and set(counts) <= {str(number) for number in range(10 * len(counts))}:  # no ids, and none is 007
        counts = {str(number): counts.get(str(number), 0) for number in range(1 + max(map(int, counts)))}
    else:
        counts = dict(sorted(counts.items()))
    return class_table(counts, origin, is_open=True)


def with_classes_of(table: ClassTable, values: Iterable[Any]) -> ClassTable:
    """The table, and if it is open, also the classes of the examples that it lacks: these have no training images."""
    texts = list(dict.fromkeys(map(text_of, values)))
    if not table.is_open or are_numbers(texts, table):
        return table
    keys, new_names = {*map(key_of, table.names)}, {}
    for text in texts:
        if (key := key_of(text)) not in keys:
            new_names.setdefault(key, text)
    if keys.isdisjoint(map(key_of, texts)):
        raise UserError(
            f"no example has a class of {table.origin}, which are such as '{table.names[0]}'; the examples' are such as "
            f"'{texts[0]}': give the labels of both in the same form"
        )
    names, counts = [*table.names, *new_names.values()], [*table.frequency.tolist(), *[0] * len(new_names)]
    return table_of(names, counts, table.origin, is_open=True)


def are_numbers(texts: Sequence[str], table: ClassTable) -> bool:
    """Whether all texts are class numbers, and none is a class name. If all class names are numbers, numbers are names."""
    names, keys = {*map(key_of, table.names)}, {*map(key_of, texts)}
    numbers = {*map(str, range(len(table.names)))}
    return keys <= numbers and names.isdisjoint(keys) and not all(map(NUMBER.fullmatch, names))


def check_order(table: ClassTable, reason: str) -> None:
    """Raise UserError if the table has no clear order, which numbers and unnamed columns of logits need.

    Args:
        reason: a clause that states why the order is needed.
    """
    if table.is_open and not are_from_zero(table.names):
        raise UserError(
            f"{reason}, and the classes of {table.origin} are names, such as '{table.names[0]}', which have no order: name the "
            "classes there, too (of logits, as `classes`), or give the frequency as a table or list in the order of classes"
        )
    if table.was_text_order:
        raise UserError(
            f"{reason}, and {table.origin} lists its classes as text is sorted ({', '.join(sorted(table.names)[:4])}, ...), so "
            "that their order is not clear: name the classes there (of logits, as `classes`), or sort the table by number"
        )


def is_plain(values: Sequence[Any]) -> bool:
    return isinstance(values, np.ndarray) and values.dtype.kind in "iuU"


def class_ids(table: ClassTable, values: Sequence[Sequence[Any]], origin: str) -> list[Int[np.ndarray, " example"]]:
    """The class of each value in lists of values: by name, or by number if all values are numbers and none is a name.

    A name is compared with those in the table as it is written, or else by its `key_of`.

    Args:
        values: lists of labels and of predictions, which are read in the same way.
        origin: the file of the values.

    Raises:
        UserError: a value is not among the classes, or may be several of them.
    """
    arrays = [column if is_plain(column) else np.array([text_of(value) for value in column]) for column in values]
    distinct = [np.unique(array, return_inverse=True) for array in arrays]
    texts = list(dict.fromkeys(text_of(v) for unique, _ in distinct for v in unique.tolist()))
    exact = {composed(name): number for number, name in enumerate(table.names)}
    similar: dict[str, list[int]] = {}
    for number, name in enumerate(table.names):
        similar.setdefault(key_of(name), []).append(number)
    ids = {}
    for text in texts:
        numbers = [exact[composed(text)]] if composed(text) in exact else similar.get(key_of(text), [None])
        if len(numbers) > 1:
            raise UserError(
                f"{origin} has the class '{text}', which may be {' or '.join(repr(table.names[n]) for n in numbers)} of "
                f"{table.origin}: write it as there"
            )
        ids[text] = numbers[0]
    unknown_texts = [text for text in texts if ids[text] is None]
    if unknown_texts and are_numbers(texts, table):
        check_order(table, f"the labels of {origin} are numbers")
        ids, unknown_texts = {text: int(key_of(text)) for text in texts}, []
    if unknown_texts:
        indices = {*map(str, range(len(table.names)))}
        outside = [text for text in unknown_texts if key_of(text) not in indices]
        if outside and len(unknown_texts) == len(texts):  # the others may be class numbers
            unknown_texts = outside
        has_classes = not all(map(NEGATIVE.fullmatch, unknown_texts))
        remedy = (
            "add the class there, with 0 if it has no training images" if has_classes else "leave such examples out"
        )
        number = sum(
            int(np.isin([text_of(v) for v in unique.tolist()], unknown_texts)[inverse].sum())
            for unique, inverse in distinct
        )
        raise UserError(
            f"{number:,} of {sum(map(len, arrays)):,} labels and predictions of {origin} are none of the {len(table.names):,} "
            f"classes of {table.origin}, such as '{unknown_texts[0]}': {remedy}"
        )
    return [np.array([ids[text_of(v)] for v in unique.tolist()], np.int64)[inverse] for unique, inverse in distinct]
