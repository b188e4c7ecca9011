"""The rows that a variant is selected from: records with labels and words."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
from jaxtyping import Int

from cliptail_jax.concepts.class_lists import class_list_for, imagenet_wnids, listed_names
from cliptail_jax.concepts.counter import ConceptCounter
from cliptail_jax.concepts.tally import naming_note
from cliptail_jax.config.training import ClassMatch, Data
from cliptail_jax.curation.captions import joined_words
from cliptail_jax.curation.joined import JoinedSource
from cliptail_jax.datasets.source import Source
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import check_file

KEEP = "keep"
JSON_LINES = ".jsonl"  # the suffix of tables in this format


@dataclasses.dataclass(frozen=True)
class Rows:
    """Rows in ascending order of records.

    Attributes:
        records: the index of each row's record in the source.
        labels: the class of each row in `class_names`; -1 for none.
        wnids: the classes' WordNet ids, where known.
        words: each row's own text, '' for none; None if the config has no text fields.
        keeps_unlabelled: whether rows without a class belong to the variant.
        note: the number of captions that name classes, with `data.class_match`.
    """

    records: Int[np.ndarray, " row"]
    labels: Int[np.ndarray, " row"]
    class_names: tuple[str, ...]
    wnids: tuple[str, ...] | None
    words: pa.ChunkedArray | None
    keeps_unlabelled: bool = False
    note: str = ""


def all_rows(source: Source | JoinedSource, data: Data) -> Rows:
    """The source's records with its labels, or the rows of a table, or a row for each class that a record's words name."""
    if data.table:
        return table_rows(source, Path(data.table), data.class_match.classes)
    words = joined_words(source.metadata, data.captions.words)
    if data.class_match.classes:
        return class_match_rows(words, data.class_match, data.seed)
    labels = source.metadata["label"].to_numpy()
    return Rows(np.arange(len(labels)), labels, source.class_names, source.wnids, words, not source.class_names)


def class_match_rows(words: pa.ChunkedArray | None, match: ClassMatch, seed: int) -> Rows:
    """A row for each class of a list that a record's words name, by a rule of `ConceptCounter`.

    With `match.unique`, a record that names several classes has no row. With unmatched='keep', the share
    `unmatched_fraction` of the records that name no class have a row without a class. The seed draws them; a smaller share
    is a subset of a larger one.

    Raises:
        UserError: There are no words.
    """
    if words is None:
        raise UserError("data.class_match looks for classes in data.captions.words: name the text fields to search")
    names, wnids = listed_classes(match.classes)
    records, labels = ConceptCounter(class_list_for(match.classes, match.rule), match.rule).matches(words)
    class_counts = np.bincount(records, minlength=len(words))
    note = naming_note(np.sum(class_counts == 1), np.sum(class_counts > 1), len(words), len(names))
    other_records = np.setdiff1d(np.arange(len(words)), records) if match.unmatched == KEEP else records[:0]
    if match.unmatched_fraction < 1:
        permutation = np.random.default_rng((seed, 4)).permutation(len(other_records))
        other_records = other_records[permutation[: round(match.unmatched_fraction * len(other_records))]]
    if match.unique:
        is_single = class_counts[records] == 1
        records, labels = records[is_single], labels[is_single]
    records, labels = (
        np.concatenate([records, other_records]),
        np.concatenate([labels, np.full(len(other_records), -1)]),
    )
    order = np.argsort(records, kind="stable")
    records = records[order]
    return Rows(records, labels[order], names, wnids, words.take(pa.array(records)), match.unmatched == KEEP, note)


def listed_classes(class_list: str) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """The names of the classes of a list, and their WordNet ids if it is ImageNet's."""
    return listed_names(class_list), imagenet_wnids() if class_list == "imagenet1k" else None


def table_rows(source: Source | JoinedSource, path: Path, class_list: str) -> Rows:
    """The rows of a table of filepath, label and caption, as `cliptail describe --export` writes it.

    A label is the number or name of a class of the source or, if given, of the list, or -1 for none. Without the
    column, labels are those of the records. A file path is a record's `filename`, or has the same last part, or is
    SET/SPLIT/RECORD.

    Raises:
        UserError: The table cannot be read, or it has unknown labels or paths.
    """
    table = read_table(path)
    names, wnids = source.class_names, source.wnids
    if class_list:
        names, wnids = listed_classes(class_list)
    records = records_of(source, table["filepath"], path)
    if "label" in table.column_names:
        labels = labels_of(table["label"], names, path, lowest=-1)
    else:
        labels = source.metadata["label"].to_numpy()[records]
    keeps_unlabelled = "label" in table.column_names or not names  # a -1 in the table is intended
    order = np.argsort(records, kind="stable")
    words = table["caption"].fill_null("").take(pa.array(order)) if "caption" in table.column_names else None
    return Rows(records[order], labels[order].astype(np.int64), names, wnids, words, keeps_unlabelled)


