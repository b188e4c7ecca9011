"""A variant: the records of a source that a config selects, their captions, and their classes."""

import dataclasses
import itertools
import json
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int
from ml_collections import ConfigDict

from cliptail_jax.concepts.templates import templates
from cliptail_jax.concepts.wordnet import lemmas
from cliptail_jax.config.training import SHUFFLED
from cliptail_jax.curation.balance import Balance, balanced, most_frequent
from cliptail_jax.curation.captions import Captions, first_words
from cliptail_jax.curation.classes import select_classes
from cliptail_jax.curation.joined import JoinedSource, open_splits
from cliptail_jax.curation.match import describe_shortfall, matched_rows, target_frequency
from cliptail_jax.curation.noise import describe_mistakes, with_mistakes
from cliptail_jax.curation.profiles import profile_counts
from cliptail_jax.curation.removed import rows_of_concepts
from cliptail_jax.curation.rows import all_rows
from cliptail_jax.curation.selection import first_of_permutation, sample, seeded_split, trim_tail
from cliptail_jax.datasets.source import Source, open_source
from cliptail_jax.datasets.superclasses import KIND_OF
from cliptail_jax.errors import UserError
from cliptail_jax.files import digest_of


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

    def __len__(self) -> int:
        return len(self.records)

    @property
    def class_frequency(self) -> Int[np.ndarray, " class"]:
        """The number of rows of each class."""
        return np.bincount(self.labels[self.labels >= 0], minlength=len(self.class_names))

    @property
    def unlabelled(self) -> int:
        """The number of rows without a class."""
        return int(np.sum(self.labels < 0))

    @property
    def given(self) -> "Variant":
        """The variant as training sees it: with labels that may be wrong, and their class frequency."""
        return self if self.given_labels is None else dataclasses.replace(self, labels=self.given_labels)

    def fingerprint(self) -> str:
        """The SHA-256 of record indices, labels, captions of the first epoch, and the re-encoding of images, if any.

        It includes the labels in training if they differ. It is equal only for equal variants.
        """
        numbers = (self.records.astype("<i8").tobytes(), self.labels.astype("<i8").tobytes())
        given = [] if self.given_labels is None else [b"given", self.given_labels.astype("<i8").tobytes()]
        texts = ("\n".join(captions).encode() + b"\n" for captions in caption_chunks(self))
        encoding = [json.dumps(self.source.encoding).encode()] if self.source.encoding else []
        return digest_of(itertools.chain(numbers, given, texts, encoding))


def caption_chunks(variant: Variant) -> Iterator[list[str]]:
    """All captions of the first epoch, in chunks; none if the variant has no captions."""
    for start in range(0, len(variant) if variant.captions else 0, 65536):
        yield variant.captions(range(start, min(start + 65536, len(variant))), epoch=0)


def distinct_captions(variant: Variant) -> list[str]:
    """The distinct captions of a variant whose captions are the same in each epoch."""
    return pa.chunked_array([pa.array(captions).unique() for captions in caption_chunks(variant)]).unique().to_pylist()


def open_variant(data: ConfigDict) -> Variant:
    """Opens the prepared data set that the `data` section of a config names, and makes the variant (`make_variant`)."""
    return make_variant(open_splits(data.name, data.data_dir, data.split, data.class_names), data)


