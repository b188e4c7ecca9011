"""Tables with a column of images: paths, encoded images, or structs of both, as in Hugging Face's data sets."""

import collections
import contextlib
import decimal
import functools
import itertools
import json
import os
import pathlib
from collections.abc import Iterator, Sequence

import pyarrow
import pyarrow.parquet

from cliptail_jax.concepts.captions import check_columns, columns_of, open_local, opened, read_rows, suffix
from cliptail_jax.concepts.class_lists import check_unique, concept
from cliptail_jax.datasets.streaming import clean_text, read_if_exists
from cliptail_jax.formats.class_names import composed, without_point
from cliptail_jax.formats.readers import FIRST_LINES, FORMATS
from cliptail_jax.host.errors import UserError

PATHS = "filepath"
USUAL_NAMES = ("image", "img")
IMAGE_COLUMNS = ("image", "path", "file", "filename", PATHS)
LABEL_COLUMNS = ("label", "class", "target")
NOT_A_NUMBER = ("NaN", "nan", "<NA>")  # as pandas writes missing values


def find_image_column(path: pathlib.Path) -> str:
    """The image column of a table: 'filepath' with paths, else 'image' or another column of encoded images.

    Raises:
        UserError: There is no such column, there are several, or the table cannot be read. The message lists the columns.
    """
    columns, schema = columns_of(str(path)), schema_of(path)
    if PATHS in columns or not columns:
        return PATHS
    images = [field.name for field in schema or () if has_images(field.type)]
    candidates = [name for name in USUAL_NAMES if name in images][:1] or images
    if len(candidates) != 1:
        raise UserError(
            f"which column of {path} has the images? it has {', '.join(columns)}: name it with --image_column, if it is a "
            f"column of paths other than {PATHS!r}, or one of several with encoded images"
        )
    return candidates[0]


def schema_of(path: pathlib.Path) -> pyarrow.Schema | None:
    """The schema of a parquet file; None for another table."""
    if suffix(str(path)) != ".parquet":
        return None
    with opened(str(path), open_local) as stream:
        return pyarrow.parquet.read_schema(stream)


def has_images(kind: pyarrow.DataType) -> bool:
    """Whether a column contains bytes, or Hugging Face's {bytes, path}."""
    if pyarrow.types.is_struct(kind):
        return {"bytes", "path"} <= {field.name for field in kind}
    return str(kind) in ("binary", "large_binary", "binary_view")


def class_names_in(path: pathlib.Path, column: str) -> list[str]:
    """The class names of a label column in the parquet file of a Hugging Face data set; [] if there are none."""
    schema = schema_of(path)
    try:
        names = json.loads(schema.metadata[b"huggingface"])["info"]["features"][column]["names"]
    except (AttributeError, KeyError, TypeError, ValueError):
        return []
    names = [concept({"name": name}, f"class {label} of {column!r} in {path}").name for label, name in enumerate(names)]
    check_unique(names, f"{column!r} in {path}")
    return names


def read_table(
    path: pathlib.Path, image_column: str, columns: Sequence[str], folder: pathlib.Path
) -> Iterator[tuple[str, bytes | None, dict]]:
    """The file name, encoded image and given columns of each row; None for an image that is missing.

    Args:
        folder: the folder to which the images' paths are relative.

    Raises:
        UserError: The table cannot be read, lacks a column, or has an image column without images.
    """
    for row, values in enumerate(read_rows(str(path), list(dict.fromkeys([image_column, *columns])))):
        name, image = None, values[image_column]
        if isinstance(image, dict):
            name, content = image.get("path"), image.get("bytes")
            image = name if content is None else content
        if not isinstance(image, str | bytes | None):
            raise UserError(
                f"{path}, row {row + 1}: {image_column!r} is neither a path nor an encoded image: {str(image)[:50]!r}"
            )
        if isinstance(image, str):
            name, image = image, read_if_exists(folder / clean_text(image))
        yield clean_text(name or f"{path.stem}/{row}"), image, values


