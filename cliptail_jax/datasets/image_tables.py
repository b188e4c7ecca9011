"""Tables with a column of images: paths, encoded images, or structs of both, as in Hugging Face's data sets."""

import json
import pathlib
from collections.abc import Iterator, Sequence

import pyarrow
import pyarrow.parquet

from cliptail_jax.concepts.captions import columns_of, open_local, opened, read_rows, suffix
from cliptail_jax.concepts.vocabulary import check_unique, concept
from cliptail_jax.datasets.streaming import clean_text, read_if_exists
from cliptail_jax.errors import UserError

PATHS = "filepath"
USUAL_NAMES = ("image", "img")


def find_image_column(path: pathlib.Path) -> str:
    """The image column of a table: 'filepath' with paths, else 'image' or another column of encoded images.

    Raises:
        UserError: There is no such column, or several; the message lists the columns. Or the table cannot be read.
    """
    columns, schema = columns_of(str(path)), schema_of(path)
    if PATHS in columns or not columns:
        return PATHS
    images = [field.name for field in schema or () if has_images(field.type)]
    likely = [name for name in USUAL_NAMES if name in images][:1] or images
    if len(likely) != 1:
        raise UserError(
            f"which column of {path} has the images? it has {', '.join(columns)}: name it with --image_column, if it is a "
            f"column of paths other than {PATHS!r}, or one of several with encoded images"
        )
    return likely[0]


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
            name, encoded = image.get("path"), image.get("bytes")
            image = name if encoded is None else encoded
        if not isinstance(image, str | bytes | None):
            raise UserError(
                f"{path}, row {row + 1}: {image_column!r} is neither a path nor an encoded image: {str(image)[:50]!r}"
            )
        if isinstance(image, str):
            name, image = image, read_if_exists(folder / clean_text(image))
        yield clean_text(name or f"{path.stem}/{row}"), image, values
