"""Describes the data of a config, before training:

    cliptail describe clip:data=glyphs_lt [--workdir=DIR] [--export=TSV]
        [--import=TSV] [--compare=TSV] [--croissant=JSON] [--config.data.x=v ...]

Prints size, classes, imbalance, fingerprint and ten captions, and writes class_frequency.tsv and a figure to --workdir,
by default runs/described. --export writes file path, label and caption of each record, and --import uses such a table
as the variant. --compare compares the class frequency with a published one. --croissant writes Croissant metadata and,
beside it, the described table in JSON lines.
"""

import argparse
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
from ml_collections import ConfigDict

from cliptail_jax.config import fields
from cliptail_jax.config.training import Data, RunEvaluation, check_data
from cliptail_jax.curation.croissant import TO_ADD, croissant
from cliptail_jax.curation.rows import JSON_LINES, paths_of_records
from cliptail_jax.curation.variant import Variant, open_variant
from cliptail_jax.formats.frequency_tables import write_frequency
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import read_json, work_path, write_text
from cliptail_jax.host.outputs import (
    add_overwrite,
    check_directory,
    check_output,
    check_writable_folder,
    files_in,
    first_bytes,
    is_same,
)
from cliptail_jax.programs.command_line import add_workdir
from cliptail_jax.report.class_frequency import draw_class_frequency
from cliptail_jax.report.data import comparison, describe
from cliptail_jax.report.style import save

CONFIGS = ("sup", "clip", "dino")
WORKDIR = "runs/described"
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
        if odd := next(filter(BREAK.search, columns.get(name, ())), ""):
            raise UserError(f"--export: the {name} {odd!r} has a tab or a line break: export to a file *{JSON_LINES}")
    return tsv(columns, rows)


def export(variant: Variant, path: Path) -> None:
    """Writes the table of a variant's rows to a file."""
    write(path, table_of(variant, path))


def write(path: Path, text: str) -> None:
    """Writes a text file, whose folder may not exist."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)


def tsv(header: Iterable[str], rows: Iterable[Sequence]) -> str:
    return "".join("\t".join(map(str, row)) + "\n" for row in (header, *rows))


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
    if to_add := [name for name in TO_ADD if name not in document]:
        print(f"note         before you publish {path.name}, add what only you know: {', '.join(to_add)}")


def add_flags(parser: argparse.ArgumentParser) -> None:
    add_workdir(parser, is_required=False)
    parser.add_argument(
        "--import",
        default="",
        help="a TSV (or *.jsonl) of filepath, label, caption to use as the variant, as data.table",
    )
    parser.add_argument(
        "--export", default="", help="write a TSV of filepath, label, caption here, or JSON lines for *.jsonl"
    )
    parser.add_argument(
        "--croissant", default="", help="write Croissant metadata here, and the records beside them as *.jsonl"
    )
    parser.add_argument("--compare", default="", help="a frequency table to compare the class frequency with")
    add_overwrite(parser)


def main(options: argparse.Namespace) -> None:
    config = options.config
    data = config.data
    if imported := vars(options)["import"]:  # its captions are complete
        as_they_are = {"words": (), "max_words": 0, "template": "", "synset": False, "distractors": 0.0}
        data.update({"table": imported, "captions": as_they_are})
    fields.check(data, Data(), "data.")
    fields.check(config.eval, RunEvaluation(), "eval.")
    data = fields.typed(Data(), data)
    check_data(data)
    folder = work_path(options.workdir or WORKDIR)
    table, metadata = (work_path(name) if name else None for name in (options.export, options.croissant))
    inputs = [*files_in(config), options.compare]
    check_outputs(folder, table, metadata, inputs, options.overwrite)
    variant = open_variant(data)
    print(describe(variant, config.eval.head_classes, config.eval.tail_classes))
    if options.compare:
        print(comparison(variant, work_path(options.compare)))
    folder.mkdir(parents=True, exist_ok=True)
    if variant.class_names:
        write_frequency(folder / FREQUENCY, variant.class_names, variant.class_frequency)
        frequency = {variant.source.name: variant.class_frequency}
        save(draw_class_frequency(frequency, variant.class_frequency), folder / PICTURE)
        print(f"written      {folder}/{FREQUENCY} and {PICTURE}")
    if variant.balance:
        write_text(folder / BALANCE, tsv(("entry", "before", "after"), zip(*variant.balance)))
        print(f"written      {folder}/{BALANCE}, how often each entry occurs before and after")
    if table:
        export(variant, table)
        print(f"written      {table}")
    if metadata:
        write_croissant(variant, data, metadata)


def describe_fields(config: ConfigDict | None) -> str:
    return fields.describe(Data(), config and config.data, "data.")


def describe_config(config: ConfigDict | None) -> str:
    from cliptail_jax.objectives import describe_config

    return describe_config(config)