def is_table(path: pathlib.Path) -> bool:
    """Whether a file is a table, by its suffix."""
    kind = FORMATS.get(suffix(str(path)))
    return path.is_file() and kind is not None and kind.rows is not None


class LabelledTable:
    """A table of images with their classes. Its columns are found by their names, in upper or lower case, unless given.

    Paths of images are relative to the table's folder. The classes are the values of the label column, or the class names
    that a parquet file of Hugging Face has for its numbers.

    Raises UserError if there is no such column, or there are several.
    """

    def __init__(self, path: pathlib.Path, image_column: str = "", label_column: str = ""):
        self.path, columns = path, columns_of(str(path))
        self.label_column = label_column or the_column(path, columns, LABEL_COLUMNS, "label_column", "classes")
        self.image_column = image_column or self._image_column(list(columns))
        check_columns(str(path), [self.image_column, self.label_column])
        self._names = class_names_in(path, self.label_column)

    def _image_column(self, columns: Sequence[str]) -> str:
        """The only column with a usual name or, of several, the first with an image or an existing file in the first rows."""
        usual_columns = [column for name in IMAGE_COLUMNS for column in columns if column.lower() == name]
        if len(usual_columns) > 1:
            first_rows = list(itertools.islice(read_rows(str(self.path), usual_columns), FIRST_LINES))
            for column in usual_columns:
                if any(self._is_image(row.get(column)) for row in first_rows):
                    return column
        return (
            usual_columns[0]
            if usual_columns
            else the_column(self.path, columns, IMAGE_COLUMNS, "image_column", "images")
        )

    def _is_image(self, value: object) -> bool:
        is_file = isinstance(value, str) and value and os.path.isfile(self.path.parent / clean_text(value))
        return bool(is_file or isinstance(value, bytes | dict))

    @functools.cached_property
    def examples(self) -> collections.Counter[str]:
        """The number of rows of each class, sorted by name, or by number if all names are numbers."""
        counts = collections.Counter(self._class_of(row) for row in read_rows(str(self.path), [self.label_column]))
        counts.pop("", None)
        if not counts:
            raise UserError(
                f"no row of {self.path} has a class in the column {self.label_column!r}: name another with --label_column"
            )
        key = int if all(name.isdecimal() for name in counts) else None
        return collections.Counter({name: counts[name] for name in self._names or sorted(counts, key=key)})

    def rows(self) -> Iterator[tuple[str, bytes | None, str]]:
        """The file name, the encoded image and the class of each row; None for a missing image, '' for a missing class."""
        for name, image, values in read_table(self.path, self.image_column, [self.label_column], self.path.parent):
            yield name, image, self._class_of(values)

    def _class_of(self, row: dict) -> str:
        value = label_in(row[self.label_column], f"{self.path}: {self.label_column!r}")
        if self._names and isinstance(value, int):
            value = self._names[value] if 0 <= value < len(self._names) else None
        return "" if value is None else str(value)


def label_in(value: object, subject: str) -> str | int | None:
    """The label that a table or shard has: a number, or a class name; None for a missing one.

    Raises UserError, which begins with `subject`, for bytes that are not UTF-8, and for lists and objects.
    """
    with contextlib.suppress(UnicodeDecodeError):
        value = value.decode() if isinstance(value, bytes) else value
    if isinstance(value, list | dict | bytes):
        raise UserError(f"{subject} is not a label: {str(value)[:50]}")
    if isinstance(value, float | decimal.Decimal) and float(value).is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = composed(without_point(clean_text(value).strip()))
    return None if text in ("", *NOT_A_NUMBER) else text


def the_column(path: pathlib.Path, columns: Sequence[str], names: Sequence[str], option: str, content: str) -> str:
    """The column of a table that has one of the names. Raises UserError if none has, or several have."""
    matches = [column for column in columns if column.lower() in names]
    if len(matches) != 1:
        description = (
            f"both {matches[0]} and {matches[1]}"
            if matches
            else f"{', '.join(columns)}, and none of {', '.join(names)}"
        )
        raise UserError(f"which column of {path} has the {content}? it has {description}: name it with --{option}")
    return matches[0]
