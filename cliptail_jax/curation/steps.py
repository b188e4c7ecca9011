"""The steps that make a variant, each a function of the rows that are selected so far.

A factor of the data is a field of `Selecting`, which documents it; a step here, which changes nothing at the field's default;
and the step's place in `STEPS`.
"""

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int

from cliptail_jax.concepts.templates import templates
from cliptail_jax.concepts.wordnet import lemmas
from cliptail_jax.config.training import SHUFFLED, Data
from cliptail_jax.curation.balance import Balance, balanced, most_frequent
from cliptail_jax.curation.captions import Captions, first_words
from cliptail_jax.curation.classes import select_classes
from cliptail_jax.curation.joined import JoinedSource
from cliptail_jax.curation.match import describe_shortfall, matched_rows, target_frequency
from cliptail_jax.curation.noise import describe_mistakes, with_mistakes
from cliptail_jax.curation.profiles import profile_counts
from cliptail_jax.curation.redrawn import Pool
from cliptail_jax.curation.removed import rows_of_concepts
from cliptail_jax.curation.rows import Rows
from cliptail_jax.curation.selection import class_frequency, first_of_permutation, sample, seeded_split, trim_tail
from cliptail_jax.datasets.source import Source
from cliptail_jax.datasets.superclasses import KIND_OF
from cliptail_jax.host.errors import UserError


@dataclasses.dataclass(frozen=True)
class Selection:
    """The rows that are selected so far, and what the steps so far have decided about them.

    Attributes:
        rows: all rows of the source.
        indices: those in `rows` of the selected ones, ascending.
        labels: the class of each selected row in `classes`; -1 for a row without a class.
        classes: the labels in `rows` of the selected classes, in their new order.
        notes, dropped_without_caption, balance, pool, given_labels, captions: of the variant.
    """

    source: Source | JoinedSource
    rows: Rows
    indices: Int[np.ndarray, " row"]
    labels: Int[np.ndarray, " row"]
    classes: Int[np.ndarray, " class"]
    notes: tuple[str, ...] = ()
    dropped_without_caption: int = 0
    balance: Balance | None = None
    pool: Pool | None = None
    given_labels: Int[np.ndarray, " row"] | None = None
    captions: Captions | None = None

    @property
    def records(self) -> Int[np.ndarray, " row"]:
        """The index of each selected row's record in the source."""
        return self.rows.records[self.indices]

    @property
    def words(self) -> pa.Array | None:
        """Each selected row's own text, '' for none; None if the config has no text fields."""
        words = self.rows.words
        return None if words is None else words.take(pa.array(self.indices)).combine_chunks()

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self.rows.class_names[c] for c in self.classes)

    @property
    def class_frequency(self) -> Int[np.ndarray, " class"]:
        """The number of selected rows of each class."""
        return class_frequency(self.labels, len(self.classes))

    def keep(self, places: Bool[np.ndarray, " row"] | Int[np.ndarray, " stay"]) -> "Selection":
        """The selection with only some of its rows, as a mask or as ascending indices."""
        return dataclasses.replace(self, indices=self.indices[places], labels=self.labels[places])

    def note(self, *notes: str) -> "Selection":
        """The selection with further notes for the log."""
        return dataclasses.replace(self, notes=(*self.notes, *notes))


def choose_classes(selection: Selection, data: Data) -> Selection:
    """Keeps the rows of the classes that `data.classes` selects, and those without a class."""
    names, frequency = selection.class_names, selection.class_frequency
    classes = select_classes(names, frequency, data.classes, data.seed)
    new_label = np.full(len(names) + 1, -1)  # the last is of rows without a class, whose label is -1
    new_label[classes] = np.arange(len(classes))
    labels = new_label[selection.labels]
    is_kept = (labels >= 0) | (selection.labels < 0)
    return dataclasses.replace(selection, classes=classes, labels=labels).keep(is_kept)


