"""Counts a corpus on this machine, and writes the counts."""

import argparse
import pathlib
import re
import sys
import time
from collections.abc import Sequence
from typing import Annotated

import msgspec
import numpy as np
import pyarrow as pa

from cliptail_jax.concepts.captions import find_parts
from cliptail_jax.concepts.class_lists import class_list_for
from cliptail_jax.concepts.corpus import FinishedParts, count_corpus
from cliptail_jax.concepts.counter import ConceptCounter
from cliptail_jax.concepts.tally import COUNTS, Tally, in_order, naming_note
from cliptail_jax.concepts.word_counter import WordCounter
from cliptail_jax.formats.frequency_tables import HEADER
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import read_json, replacing
from cliptail_jax.host.outputs import check_output, first_bytes

Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
VERSION = 3  # increase it when a change of the code changes counts


def count(options: argparse.Namespace) -> None:
    """Counts a corpus and writes the counts.

    Raises:
        UserError: A flag is wrong; or files are damaged, and the counts of the others have been written.
    """
    start = time.monotonic()
    parts, output = find_parts(options.captions, options.data_dir), pathlib.Path(options.output)
    sorted_output = output.with_name(f"{output.name.removesuffix('.tsv')}.sorted.tsv")
    outputs = [output, sorted_output][: 1 + options.sorted]
    for path in outputs:
        check_output(path, is_counts, [*parts, options.classes or ""], options.overwrite)
    classes = None if options.words else class_list_for(options.classes, options.rule)
    counter = WordCounter() if options.words else ConceptCounter(classes, options.rule)
    job = repr((VERSION, options.rule, classes, options.column))
    finished_parts = FinishedParts(output, job, parts)
    if options.weights:
        tally, errors = count_weighted(counter, parts), []
    else:
        tally, errors = count_corpus(counter, parts, finished_parts, options.column, options.processes)
    if len(errors) < len(parts):
        counts = tally.counts.sort_by("name") if options.words else in_order(tally.counts, counter.names)
        sorted_counts = counts.sort_by([("count", "descending")])  # equal counts keep their order
        write_counts(output, sorted_counts if options.words else counts)
        if options.sorted:
            write_counts(outputs[1], sorted_counts)
        report(tally, output, time.monotonic() - start)
        if classes:
            print(naming_note(tally.single_matches, tally.multiple_matches, tally.captions, len(classes)))
    if errors:
        note = f"; {output} has the counts of the others" if len(errors) < len(parts) else ""
        raise UserError(f"{len(errors)} of {len(parts)} files not counted: {'; '.join(map(str, errors))}{note}")
    if not options.weights:
        finished_parts.remove()


def count_weighted(counter: ConceptCounter, paths: Sequence[str]) -> Tally:
    """Counts JSON objects of texts with numbers, such as MetaCLIP's data cards: a text is this number of captions."""
    cards = [read_json(pathlib.Path(path), dict[str, Count]) for path in paths]
    texts = [text for card in cards for text in card]
    weights = np.array([count for card in cards for count in card.values()], np.int64)
    rows, concepts = counter.matches(texts)
    counts, num_concepts = np.zeros(len(counter.names), np.int64), np.bincount(rows, minlength=len(texts))
    np.add.at(counts, concepts, weights[rows])
    table = pa.table([counter.names, counts], schema=COUNTS).filter(counts > 0)
    selections = slice(None), num_concepts == 1, num_concepts > 1
    captions, *naming_captions = (int(weights[selection].sum()) for selection in selections)
    return Tally(table, captions, 0, *naming_captions)


def is_counts(path: pathlib.Path) -> bool:
    """Whether a file has lines of name <TAB> count, with or without a header."""
    return re.match(rb"name\tcount\n|[^\t\n]*\t\d+\n", first_bytes(path)) is not None


def write_counts(path: pathlib.Path, counts: pa.Table) -> None:
    with replacing(path) as partial, open(partial, "w", encoding="utf-8", newline="\n") as file:
        file.write(HEADER)
        for rows in counts.to_batches(max_chunksize=100_000):
            file.writelines(f"{name}\t{count}\n" for name, count in zip(*map(pa.Array.to_pylist, rows.columns)))


def report(tally: Tally, output: pathlib.Path, seconds: float) -> None:
    if tally.undecodable:
        print(f"{tally.undecodable:,} captions have bytes that are not UTF-8, which count as spaces", file=sys.stderr)
    print(f"{output}: {tally.captions:,} captions in {seconds:.0f} s, {tally.counts.num_rows:,} names occur")
