"""Files of class frequencies: a header, then a line per class, class name <TAB> count."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int, Num

from cliptail_jax.formats.class_names import normalized_name
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import read_text, write_text
from cliptail_jax.host.text import tsv

COLUMNS = ("name", "count")
HEADER = tsv(COLUMNS, ())
# A first line with one of these titles of the names' column, or words in the title of the counts' column, is a header.
NAMES = frozenset("name names class classes class_name classname label labels category concept id wnid".split())
COUNTS = frozenset("count counts frequency freq images examples samples captions records n num total".split())
NUMBER_WORDS = frozenset("nan na n/a none null inf infinity".split())  # not titles, but wrong counts


def write_frequency(path: Path, names: Sequence[str], frequency: Int[np.ndarray, " class"]) -> None:
    """Writes a table, local or on Google Cloud Storage."""
    write_text(path, tsv(COLUMNS, zip(names, frequency)))


def read_frequency(
    path: Path, may_be_empty: bool = False, number: type = int
) -> tuple[tuple[str, ...], Num[np.ndarray, " class"]]:
    """Reads the class names and counts of a table, in its order. With `number` of float, counts need not be whole.

    The first line may be a header, as `is_header` states. Tables of earlier versions and the paper's have none.

    Raises:
        UserError: The file cannot be read or is not a frequency table, or it is empty.
    """
    names, counts, line = [], [], ""
    try:
        for line_number, line in enumerate(filter(None, read_text(path).split("\n"))):
            name, count = line.rsplit("\t", 1)
            if line_number or not is_header(name, count):
                names.append(name)
                counts.append(np.dtype(number).type(number(count)))  # raises OverflowError beyond 64 bits
    except OSError as error:
        raise UserError(f"cannot read the frequency table {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        is_gzipped = path.read_bytes()[:2] == b"\x1f\x8b"
        reason = "it is gzipped: decompress it" if is_gzipped else "it is not UTF-8"
        raise UserError(f"{path} is not a frequency table: {reason}") from None
    except (ValueError, OverflowError):
        raise UserError(
            f"{path} is not a frequency table: each line is a class name, a tab, and a count, and it has the line "
            f"{line[:100]!r} (only the first line may have titles, such as name, a tab, and count)"
        ) from None
    if not names and not may_be_empty:
        raise UserError(f"{path} is not a frequency table: it is empty")
    if min(counts, default=0) < 0:
        raise UserError(f"{path} is not a frequency table: it has a negative count")
    return tuple(names), np.array(counts, number)


def is_header(name: str, count: str) -> bool:
    """Whether the first line of a table has titles, such as 'name' and 'count', or 'class' and 'number of images'."""
    name, count = name.strip().lower(), count.strip().lower()
    is_word = count[:1].isalpha() and count not in NUMBER_WORDS
    return is_word and (name in NAMES or not COUNTS.isdisjoint(re.split(r"[\W_]+", count)))


def frequency_of(class_names: tuple[str, ...], table: Path, number: type = int) -> Num[np.ndarray, " class"]:
    """The counts of the given classes in a table, joined by normalized name, whatever the table's order.

    Classes with the same normalized name, such as 'a' and 'A', are joined by their names as they are. `number` is as in
    `read_frequency`.

    Example: `frequency_of(("tench", "goldfish"), Path("class_frequency.tsv"))`

    Raises:
        UserError: The table cannot be read, lacks a class, or has it twice.
    """
    names, counts = read_frequency(table, number=number)
    keys, normalized_names = class_names, [normalized_name(name) for name in class_names]
    if len(set(normalized_names)) == len(class_names):
        keys, names = normalized_names, [normalized_name(name) for name in names]
    frequency = Counter(names)
    missing_names = [name for name, key in zip(class_names, keys) if not frequency[key]]
    if missing_names:
        raise UserError(
            f"the frequency table {table} lacks {len(missing_names)} of the classes, such as '{missing_names[0]}'"
        )
    repeated_names = [key for key in keys if frequency[key] > 1]
    if repeated_names:
        raise UserError(f"the frequency table {table} lists '{repeated_names[0]}' more than once")
    count_of = dict(zip(names, counts))
    return np.array([count_of[key] for key in keys])