def make_variant(source: Source | JoinedSource, data: ConfigDict) -> Variant:
    """The variant of a source that the `data` section of a config selects.

    The steps, in this order: records and labels (the source's, a table's, or the classes that captions name); classes;
    removed concepts; held-out records; similarity; text fields (a record without text is dropped, unless there is a template); balance;
    class frequency (an imposed profile, or that of another variant); scale; the tail; and mistakes in captions and
    labels. Rows without a class stay when a class frequency is imposed or the tail is cut.

    Raises:
        UserError: A field refers to something that the source lacks, or no record is left.
    """
    first = len(source)
    if data.match.fill:
        source = fill_source(source, data)
    rows = all_rows(source, data)
    frequency = np.bincount(rows.labels[rows.labels >= 0], minlength=len(rows.class_names))
    classes = select_classes(rows.class_names, frequency, data.classes, data.seed)
    class_names = tuple(rows.class_names[c] for c in classes)
    new_label = np.full(len(rows.class_names) + 1, -1)  # the last is of rows without a class, whose label is -1
    new_label[classes] = np.arange(len(classes))
    labels = new_label[rows.labels]
    # Indices into `rows`, of which every step keeps some
    kept = np.flatnonzero((labels >= 0) | (rows.keeps_unlabelled & (rows.labels < 0)))
    notes = [rows.note] if rows.note else []
    unlabelled = int(np.sum(rows.labels < 0))
    if unlabelled and not rows.keeps_unlabelled:
        notes.append(f"{unlabelled:,} records without a label are left out")
    elif unlabelled:
        check_classless(data, source.name, len(classes))

    if data.removed.classes:
        of_rule = data.class_match.vocabulary, data.class_match.rule
        gone = rows_of_concepts(rows, data.removed.classes, data.removed.words, *of_rule)[kept]
        notes.append(f"{np.sum(gone):,} of {len(kept):,} records removed for {len(data.removed.classes)} classes")
        kept = kept[~gone]
    if data.held_out:
        kept = kept[seeded_split(labels[kept], data.held_out, data.seed)[0]]
    if data.min_similarity:
        # Records of the second source were selected by another similarity.
        records = rows.records[kept]
        kept = kept[(similarity(source)[records] >= data.min_similarity) | (records >= first)]
    dropped = 0
    if rows.words is not None and not data.captions.template:
        has_words = pc.not_equal(rows.words, "").to_numpy()[kept]
        dropped, kept = int(np.sum(~has_words)), kept[has_words]
    balance = None
    if data.balance.cap:
        places, balance = balanced(rows, kept, class_names, data)
        change = f"{len(kept):,} rows become {len(places):,}; {most_frequent(balance)}"
        notes.append(f"balanced to {data.balance.cap:,}: {change}")
        kept = kept[places]
    classless, kept = kept[labels[kept] < 0], kept[labels[kept] >= 0]
    available = np.bincount(labels[kept], minlength=len(classes))
    if data.profile.name:
        counts = profile_counts(available=available, seed=data.seed, **vars(data.profile))
        kept = kept[first_of_permutation(labels[kept], counts, data.seed)]
    if data.match.frequency:
        wanted = data.match.frequency, data.match.n, data.match.assignment
        target = target_frequency(class_names, available, *wanted, data.seed)
        chosen, short = matched_rows(labels[kept], rows.records[kept] < first, target, data.seed)
        if short.any():
            notes.append(describe_shortfall(short, target, class_names, data.match.frequency))
        kept = kept[chosen]
    kept = np.union1d(kept, classless)
    kept = kept[sample(labels[kept], len(classes), data.n, data.fraction, data.keep_all_classes, data.seed)]
    if data.tail.classes:
        classless, kept = kept[labels[kept] < 0], kept[labels[kept] >= 0]
        kept = kept[trim_tail(labels[kept], len(classes), data.tail.classes, data.tail.shots, data.seed)]
        kept = np.union1d(kept, classless)
    if not len(kept):
        raise UserError(f"the variant of '{source.name}' has no record: its selections leave none")

    records, labels = rows.records[kept], labels[kept]

    def with_noise(share: float, sampling: str, field: str) -> Int[np.ndarray, " row"]:
        given = with_mistakes(labels, records, len(classes), share, sampling, data.seed, field)
        if share:
            notes.append(describe_mistakes(labels, given, len(classes), field))
        return given

    given_labels = with_noise(data.labels.noise, data.labels.noise_sampling, "data.labels.noise")
    prompts = templates(data.captions.template) if data.captions.template else ()
    captions = None
    if rows.words is not None or prompts:
        words = None if rows.words is None else rows.words.take(pa.array(kept)).combine_chunks()
        if words is not None and data.captions.max_words:
            words = first_words(words, data.captions.max_words)
        phrases = class_phrases(class_names, rows.wnids and [rows.wnids[c] for c in classes], data)
        named = with_noise(data.captions.distractors, data.captions.distractor_sampling, "data.captions.distractors")
        captions = Captions(
            prompts,
            phrases,
            named,
            records,
            words,
            data.seed,
            data.captions.resample,
            in_apposition=data.captions.words[:1] == (KIND_OF,),
        )
    original = rows.labels[kept]
    given_labels = given_labels if data.labels.noise else None
    return Variant(
        source, records, labels, class_names, original, captions, dropped, tuple(notes), balance, given_labels
    )


def check_classless(data: ConfigDict, name: str, classes: int) -> None:
    """Raises UserError if the `data` section of a config needs classes that rows of the source `name` lack."""
    asked = {
        "captions.template": data.captions.template,
        "batch_classes": data.batch_classes,
        "labels.noise": data.labels.noise,
        "batch_composition": data.batch_composition != SHUFFLED,
        "balanced_sampling": data.balanced_sampling,
    }
    if not classes:
        asked |= {
            "profile.name": data.profile.name,
            "match.frequency": data.match.frequency,
            "tail.classes": data.tail.classes,
        }
    for key, is_set in asked.items():
        if is_set:
            remedy = "set data.captions.words to its text fields" if "template" in key else "leave it out"
            raise UserError(
                f"data.{key} needs the class of each record, which {name} lacks: {remedy}, or label records by "
                "data.class_match.vocabulary (with unmatched='drop') or data.table"
            )


def fill_source(source: Source | JoinedSource, data: ConfigDict) -> JoinedSource:
    """The source, followed by the one that `data.match.fill` names as NAME:SPLIT."""
    if not data.match.frequency:
        raise UserError("data.match.fill supplies records that data.match.frequency finds missing: set that, too")
    name, colon, split = data.match.fill.rpartition(":")
    if not colon:
        raise UserError(f"data.match.fill is '{data.match.fill}'; a source is named as 'name:split'")
    return JoinedSource(source, open_source(name, data.data_dir, split, data.class_names))


def similarity(source: Source | JoinedSource):
    """The similarity of each record's text to the definition of its class; nan if it is missing."""
    if "similarity" not in source.metadata.column_names:
        has = ", ".join(source.metadata.column_names)
        raise UserError(f"data.min_similarity needs a source with 'similarity'; {source.name} has {has}")
    return source.metadata["similarity"].to_numpy()


def class_phrases(
    class_names: tuple[str, ...], wnids: Sequence[str] | None, data: ConfigDict
) -> tuple[tuple[str, ...], ...]:
    """The phrases that stand for each class in a template: its name, or with `synset` the lemmas of its synset."""
    if not data.captions.synset:
        return tuple((name,) for name in class_names)
    if not wnids:
        raise UserError("data.captions.synset needs a source whose classes have WordNet ids")
    return tuple(lemmas(wnid) for wnid in wnids)
