"""Files of class frequencies: a header, then a line per class, class name <TAB> count."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int, Num

from cliptail_jax.formats.class_names import normalized_name
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import read_text, write_text

HEADER = "name\tcount\n"


def write_frequency(path: Path, names: Sequence[str], frequency: Int[np.ndarray, " class"]) -> None:
    """Writes a table, local or on Google Cloud Storage."""
    write_text(path, HEADER + "".join(f"{name}\t{count}\n" for name, count in zip(names, frequency)))


def read_frequency(
    path: Path, may_be_empty: bool = False, number: type = int
) -> tuple[tuple[str, ...], Num[np.ndarray, " class"]]:
    """Reads the class names and counts of a table, in its order. With `number` of float, counts need not be whole.

    A first line whose count begins with a letter is a header. Tables of earlier versions and the paper's have none.

    Raises:
        UserError: The file cannot be read or is not a frequency table, or it is empty and must not be.
    """
    try:
        rows = [line.rsplit("\t", 1) for line in read_text(path).split("\n") if line]
        if rows and rows[0][1:] and rows[0][1][:1].isalpha():
            del rows[0]
        names, counts = tuple(name for name, _ in rows), np.array([number(count) for _, count in rows], number)
    except OSError as error:
        raise UserError(f"cannot read the frequency table {path}: {error.strerror or error}") from None
    except (ValueError, OverflowError):
        raise UserError(f"{path} is not a frequency table: each line is a class name, a tab, and a count") from None
    if not names and not may_be_empty:
        raise UserError(f"{path} is not a frequency table: it is empty")
    if counts.min(initial=0) < 0:
        raise UserError(f"{path} is not a frequency table: it has a negative count")
    return names, counts


def frequency_of(class_names: tuple[str, ...], table: Path, number: type = int) -> Num[np.ndarray, " class"]:
    """The counts of the given classes in a table, joined by normalized name, whatever the table's order.

    Classes with the same normalized name, such as 'a' and 'A', are joined by their names as they are. `number` is as in
    `read_frequency`.

    Raises:
        UserError: The table cannot be read, lacks a class, or has it twice.
    """
    names, counts = read_frequency(table, number=number)
    wanted, keys = class_names, [normalized_name(name) for name in class_names]
    if len(set(keys)) == len(keys):
        wanted, names = keys, [normalized_name(name) for name in names]
    times = Counter(names)
    absent = [name for name, key in zip(class_names, wanted) if not times[key]]
    if absent:
        raise UserError(f"the frequency table {table} lacks {len(absent)} of the classes, such as '{absent[0]}'")
    ambiguous = [name for name in wanted if times[name] > 1]
    if ambiguous:
        raise UserError(f"the frequency table {table} lists '{ambiguous[0]}' more than once")
    count_of = dict(zip(names, counts))
    return np.array([count_of[name] for name in wanted])
