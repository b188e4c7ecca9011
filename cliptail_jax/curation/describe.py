"""Describes the data of a config, before training:

    python -m cliptail_jax.curation.describe --config=configs/clip.py:data=glyphs_lt [--workdir=DIR] [--export=TSV]
        [--import=TSV] [--compare=TSV] [--croissant=JSON] [--config.data.x=v ...]

Prints size, classes, imbalance, fingerprint and ten captions, and writes class_frequency.tsv and a figure to --workdir,
by default runs/described. --export writes file path, label and caption of each record, and --import uses such a table
as the variant. --compare compares the class frequency with a published one. --croissant writes Croissant metadata and,
beside it, the described table in JSON lines.
"""

from absl import flags

from cliptail_jax.config.program import define_config, run_with_config
from cliptail_jax.host.outputs import OVERWRITE

if __name__ == "__main__":  # before the slow imports, which --help does not need
    flags.DEFINE_string(
        "import", "", "A TSV (or *.jsonl) of filepath, label, caption to use as the variant, as data.table"
    )
    flags.DEFINE_string("export", "", "Write a TSV of filepath, label, caption here, or JSON lines for *.jsonl")
    flags.DEFINE_string("croissant", "", "Write Croissant metadata here, and the records beside them as *.jsonl")
    flags.DEFINE_bool("overwrite", False, OVERWRITE.capitalize())
    flags.DEFINE_string("compare", "", "A frequency table to compare the class frequency with")
    define_config("sup", "clip", "dino")

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from etils import epath
from ml_collections import ConfigDict

from cliptail_jax.config import fields
from cliptail_jax.config.training import Data, RunEvaluation, check_data
from cliptail_jax.curation.croissant import TO_ADD, croissant
from cliptail_jax.curation.rows import JSON_LINES, paths_of_records
from cliptail_jax.curation.variant import Variant, open_variant
from cliptail_jax.formats.frequency_tables import frequency_of, write_frequency
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import read_json, work_path, write_text
from cliptail_jax.host.outputs import (
    check_directory,
    check_output,
    check_writable_folder,
    files_in,
    first_bytes,
    is_same,
)
from cliptail_jax.metrics.correlation import rank_correlation
from cliptail_jax.metrics.groups import head_mid_tail
from cliptail_jax.metrics.imbalance import gini, imbalance_ratio
from cliptail_jax.report.class_frequency import draw_class_frequency
from cliptail_jax.report.style import save

WORKDIR = "runs/described"
FREQUENCY, PICTURE, BALANCE = "class_frequency.tsv", "class_frequency.png", "balance.tsv"
SAMPLES = 10
DIFFERENCES = 10
BREAK = re.compile(r"[\t\r\n]")


def describe(variant: Variant, head_classes: int = 0, tail_classes: int = 0) -> str:
    """A description of the variant. `head_classes` and `tail_classes` default to a third each."""
    lines = [
        f"source       {variant.source.name} ({variant.source.split}), {len(variant.source):,} records",
        f"records      {len(variant):,}"
        + (f"; {variant.dropped_without_caption:,} dropped without text" if variant.dropped_without_caption else "")
        + (f"; {variant.unlabelled:,} without a class" if variant.unlabelled else ""),
        *(describe_classes(variant, head_classes, tail_classes) if variant.class_names else ["classes      none"]),
        f"fingerprint  {variant.fingerprint()}",
        *(f"note         {note}" for note in variant.notes),
    ]
    if variant.captions:
        rows = np.linspace(0, len(variant) - 1, min(SAMPLES, len(variant))).astype(int)
        lines += ["captions", *(f"  {caption}" for caption in variant.captions(rows, epoch=0))]
    return "\n".join(lines)


def describe_classes(variant: Variant, head_classes: int, tail_classes: int) -> list[str]:
    """The lines on the variant's classes."""
    frequency = variant.class_frequency
    parts = head_mid_tail(frequency, head_classes or None, tail_classes or None)
    present = frequency[frequency > 0]
    most, least = frequency.argmax(), np.where(frequency > 0, frequency, frequency.max() + 1).argmin()
    return [
        f"classes      {len(frequency):,}, {np.sum(frequency == 0):,} of them empty",
        f"most         {frequency[most]:,}  {variant.class_names[most]}",
        f"fewest       {frequency[least]:,}  {variant.class_names[least]}",
        *(
            f"{name:<12} {len(ids):,} classes, {frequency[ids].sum():,} records"
            for name, ids in zip(("head", "mid", "tail"), parts)
        ),
        f"imbalance    {imbalance_ratio(present):,.1f} (most / fewest), Gini {gini(frequency):.2f}",
    ]


def comparison(variant: Variant, table: Path) -> str:
    """Compares the variant's class frequency with a table's: rank correlation, and the largest differences."""
    ours, theirs = variant.class_frequency, frequency_of(variant.class_names, table)
    largest = np.argsort(-np.abs(ours - theirs), kind="stable")[:DIFFERENCES]
    lines = [
        f"compared with {table}: {ours.sum():,} against {theirs.sum():,} in all, "
        f"Spearman {rank_correlation(ours, theirs):.4f}, {np.sum(ours == theirs):,} of {len(ours):,} classes equal",
        *(f"  {ours[c]:>10,} {theirs[c]:>10,}  {variant.class_names[c]}" for c in largest if ours[c] != theirs[c]),
    ]
    return "\n".join(lines)


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


def main(config: ConfigDict, workdir: epath.Path | None) -> None:
    data = config.data
    if imported := flags.FLAGS["import"].value:  # its captions are complete
        as_they_are = {"words": (), "max_words": 0, "template": "", "synset": False, "distractors": 0.0}
        data.update({"table": imported, "captions": as_they_are})
    fields.check(data, Data(), "data.")
    fields.check(config.eval, RunEvaluation(), "eval.")
    data = fields.typed(Data(), data)
    check_data(data)
    folder = workdir or work_path(WORKDIR)
    table, metadata = (
        work_path(name) if (name := flags.FLAGS[flag].value) else None for flag in ("export", "croissant")
    )
    inputs = [*files_in(config), flags.FLAGS.compare]
    check_outputs(folder, table, metadata, inputs, flags.FLAGS.overwrite)
    variant = open_variant(data)
    print(describe(variant, config.eval.head_classes, config.eval.tail_classes))
    if flags.FLAGS.compare:
        print(comparison(variant, work_path(flags.FLAGS.compare)))
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


if __name__ == "__main__":
    run_with_config(main, describe_fields, workdir_required=False)
