"""MetaCLIP's balancing: a cap on the number of records with each entry."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from cliptail_jax.concepts.class_lists import Concept, class_list_for
from cliptail_jax.concepts.counter import ConceptCounter
from cliptail_jax.config.training import Data
from cliptail_jax.curation.rows import Rows
from cliptail_jax.curation.selection import balanced_rows
from cliptail_jax.host.errors import UserError


class Balance(NamedTuple):
    """The number of records with each entry, before and after balancing."""

    entries: tuple[str, ...]
    old_frequency: Int[np.ndarray, " entry"]
    new_frequency: Int[np.ndarray, " entry"]


def balanced(
    rows: Rows, indices: Int[np.ndarray, " row"], class_names: tuple[str, ...], data: Data
) -> tuple[Int[np.ndarray, " place"], Balance]:
    """The positions in `indices`, which are selected rows, of those that MetaCLIP's rule keeps.

    Entries are the class names, or those of a class list. A record has the entries that its words name, by
    `data.class_match.rule`. Either all rows of a record are kept, or none.
    """
    if rows.words is None:
        raise UserError("data.balance.cap looks for entries in data.captions.words: name the text fields to search")
    path, rule = data.balance.classes, data.class_match.rule
    counter = ConceptCounter(class_list_for(path, rule) if path else [Concept(name) for name in class_names], rule)
    _, first, record_of = np.unique(rows.records[indices], return_index=True, return_inverse=True)
    carriers, entries = counter.matches(rows.words.take(pa.array(indices[first])))
    kept_records = balanced_rows(carriers, entries, data.balance.cap, len(counter.names), data.seed)
    old_frequency = np.bincount(entries, minlength=len(counter.names))
    new_frequency = np.bincount(entries[np.isin(carriers, kept_records)], minlength=len(counter.names))
    return np.flatnonzero(np.isin(record_of, kept_records)), Balance(counter.names, old_frequency, new_frequency)


def most_frequent(balance: Balance) -> str:
    """The frequencies of the three most frequent entries, before and after balancing."""
    order = np.argsort(-balance.old_frequency, kind="stable")[:3]
    return "; ".join(
        f"'{balance.entries[i]}' {balance.old_frequency[i]:,} -> {balance.new_frequency[i]:,}" for i in order
    )