def labels_of(
    column: pa.ChunkedArray, names: tuple[str, ...], path: Path | str, lowest: int = 0
) -> Int[np.ndarray, " row"]:
    """The labels in a table's column of numbers (from `lowest`) or class names. Raises UserError for unknown ones."""
    if column.null_count:
        raise UserError(f"the table {path} has {column.null_count} rows without a label")
    if pa.types.is_integer(column.type):
        labels = column.to_numpy()
        if len(labels) and not (labels.min() >= lowest and labels.max() < len(names)):
            raise UserError(f"the table {path} has labels beyond the {len(names)} classes")
        return labels
    if pa.types.is_nested(column.type):
        raise UserError(f"the table {path} has labels that are neither numbers nor names, such as {column[0]}")
    indices = pc.index_in(column.cast(pa.string()), pa.array(names))
    if indices.null_count:
        raise UserError(f"the table {path} has the label '{column.filter(indices.is_null())[0]}', which is not a class")
    return indices.to_numpy()


def read_table(path: Path) -> pa.Table:
    """Reads a tab-separated file with a header and without quoting, or JSON lines if its name ends in .jsonl.

    In the paper's files, the column `caption` is `title`.
    """
    texts = {name: pa.large_string() for name in ("filepath", "caption", "title")}
    check_file(path)
    try:
        if path.suffix == JSON_LINES:
            table = read_json_lines(path, texts)
        else:
            parse_options = pa.csv.ParseOptions(delimiter="\t", quote_char=False)
            table = pa.csv.read_csv(
                path, parse_options=parse_options, convert_options=pa.csv.ConvertOptions(column_types=texts)
            )
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"cannot read the table {path}: {str(error).splitlines()[0]}") from None
    if "caption" not in table.column_names:
        table = table.rename_columns(["caption" if name == "title" else name for name in table.column_names])
    if "filepath" not in table.column_names:
        raise UserError(f"the table {path} has no column 'filepath'; it has {', '.join(table.column_names)}")
    return table


def read_json_lines(path: Path, columns: Mapping[str, pa.DataType]) -> pa.Table:
    """Reads one object per line, with all its columns. Those of `columns` get their types, or are dropped if empty."""
    table = pa.json.read_json(path, parse_options=pa.json.ParseOptions(explicit_schema=pa.schema(columns)))
    table.validate(full=True)  # finds bytes that are not UTF-8
    return table.drop_columns([name for name in columns if table[name].null_count == len(table)])


def records_of(source: Source | JoinedSource, paths: pa.ChunkedArray, table: Path) -> Int[np.ndarray, " row"]:
    """The records of file paths, by the whole path or else by its last part."""
    records = pc.index_in(paths, paths_of_records(source))
    if records.null_count and "filename" in source.metadata.column_names:
        last_parts = last_part(paths)
        endings = last_part(source.metadata["filename"].cast(pa.large_string()).combine_chunks())
        repeats = pc.value_counts(endings.filter(pc.is_in(endings, last_parts.filter(records.is_null()))))
        if repeats and pc.max(repeats.field("counts")).as_py() > 1:
            raise UserError(f"several records of {source.name} end like a path of {table}: give whole paths")
        records = pc.if_else(records.is_null(), pc.index_in(last_parts, endings), records)
    if records.null_count:
        example = paths.filter(records.is_null())[0]
        raise UserError(
            f"the table {table} names {records.null_count} records that {source.name} lacks, such as '{example}'"
        )
    return records.to_numpy().astype(np.int64)


def paths_of_records(source: Source | JoinedSource) -> pa.Array:
    """The path of each record in a table: its file name, or SET/SPLIT/RECORD if it has none or joined sets share it."""
    number = pc.cast(pa.array(np.arange(len(source))), pa.large_string())
    prefix, separator = (pa.scalar(text, pa.large_string()) for text in (f"{source.name}/{source.split}/", ""))
    numbered_paths = pc.binary_join_element_wise(prefix, number, separator)
    if "filename" not in source.metadata.column_names:
        return numbered_paths
    names = source.metadata["filename"].cast(pa.large_string()).combine_chunks()
    part = source
    while isinstance(part, JoinedSource):  # splits may have files of the same names
        part, border = part.first, len(part.first)
        shared_names = names[:border].filter(pc.is_in(names[:border], names[border:]))
        names = pc.if_else(pc.is_in(names, shared_names), numbered_paths, names)
    return pc.coalesce(names, numbered_paths)


def last_part(paths: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    return pc.replace_substring_regex(paths, r"^.*/", "")
