"""The caption of each record of a variant: a template around the class name, then the source's own words."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int

from cliptail_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Captions:
    """Captions by row of a variant. Which template a record gets depends on the seed and its place in the source."""

    templates: tuple[str, ...]  # () = no template
    class_names: tuple[str, ...]
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
        drawn = self._drawn_templates(rows, epoch if self.resample else 0)
        texts = (self.templates[t].format(self.class_names[c]) for t, c in zip(drawn, self.labels[rows]))
        return [f"{text} {more}".strip() for text, more in zip(texts, words)]

    def _drawn_templates(self, rows: Int[np.ndarray, "some"], epoch: int) -> Int[np.ndarray, "some"]:
        if len(self.templates) == 1:
            return np.zeros(len(rows), np.int64)
        return _draw(self.seed, epoch, len(self.templates), int(self.records[-1]) + 1)[self.records[rows]]


@functools.lru_cache(maxsize=2)
def _draw(seed: int, epoch: int, choices: int, size: int) -> Int[np.ndarray, "record"]:
    """One choice for every record of a source. A shorter draw is the start of a longer one."""
    return np.random.default_rng([seed, epoch]).integers(choices, size=size)


def joined_words(metadata: pa.Table, fields: Sequence[str]) -> pa.Array | None:
    """The text fields of each record, joined in the given order with single spaces; None if no field is asked for."""
    texts = [name for name in metadata.column_names if pa.types.is_string(metadata.schema.field(name).type)]
    for field in fields:
        if field not in texts:
            has = f"it has {', '.join(texts)}" if texts else "it has no text fields"
            raise UserError(f"data.captions.words names '{field}', which the source lacks; {has}")
    if not fields:
        return None
    columns = [pc.fill_null(metadata[field].combine_chunks(), "") for field in fields]
    joined = pc.binary_join_element_wise(*columns, " ")
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(joined, r"\s+", " "))