def leave_out_unlabelled(selection: Selection, data: Data) -> Selection:
    """Keeps only rows with a class, unless rows without one belong to the variant."""
    number = np.sum(selection.labels < 0)
    if not number:
        return selection
    if selection.rows.keeps_unlabelled:
        check_classless(selection, data)
        return selection
    return selection.keep(selection.labels >= 0).note(f"{number:,} records without a label are left out")


def remove_concepts(selection: Selection, data: Data) -> Selection:
    if not data.removed.classes:
        return selection
    is_removed = rows_of_concepts(selection.rows, data.removed, data.class_match)[selection.indices]
    note = f"{np.sum(is_removed):,} of {len(is_removed):,} records removed for {len(data.removed.classes)} classes"
    return selection.keep(~is_removed).note(note)


def hold_out(selection: Selection, data: Data) -> Selection:
    if not data.held_out:
        return selection
    records, first = np.unique(selection.records, return_index=True)  # an image of several rows is on one side
    training_images, _ = seeded_split(selection.labels[first], data.held_out, data.seed)
    return selection.keep(np.isin(selection.records, records[training_images]))


def keep_similar(selection: Selection, data: Data) -> Selection:
    """Keeps records of at least `data.min_similarity`; those of `data.match.fill` were selected by another similarity."""
    if not data.min_similarity:
        return selection
    table = selection.source.metadata
    if "similarity" not in table.column_names:
        columns = ", ".join(table.column_names)
        raise UserError(f"data.min_similarity needs a source with 'similarity'; {selection.source.name} has {columns}")
    similarity = table["similarity"].to_numpy()[selection.records]  # nan where it is missing
    return selection.keep((similarity >= data.min_similarity) | ~is_own(selection, data))


def drop_without_words(selection: Selection, data: Data) -> Selection:
    """Drops rows whose text fields are empty, unless the template gives them a caption."""
    if selection.rows.words is None or data.captions.template:
        return selection
    has_words = pc.not_equal(selection.rows.words, "").to_numpy()[selection.indices]
    return dataclasses.replace(selection.keep(has_words), dropped_without_caption=int(np.sum(~has_words)))


def balance(selection: Selection, data: Data) -> Selection:
    if not data.balance.cap:
        return selection
    kept_rows, entry_balance = balanced(selection.rows, selection.indices, selection.class_names, data)
    change = f"{len(selection.indices):,} rows become {len(kept_rows):,}; {most_frequent(entry_balance)}"
    selection = selection.keep(kept_rows).note(f"balanced to {data.balance.cap:,}: {change}")
    return dataclasses.replace(selection, balance=entry_balance)


def impose_profile(selection: Selection, data: Data) -> Selection:
    if not data.profile.name:
        return selection
    counts = profile_counts(data.profile, selection.class_frequency, data.seed)
    if data.profile.redrawn:
        selection = selection.keep(selection.labels >= 0)
        selection = dataclasses.replace(selection, pool=Pool(selection.records, selection.labels, data.seed))
    return selection.keep(first_of_permutation(selection.labels, counts, data.seed))


def match_frequency(selection: Selection, data: Data) -> Selection:
    if not data.match.frequency:
        return selection
    names = selection.class_names
    target = target_frequency(names, selection.class_frequency, data.match, data.seed)
    kept_rows, shortfall = matched_rows(selection.labels, is_own(selection, data), target, data.seed)
    notes = [describe_shortfall(shortfall, target, names, data.match.frequency)] if shortfall.any() else []
    return selection.keep(kept_rows).note(*notes)


def take_sample(selection: Selection, data: Data) -> Selection:
    size = data.n, data.fraction, data.keep_all_classes
    return selection.keep(sample(selection.labels, len(selection.classes), *size, data.seed))


def cut_tail(selection: Selection, data: Data) -> Selection:
    if not data.tail.classes:
        return selection
    tail = data.tail.classes, data.tail.shots
    return selection.keep(trim_tail(selection.labels, len(selection.classes), *tail, data.seed))


