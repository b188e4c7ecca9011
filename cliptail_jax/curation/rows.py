"""The rows that a variant starts from: record, label and words each, before anything is selected."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from jaxtyping import Int
from ml_collections import ConfigDict

from cliptail_jax.concepts.vocabulary import imagenet_wnids, load_vocabulary
from cliptail_jax.curation.captions import joined_words
from cliptail_jax.curation.lemma_matcher import LemmaMatcher
from cliptail_jax.datasets.source import Source
from cliptail_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Rows:
    """In ascending order of records."""

    records: Int[np.ndarray, "row"]
    labels: Int[np.ndarray, "row"]  # index `class_names`; -1: of no class
    class_names: tuple[str, ...]
    wnids: tuple[str, ...] | None  # by class, where known
    words: pa.ChunkedArray | None  # '' where a row has none; None where the config asks for none


def all_rows(source: Source, data: ConfigDict) -> Rows:
    """The source's records under its labels; or those of a table, or those whose captions name a class."""
    if data.table:
        return table_rows(source, Path(data.table))
    words = joined_words(source.metadata, data.captions.words)
    if data.class_match.vocabulary:
        return class_match_rows(source, words, data)
    labels = source.metadata["label"].to_numpy()
    return Rows(np.arange(len(labels)), labels, source.class_names, source.wnids, words)


def class_match_rows(source: Source, words: pa.ChunkedArray | None, data: ConfigDict) -> Rows:
    """A row for each class that a record's words name: contain a lemma of, as a whole word, in upper or lower case.

    With `unique` a record that names several classes has none.
    """
    if words is None:
        raise UserError("data.class_match looks for classes in data.captions.words: name the text fields to look in")
    vocabulary = data.class_match.vocabulary
    names, wnids, matcher = class_matcher(vocabulary)
    records, labels = matcher.matches([text.lower() for text in words.to_pylist()])
    if data.class_match.unique:
        alone = np.bincount(records, minlength=len(words))[records] == 1
        records, labels = records[alone], labels[alone]
    return Rows(records, labels, names, wnids, words.take(pa.array(records)))


def class_matcher(vocabulary: str) -> tuple[tuple[str, ...], tuple[str, ...] | None, LemmaMatcher]:
    """Names and WordNet ids of a vocabulary's classes, and what finds them: WordNet's lemmas for ImageNet's classes, else the
    phrases that the vocabulary has."""
    concepts = load_vocabulary(vocabulary)
    names, wnids = tuple(concept.name for concept in concepts), None
    phrases = [concept.synonyms or (concept.name,) for concept in concepts]
    if vocabulary == "imagenet1k":
        from cliptail_jax.concepts.wordnet import lemmas  # NLTK is slow to import

        wnids = imagenet_wnids()
        phrases = [lemmas(wnid) for wnid in wnids]
    classes_of: dict[str, list[int]] = {}
    for c, of_class in enumerate(phrases):
        for phrase in {phrase.lower() for phrase in of_class}:
            classes_of.setdefault(phrase, []).append(c)
    return names, wnids, LemmaMatcher(classes_of)


def table_rows(source: Source, path: Path) -> Rows:
    """The rows of a table of filepath, label and caption: `label` is the source's number or name of the class, or absent.

    A file path names a record by its last part, which is the record's `filename`, or is SET/SPLIT/RECORD as `describe`
    writes it for sources without file names.
    """
    table = read_table(path)
    records = records_of(source, table["filepath"], path)
    if "label" not in table.column_names:
        labels = source.metadata["label"].to_numpy()[records]
    elif pa.types.is_integer(table.schema.field("label").type):
        labels = table["label"].to_numpy()
        if len(labels) and not (labels.min() >= 0 and labels.max() < len(source.class_names)):
            raise UserError(f"data.table: {path} has labels beyond the {len(source.class_names)} classes of the source")
    else:
        indices = pc.index_in(table["label"].cast(pa.string()), pa.array(source.class_names))
        if indices.null_count:
            unknown = table["label"].filter(indices.is_null())[0]
            raise UserError(f"data.table: {path} has the label '{unknown}', which is no class of the source")
        labels = indices.to_numpy()
    order = np.argsort(records, kind="stable")
    words = pc.fill_null(table["caption"].cast(pa.string()), "") if "caption" in table.column_names else None
    words = None if words is None else words.take(pa.array(order))
    return Rows(records[order], labels[order].astype(np.int64), source.class_names, source.wnids, words)


def read_table(path: Path) -> pa.Table:
    """A tab-separated file with a header. The study's files call the caption `title`."""
    options = pa.csv.ParseOptions(delimiter="\t", quote_char=False)
    try:
        table = pa.csv.read_csv(path, parse_options=options)
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"data.table: cannot read {path}: {str(error).splitlines()[0]}") from None
    table = table.rename_columns(["caption" if name == "title" else name for name in table.column_names])
    if "filepath" not in table.column_names:
        raise UserError(f"data.table: {path} has no column 'filepath'; it has {', '.join(table.column_names)}")
    return table


def records_of(source: Source, paths: pa.ChunkedArray, table: Path) -> Int[np.ndarray, "row"]:
    """The records that file paths name."""
    last = pc.replace_substring_regex(paths.cast(pa.string()), r"^.*/", "")
    if "filename" in source.metadata.column_names:
        names = pc.replace_substring_regex(source.metadata["filename"].cast(pa.string()), r"^.*/", "")
        found = pc.index_in(last, names.combine_chunks())
    else:
        is_number = pc.match_substring_regex(last, r"^\d+$")
        found = pc.if_else(is_number, last, None).cast(pa.int64())
        found = pc.if_else(pc.less(found, source.metadata.num_rows), found, None)
    if found.null_count:
        unknown = paths.filter(found.is_null())[0]
        raise UserError(
            f"data.table: {table} names '{unknown}' and {found.null_count - 1} more that {source.name} lacks"
        )
    return found.to_numpy().astype(np.int64)


def record_paths(source: Source, records: Int[np.ndarray, "row"]) -> list[str]:
    """What a table calls these records."""
    if "filename" in source.metadata.column_names:
        return source.metadata["filename"].take(pa.array(records)).to_pylist()
    return [f"{source.name}/{source.split}/{record}" for record in records]
