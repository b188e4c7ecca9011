"""A variant: the records of a source that a config selects, their captions, and their classes."""

import dataclasses
import itertools
import json
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from cliptail_jax.config.training import Data
from cliptail_jax.curation.balance import Balance
from cliptail_jax.curation.joined import JoinedSource, open_splits
from cliptail_jax.curation.redrawn import Pool
from cliptail_jax.curation.rows import all_rows
from cliptail_jax.curation.selection import class_frequency
from cliptail_jax.curation.steps import STEPS, Selection
from cliptail_jax.datasets.source import Source, open_source
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import digest_of
from cliptail_jax.input.tokenizer import Tokenizer, train_tokenizer


@dataclasses.dataclass(frozen=True)
class Variant:
    """Rows in ascending order of the source's records. A record whose caption names two classes may be two rows.

    Attributes:
        records: the index of each row's record in the source.
        labels: the class of each row in `class_names`; -1 for a row without a class.
        original_labels: the labels before classes were selected.
        captions: None if the config has neither a template nor text fields.
        dropped_without_caption: the number of rows that were dropped because they have no text.
        notes: for the log: shortfalls and changes of class frequencies.
        balance: the frequencies of entries before and after balancing, if enabled.
        given_labels: the labels in training, if some are wrong; None if they are `labels`.
        pool: the records from which each epoch draws those of the rows; None if they are `records` in all epochs.
    """

    source: Source | JoinedSource
    records: Int[np.ndarray, " row"]
    labels: Int[np.ndarray, " row"]
    class_names: tuple[str, ...]
    original_labels: Int[np.ndarray, " original"]
    captions: Callable[..., Sequence[str]] | None
    dropped_without_caption: int = 0
    notes: tuple[str, ...] = ()
    balance: Balance | None = None
    given_labels: Int[np.ndarray, " row"] | None = None
    pool: Pool | None = None

    def __len__(self) -> int:
        return len(self.records)

    @property
    def class_frequency(self) -> Int[np.ndarray, " class"]:
        """The number of rows of each class."""
        return class_frequency(self.labels, len(self.class_names))

    @property
    def unlabelled(self) -> int:
        """The number of rows without a class."""
        return int(np.sum(self.labels < 0))

    @property
    def training_view(self) -> "Variant":
        """The variant as training sees it: with labels that may be wrong, and their class frequency."""
        return self if self.given_labels is None else dataclasses.replace(self, labels=self.given_labels)

    def fingerprint(self) -> str:
        """The SHA-256 of record indices, labels, captions of the first epoch, and the re-encoding of images, if any.

        It includes the labels in training if they differ. It is equal only for equal variants.
        """
        numbers = (self.records.astype("<i8").tobytes(), self.labels.astype("<i8").tobytes())
        given_labels = [] if self.given_labels is None else [b"given", self.given_labels.astype("<i8").tobytes()]
        pool = [] if self.pool is None else [b"pool", self.pool.records.astype("<i8").tobytes()]
        texts = ("\n".join(captions).encode() + b"\n" for captions in caption_chunks(self))
        encoding = [json.dumps(self.source.encoding).encode()] if self.source.encoding else []
        return digest_of(itertools.chain(numbers, given_labels, pool, texts, encoding))


def caption_chunks(variant: Variant) -> Iterator[list[str]]:
    """All captions of the first epoch, in chunks; none if the variant has no captions."""
    for start in range(0, len(variant) if variant.captions else 0, 65536):
        yield variant.captions(range(start, min(start + 65536, len(variant))), epoch=0)


def caption_tokenizer(variant: Variant, vocab_size: int, context_length: int) -> Tokenizer:
    """A tokenizer that is trained on the captions of the first epoch, as `train_tokenizer`.

    Its number of tokens is a multiple of 64, so that runs on nearly the same captions share a compiled program.
    """
    captions = variant.captions(range(len(variant)), epoch=0)
    return train_tokenizer(captions, vocab_size, context_length, multiple=64)


def distinct_captions(variant: Variant) -> list[str]:
    """The distinct captions of a variant whose captions are the same in each epoch."""
    return pa.chunked_array([pa.array(captions).unique() for captions in caption_chunks(variant)]).unique().to_pylist()


def open_variant(data: Data) -> Variant:
    """Opens the prepared data set that the section names, and makes the variant (`make_variant`).

    Example: `open_variant(Data(name="cifar100", fraction=0.1)).class_frequency`
    """
    return make_variant(open_splits(data.name, data.data_dir, data.split, data.class_names), data)


def make_variant(source: Source | JoinedSource, data: Data) -> Variant:
    """The variant of a source that the section selects, by the steps of `STEPS` in their order.

    Raises:
        UserError: A field refers to something that the source lacks, or no record is left.
    """
    if data.match.fill:
        source = fill_source(source, data)
    rows = all_rows(source, data)
    indices, classes = np.arange(len(rows.records)), np.arange(len(rows.class_names))
    selection = Selection(source, rows, indices, rows.labels, classes, (rows.note,) if rows.note else ())
    for step in STEPS:
        selection = step(selection, data)
    return Variant(
        source,
        selection.records,
        selection.labels,
        selection.class_names,
        rows.labels[selection.indices],
        selection.captions,
        selection.dropped_without_caption,
        selection.notes,
        selection.balance,
        selection.given_labels,
        selection.pool,
    )


def fill_source(source: Source | JoinedSource, data: Data) -> JoinedSource:
    """The source, followed by the one that `data.match.fill` names as NAME:SPLIT."""
    if not data.match.frequency:
        raise UserError("data.match.fill supplies records that data.match.frequency finds missing: set that, too")
    name, colon, split = data.match.fill.rpartition(":")
    if not colon:
        raise UserError(f"data.match.fill is '{data.match.fill}'; a source is named as 'name:split'")
    return JoinedSource(source, open_source(name, data.data_dir, split, data.class_names))
