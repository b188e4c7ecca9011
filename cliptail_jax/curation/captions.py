"""The captions of a variant's records: a template around the class name, then the source's texts."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float, Int

from cliptail_jax.formats.batches import is_text
from cliptail_jax.host.errors import UserError


@dataclasses.dataclass(frozen=True)
class Captions:
    """Captions by row of a variant.

    A record's template and phrase depend on the seed and on its index in the source.

    Attributes:
        templates: the templates to choose from; () for none.
        phrases: the phrases of each class to choose from: its name, or the lemmas of its synset.
        classes: the class that each row's template names.
        records: the record of each row, ascending.
        words: each row's own text, '' where it has none.
        resample: whether template and phrase are chosen anew in each epoch.
        in_apposition: whether the words describe the class and follow a comma: "a train, a kind of vehicle".
    """

    templates: tuple[str, ...]
    phrases: tuple[tuple[str, ...], ...]
    classes: Int[np.ndarray, " row"]
    records: Int[np.ndarray, " row"]
    words: pa.Array | None
    seed: int
    resample: bool
    in_apposition: bool = False

    def __call__(self, rows: Sequence[int | np.integer] | Int[np.ndarray, " row"], epoch: int) -> list[str]:
        """The captions of some rows. They depend on the epoch only with `resample`."""
        rows = np.asarray(rows)
        words = [""] * len(rows) if self.words is None else self.words.take(pa.array(rows)).to_pylist()
        if not self.templates:
            return words
        epoch, records = epoch if self.resample else 0, self.records[rows]
        row_templates = [self.templates[t] for t in self._templates(records, epoch)]
        phrases = self._phrases(records, self.classes[rows], epoch)
        sentences = [template.format(phrase) for template, phrase in zip(row_templates, phrases)]
        if self.in_apposition:
            return [f"{start.removesuffix('.')}, {text}" if text else start for start, text in zip(sentences, words)]
        return [f"{start} {text}".strip() for start, text in zip(sentences, words)]

    def _templates(self, records: Int[np.ndarray, " row"], epoch: int) -> Int[np.ndarray, " row"]:
        if len(self.templates) == 1:
            return np.zeros(len(records), np.int64)
        return _random_choices(self.seed, epoch, len(self.templates), int(self.records[-1]) + 1)[records]

    def _phrases(self, records: Int[np.ndarray, " row"], classes: Int[np.ndarray, " row"], epoch: int) -> list[str]:
        if all(len(phrases) == 1 for phrases in self.phrases):
            return [self.phrases[c][0] for c in classes]
        uniforms = _random_uniforms(self.seed, epoch, int(self.records[-1]) + 1)[records]
        return [self.phrases[c][int(uniform * len(self.phrases[c]))] for c, uniform in zip(classes, uniforms)]


@functools.lru_cache(maxsize=2)
def _random_choices(seed: int, epoch: int, choices: int, size: int) -> Int[np.ndarray, " record"]:
    """A choice for each of the first `size` records of a source. A record's choice does not depend on `size`."""
    return np.random.default_rng([seed, epoch]).integers(choices, size=size)


@functools.lru_cache(maxsize=2)
def _random_uniforms(seed: int, epoch: int, size: int) -> Float[np.ndarray, " record"]:
    """A number in [0, 1) for each of the first `size` records of a source, independent of its template."""
    return np.random.default_rng([seed, epoch, 1]).random(size)


def first_words(texts: pa.Array, count: int) -> pa.Array:
    """The first `count` words of each text, joined with single spaces."""
    words = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(texts))
    return pc.binary_join(pc.list_slice(words, 0, count), pa.scalar(" ", texts.type))


def joined_words(metadata: pa.Table, fields: Sequence[str]) -> pa.ChunkedArray | None:
    """The given text fields of each record, joined with single spaces; None without fields.

    Raises:
        UserError: The source lacks a field, or it is not text.
    """
    texts = [name for name in metadata.column_names if is_text(metadata.schema.field(name).type)]
    for field in fields:
        if field not in texts:
            fields_note = f"it has {', '.join(texts)}" if texts else "it has no text fields"
            raise UserError(f"data.captions.words names '{field}', which the source lacks; {fields_note}")
    if not fields:
        return None
    columns = [pc.fill_null(metadata[field].cast(pa.large_string()), "") for field in fields]  # may pass 2 GiB
    joined_texts = pc.binary_join_element_wise(*columns, pa.scalar(" ", pa.large_string()))
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(joined_texts, r"\s+", " "))
