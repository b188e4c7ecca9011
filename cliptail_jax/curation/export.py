"""Files of a variant: its table, class frequency, and Croissant metadata; which of them may be replaced."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from cliptail_jax.config.training import Data
from cliptail_jax.curation.croissant import AUTHOR_FIELDS, croissant
from cliptail_jax.curation.rows import JSON_LINES, paths_of_records
from cliptail_jax.curation.variant import Variant
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import read_json, write_text
from cliptail_jax.host.outputs import (
    check_directory,
    check_output,
    check_writable_folder,
    first_bytes,
    is_same,
)
from cliptail_jax.host.text import tsv

FREQUENCY, PICTURE, BALANCE = "class_frequency.tsv", "class_frequency.png", "balance.tsv"
BREAK = re.compile(r"[\t\r\n]")


def table_of(variant: Variant, path: Path) -> str:
    """A line per row for the file `path`: as JSON if its name ends in .jsonl, else tab-separated.

    It has the file path, the label before classes were selected, and the caption, if the variant has captions.

    Raises:
        UserError: A value has a tab or a line break, which a tab-separated table cannot represent.
    """
    columns = {
        "filepath": paths_of_records(variant.source).take(pa.array(variant.records)).to_pylist(),
        "label": variant.original_labels.tolist(),
    }
    if variant.captions:
        columns["caption"] = variant.captions(range(len(variant)), epoch=0)
    rows = zip(*columns.values())
    if path.suffix == JSON_LINES:
        return "".join(json.dumps(dict(zip(columns, row)), ensure_ascii=False) + "\n" for row in rows)
    for name in ("filepath", "caption"):
        if value := next(filter(BREAK.search, columns.get(name, ())), ""):
            raise UserError(f"--export: the {name} {value!r} has a tab or a line break: export to a file *{JSON_LINES}")
    return tsv(columns, rows)


def export(variant: Variant, path: Path) -> None:
    """Writes the table of a variant's rows to a file."""
    write(path, table_of(variant, path))


def write(path: Path, text: str) -> None:
    """Writes a text file, and makes its folder if necessary."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)


def is_table(path: Path) -> bool:
    """Whether a file begins as a table of a variant's rows does."""
    return first_bytes(path).startswith((b"filepath\tlabel", b'{"filepath": '))


def is_croissant(path: Path) -> bool:
    """Whether a file is Croissant metadata."""
    return any("/croissant/" in standard for standard in read_json(path)["conformsTo"])


def check_outputs(
    folder: Path, table: Path | None, metadata: Path | None, inputs: Sequence[str], overwrite: bool
) -> None:
    """Raises UserError if one of the outputs cannot be written, or exists and is not an output of this program."""
    check_writable_folder(folder)
    check_directory(folder, (FREQUENCY, BALANCE), (PICTURE,), overwrite)
    for name in (FREQUENCY, BALANCE, PICTURE):
        if any(is_same(folder / name, other) for other in (*inputs, *filter(None, (table, metadata)))):
            raise UserError(f"{folder / name} is an output, and an input or another output: choose another --workdir")
    if table:
        check_output(table, is_table, inputs, overwrite)
    if metadata:
        if metadata.suffix == JSON_LINES:
            raise UserError(
                f"--croissant={metadata}: records are written to this file: give the metadata the suffix .json"
            )
        check_output(metadata, is_croissant, inputs, overwrite)
        check_output(metadata.with_suffix(JSON_LINES), is_table, inputs, overwrite)


def write_croissant(variant: Variant, data: Data, path: Path) -> None:
    """Writes Croissant metadata to `path` and, beside it, the described table in JSON lines."""
    table = path.with_suffix(JSON_LINES)
    content = table_of(variant, table)
    document = croissant(variant, data, table.name, content.encode())
    write(table, content)
    write(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    print(f"written      {table}\nwritten      {path}")
    if missing_fields := [name for name in AUTHOR_FIELDS if name not in document]:
        print(f"note         before you publish {path.name}, add what only you know: {', '.join(missing_fields)}")
