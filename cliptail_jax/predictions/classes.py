"""The classes of predictions: their names and frequency, and the class of each value in a file."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from cliptail_jax.formats.class_names import composed, normalized_name, without_point
from cliptail_jax.host.errors import UserError

NUMBER = re.compile(r"\d+")
FREQUENCY_HELP = (
    "give a table with a line for each class, its name, a tab and its number of training images, as --frequency=FILE, or the "
    "labels of the training images, which are counted, as --train=FILE"
)


class ClassTable(NamedTuple):
    """The classes, and the number of training images of each.

    Attributes:
        origin: the file, or what else the numbers come from, for messages.
        is_open: whether a class of the examples that it lacks has no training images, as if they are counted in labels.
        was_text_order: whether it lists numbers as text is sorted, 0, 1, 10, 2, as folders are.
    """

    names: tuple[str, ...]
    frequency: Int[np.ndarray, " class"]
    origin: str
    is_open: bool = False
    was_text_order: bool = False


def text_of(value: Any) -> str:
    """A label as text: 3 for 3.0, as a column of integers with gaps becomes."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    text = str(int(value)) if isinstance(value, float | np.floating) and float(value).is_integer() else str(value)
    return without_point(text)


def key_of(name: str) -> str:
    """The form in which names are compared: numbers by their value, 7 for 07, and others as tables are joined."""
    key = normalized_name(name)
    return key.lstrip("0") or "0" if NUMBER.fullmatch(key) else key


def are_from_zero(names: Sequence[str]) -> bool:
    """Whether the names are the numbers from 0 on, in any order."""
    return all(map(NUMBER.fullmatch, names)) and sorted(map(key_of, names)) == sorted(map(str, range(len(names))))


def class_table(counts: Mapping[Any, int] | Sequence[int], origin: str, is_open: bool = False) -> ClassTable:
    """The table of counts by class, or in the order of class numbers.

    Classes whose names are the numbers from 0 on are in the order of their numbers.

    Raises:
        UserError: there is no class, a count is negative or not a whole number, a class is listed twice, or the counts are the
            class numbers.
    """
    if isinstance(counts, Mapping):
        return table_of(counts.keys(), counts.values(), origin, is_open)
    return table_of(range(len(counts)), counts, origin, is_open)


def table_of(classes: Iterable[Any], counts: Iterable[int], origin: str, is_open: bool = False) -> ClassTable:
    """The table of classes and their counts. Raises UserError as `class_table`."""
    names, values = [text_of(name) for name in classes], list(counts)
    if not names:
        raise UserError(f"{origin} lists no class: {FREQUENCY_HELP}")
    if twice := [name for name, times in Counter(map(composed, names)).items() if times > 1]:
        raise UserError(f"{origin} lists the class '{twice[0]}' more than once: give each class one line")
    if broken := [name for name in names if re.search(r"[\n\r\t]", name)]:
        raise UserError(f"{origin} has the class {broken[0]!r}: a name has no line break and no tab")
    if wrong := [value for value in values if not is_count(value)]:
        raise UserError(
            f"{origin} has the count {wrong[0]!r}: the number of training images of a class is a whole number, 0 or more"
        )
    frequency, was_text_order = np.array(values, np.int64), False
    if not is_open and len(names) > 1 and np.array_equal(frequency, np.arange(len(names))):
        raise UserError(
            f"the counts of {origin} are 0 to {len(names) - 1} in order, as class numbers are: give each class its number of "
            "training images (in a file, a name, a tab and the count)"
        )
    if are_from_zero(names):
        order = np.argsort([int(key_of(name)) for name in names])
        was_text_order = names == sorted(names) and not np.array_equal(order, np.arange(len(names)))
        names, frequency = [names[place] for place in order], frequency[order]
    return ClassTable(tuple(names), frequency, origin, is_open, was_text_order)


def is_count(value: Any) -> bool:
    """Whether a value is a whole number, 0 or more, of at most 64 bits."""
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return number and 0 <= value <= np.iinfo(np.int64).max and value == np.floor(value)