def check_not_empty(selection: Selection, data: Data) -> Selection:
    """Raises UserError if no row is left for the steps that follow."""
    if not len(selection.indices):
        raise UserError(f"the variant of '{selection.source.name}' has no record: its selections leave none")
    return selection


def give_wrong_labels(selection: Selection, data: Data) -> Selection:
    if not data.labels.noise:
        return selection
    noise = data.labels.noise, data.labels.noise_sampling, data.seed, "data.labels.noise"
    given_labels, selection = labels_with_mistakes(selection, *noise)
    return dataclasses.replace(selection, given_labels=given_labels)


def write_captions(selection: Selection, data: Data) -> Selection:
    options, words = data.captions, selection.words
    prompts = templates(options.template) if options.template else ()
    if words is None and not prompts:
        return selection
    if words is not None and options.max_words:
        words = first_words(words, options.max_words)
    phrases = class_phrases(selection, options.synset)
    noise = options.distractors, options.distractor_sampling, data.seed, "data.captions.distractors"
    named_classes, selection = labels_with_mistakes(selection, *noise)
    in_apposition = options.words[:1] == (KIND_OF,)
    captions = Captions(
        prompts, phrases, named_classes, selection.records, words, data.seed, options.resample, in_apposition
    )
    return dataclasses.replace(selection, captions=captions)


STEPS = (
    choose_classes,
    leave_out_unlabelled,
    remove_concepts,
    hold_out,
    keep_similar,
    drop_without_words,
    balance,
    impose_profile,
    match_frequency,
    take_sample,
    cut_tail,
    check_not_empty,
    give_wrong_labels,
    write_captions,
)


def is_own(selection: Selection, data: Data) -> Bool[np.ndarray, " row"]:
    """Whether each selected row is of the source itself, not of `data.match.fill` behind it."""
    own_source = selection.source.first if data.match.fill else selection.source
    return selection.records < len(own_source)


def labels_with_mistakes(
    selection: Selection, share: float, sampling: str, seed: int, field: str
) -> tuple[Int[np.ndarray, " row"], Selection]:
    """The labels of the selected rows, a share of them wrong, and the selection with a note if any are."""
    labels, classes = selection.labels, len(selection.classes)
    if not share:
        return labels, selection
    given_labels = with_mistakes(labels, selection.records, classes, share, sampling, seed, field)
    return given_labels, selection.note(describe_mistakes(labels, given_labels, classes, field))


def class_phrases(selection: Selection, synset: bool) -> tuple[tuple[str, ...], ...]:
    """The phrases that stand for each class in a template: its name, or with `synset` the lemmas of its synset."""
    if not synset:
        return tuple((name,) for name in selection.class_names)
    if not selection.rows.wnids:
        raise UserError("data.captions.synset needs a source whose classes have WordNet ids")
    return tuple(lemmas(selection.rows.wnids[c]) for c in selection.classes)


def check_classless(selection: Selection, data: Data) -> None:
    """Raises UserError if a field needs the classes that rows of the source lack."""
    needs_classes = {
        "captions.template": data.captions.template,
        "batch_classes": data.batch_classes,
        "labels.noise": data.labels.noise,
        "batch_composition": data.batch_composition != SHUFFLED,
        "balanced_sampling": data.balanced_sampling,
    }
    if not len(selection.classes):
        needs_classes |= {
            "profile.name": data.profile.name,
            "match.frequency": data.match.frequency,
            "tail.classes": data.tail.classes,
        }
    if field := next((field for field, is_set in needs_classes.items() if is_set), ""):
        remedy = "set data.captions.words to its text fields" if "template" in field else "leave it out"
        raise UserError(
            f"data.{field} needs the class of each record, which {selection.source.name} lacks: {remedy}, or label records by "
            "data.class_match.classes (with unmatched='drop') or data.table"
        )
