"""The caption of each record of a variant: a template around its class, then the source's own words."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int

from cliptail_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Captions:
    """Captions by row of a variant.

    Which template and which phrase a record gets depends on the seed and its place in the source.
    """

    templates: tuple[str, ...]  # () = no template
    phrases: tuple[tuple[str, ...], ...]  # by class: its name, or the lemmas of its synset
    labels: Int[np.ndarray, "row"]
    records: Int[np.ndarray, "row"]  # ascending
    words: pa.Array | None  # each row's own words, '' where it has none
    seed: int
    resample: bool

    def __call__(self, rows: Sequence[int], epoch: int) -> list[str]:
        """The captions of some rows; with `resample` they depend on the epoch."""
        rows = np.asarray(rows)
        words = [""] * len(rows) if self.words is None else self.words.take(pa.array(rows)).to_pylist()
        if not self.templates:
            return words
        epoch, records = epoch if self.resample else 0, self.records[rows]
        drawn = [self.templates[t] for t in self._templates(records, epoch)]
        phrases = self._phrases(records, self.labels[rows], epoch)
        return [f"{template.format(phrase)} {more}".strip() for template, phrase, more in zip(drawn, phrases, words)]

    def _templates(self, records: Int[np.ndarray, "some"], epoch: int) -> Int[np.ndarray, "some"]:
        if len(self.templates) == 1:
            return np.zeros(len(records), np.int64)
        return _draw(self.seed, epoch, len(self.templates), int(self.records[-1]) + 1)[records]

    def _phrases(self, records: Int[np.ndarray, "some"], labels: Int[np.ndarray, "some"], epoch: int) -> list[str]:
        if all(len(phrases) == 1 for phrases in self.phrases):
            return [self.phrases[c][0] for c in labels]
        drawn = _draw_share(self.seed, epoch, int(self.records[-1]) + 1)[records]
        return [self.phrases[c][int(share * len(self.phrases[c]))] for c, share in zip(labels, drawn)]


@functools.lru_cache(maxsize=2)
def _draw(seed: int, epoch: int, choices: int, size: int) -> Int[np.ndarray, "record"]:
    """One choice for every record of a source. A shorter draw is the start of a longer one."""
    return np.random.default_rng([seed, epoch]).integers(choices, size=size)


@functools.lru_cache(maxsize=2)
def _draw_share(seed: int, epoch: int, size: int) -> Float[np.ndarray, "record"]:
    """A number in [0, 1) for every record of a source, independent of its template."""
    return np.random.default_rng([seed, epoch, 1]).random(size)


def joined_words(metadata: pa.Table, fields: Sequence[str]) -> pa.ChunkedArray | None:
    """The text fields of each record, joined in the given order with single spaces; None if no field is asked for."""
    texts = [name for name in metadata.column_names if is_text(metadata.schema.field(name).type)]
    for field in fields:
        if field not in texts:
            has = f"it has {', '.join(texts)}" if texts else "it has no text fields"
            raise UserError(f"data.captions.words names '{field}', which the source lacks; {has}")
    if not fields:
        return None
    columns = [pc.fill_null(metadata[field].cast(pa.large_string()), "") for field in fields]  # may pass 2 GiB
    joined = (
        columns[0] if len(columns) == 1 else pc.binary_join_element_wise(*columns, pa.scalar(" ", pa.large_string()))
    )
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(joined, r"\s+", " "))


def is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)