def counted(labels: Iterable[Any], origin: str) -> ClassTable:
    """The table of the classes of training images, from their labels. Numbers that are left out have no training images."""
    times = Counter(map(text_of, labels))
    if times and set(times) <= {str(number) for number in range(10 * len(times))}:  # no ids, and none is 007
        times = {str(n): times.get(str(n), 0) for n in range(1 + max(map(int, times)))}
    else:
        times = dict(sorted(times.items()))
    return class_table(times, origin, is_open=True)


def with_classes_of(table: ClassTable, values: Iterable[Any]) -> ClassTable:
    """An open table with the classes of the examples that it lacks, which have no training images."""
    texts = list(dict.fromkeys(map(text_of, values)))
    if not table.is_open or are_numbers(texts, table):
        return table
    known, new = {*map(key_of, table.names)}, {}
    for text in texts:
        if (key := key_of(text)) not in known:
            new.setdefault(key, text)
    if known.isdisjoint(map(key_of, texts)):
        raise UserError(
            f"no example has a class of {table.origin}, which are such as '{table.names[0]}'; the examples' are such as "
            f"'{texts[0]}': give the labels of both in the same form"
        )
    return table_of(
        [*table.names, *new.values()], [*table.frequency.tolist(), *[0] * len(new)], table.origin, is_open=True
    )


def are_numbers(texts: Sequence[str], table: ClassTable) -> bool:
    """Whether all are numbers of classes, and none is the name of one. Where all names are numbers, numbers are names."""
    names, keys = {*map(key_of, table.names)}, {*map(key_of, texts)}
    numbers = {*map(str, range(len(table.names)))}
    return keys <= numbers and names.isdisjoint(keys) and not all(map(NUMBER.fullmatch, names))


def check_order(table: ClassTable, what: str) -> None:
    """Raise UserError if classes have no order by which a number, or a column of logits, is a class: those counted by name."""
    if table.is_open and not are_from_zero(table.names):
        raise UserError(
            f"{what}, and the classes of {table.origin} are names, such as '{table.names[0]}', which have no order: name the "
            "classes there, too (of logits, as `classes`), or give --frequency=FILE, in whose order the classes are"
        )
    if table.was_text_order:
        raise UserError(
            f"{what}, and {table.origin} lists its classes as text is sorted ({', '.join(sorted(table.names)[:4])}, ...), so "
            "that their order is not clear: name the classes there (of logits, as `classes`), or sort the table by number"
        )


def is_plain(values: Sequence[Any]) -> bool:
    return isinstance(values, np.ndarray) and values.dtype.kind in "iuU"


def class_ids(table: ClassTable, values: Sequence[Sequence[Any]], origin: str) -> list[Int[np.ndarray, " example"]]:
    """The class of each value in lists of values, by name, or by number if the values are numbers that are no names.

    A name is a class as it is written in the table, or else as `key_of` compares names.

    Args:
        values: labels, and predictions, which are read in the same way.
        origin: the file that they come from.

    Raises:
        UserError: a value is not among the classes, or may be several of them.
    """
    lists = [of if is_plain(of) else np.array([text_of(value) for value in of]) for of in values]
    distinct = [np.unique(of, return_inverse=True) for of in lists]
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
    unknown = [text for text in texts if ids[text] is None]
    if unknown and are_numbers(texts, table):
        check_order(table, f"the labels of {origin} are numbers")
        ids, unknown = {text: int(key_of(text)) for text in texts}, []
    if unknown:
        wrong = sum(int(np.isin([text_of(v) for v in u.tolist()], unknown)[inverse].sum()) for u, inverse in distinct)
        raise UserError(
            f"{wrong:,} of {sum(map(len, lists)):,} labels and predictions of {origin} are none of the {len(table.names):,} "
            f"classes of {table.origin}, such as '{unknown[0]}': add the class there, with 0 if it has no training images"
        )
    return [np.array([ids[text_of(v)] for v in unique.tolist()], np.int64)[inverse] for unique, inverse in distinct]
