"""Variants of records without a class, and the rules by which captions name classes."""

import json

import numpy as np
import pytest

from cliptail_jax.concepts.counter import ConceptCounter
from cliptail_jax.concepts.vocabulary import Concept, load_vocabulary
from cliptail_jax.curation.describe import describe, table_of
from cliptail_jax.errors import UserError
from tests.curation.zoo import make_source, variant_of

TEXTS = ["two clocks", "a Clock and a dog", "clock", "nothing here", "clock towers", "hot dogs", "cat", ""]
VOCABULARY = [{"name": "clock"}, {"name": "dog", "exclude": ["hot"]}, {"name": "clock tower"}]


@pytest.fixture
def pairs():
    """Pairs of images and texts without labels."""
    return make_source([-1] * len(TEXTS), (), title=TEXTS, tags=[""] * len(TEXTS))


@pytest.fixture
def vocabulary(tmp_path):
    path = tmp_path / "vocabulary.json"
    path.write_text(json.dumps(VOCABULARY))
    return str(path)


def rows_of(variant):
    return list(zip(variant.records.tolist(), variant.labels.tolist()))


def test_pairs_without_labels_are_a_variant_without_classes(pairs):
    variant = variant_of(pairs, captions={"words": ("title",)})
    assert rows_of(variant) == [(record, -1) for record in range(7)] and variant.dropped_without_caption == 1
    assert variant.class_names == () and len(variant.class_frequency) == 0 and variant.unlabelled == 7
    assert variant.captions(range(7), epoch=0) == TEXTS[:7] and variant.notes == ()
    assert len(variant_of(pairs, captions={"words": ("title",)}, fraction=0.5)) == 4
    assert "records      7; 1 dropped without text; 7 without a class" in describe(variant)


def test_both_rules_find_what_a_direct_search_finds(pairs, vocabulary):
    match = {"vocabulary": vocabulary}
    lemmas = variant_of(pairs, class_match=match, captions={"words": ("title",)})
    assert rows_of(lemmas) == [(0, 0), (1, 0), (1, 1), (2, 0), (4, 0), (4, 2)]
    assert lemmas.notes == ("2 of 8 captions name one of 3 classes, 2 several, 4 none",)
    phrases = variant_of(pairs, class_match=match | {"rule": "phrases"}, captions={"words": ("title",)})
    assert rows_of(phrases) == [(1, 0), (1, 1), (2, 0), (4, 0)]
    assert phrases.notes == ("2 of 8 captions name one of 3 classes, 1 several, 5 none",)


@pytest.mark.parametrize("rule", ["lemmas", "phrases"])
def test_as_many_records_train_as_are_counted(pairs, vocabulary, rule):
    variant = variant_of(pairs, class_match={"vocabulary": vocabulary, "rule": rule}, captions={"words": ("title",)})
    counter = ConceptCounter(load_vocabulary(vocabulary), rule)
    assert list(counter.count(TEXTS).values()) == variant.class_frequency.tolist()
    named = counter.naming([TEXTS[:3], TEXTS[3:]])
    assert named.counts.tolist() == variant.class_frequency.tolist() and variant.notes == (str(named),)


def test_captions_that_are_no_utf8_or_missing_name_by_phrases_what_is_left():
    counter = ConceptCounter([Concept("dog"), Concept("straße")], "phrases")
    assert counter.count([b"\xff dog", None, "Straße", b"dog\xff"]) == {"dog": 2, "straße": 1}


def test_pairs_that_name_no_class_are_kept_beside_those_that_do(pairs, vocabulary):
    match = {"vocabulary": vocabulary, "unmatched": "keep"}
    variant = variant_of(pairs, class_match=match, captions={"words": ("title",)})
    assert rows_of(variant) == [(0, 0), (1, 0), (1, 1), (2, 0), (3, -1), (4, 0), (4, 2), (5, -1), (6, -1)]
    assert variant.class_frequency.tolist() == [4, 1, 1] and variant.unlabelled == 3
    assert variant.captions([4, 5], epoch=0) == ["nothing here", "clock towers"]
    alone = variant_of(pairs, class_match=match | {"unique": True}, captions={"words": ("title",)})
    assert rows_of(alone) == [(0, 0), (2, 0), (3, -1), (5, -1), (6, -1)]


def test_classes_that_are_not_selected_are_not_kept(pairs, vocabulary):
    match = {"vocabulary": vocabulary, "unmatched": "keep"}
    variant = variant_of(pairs, class_match=match, classes={"names": ("dog",)}, captions={"words": ("title",)})
    assert rows_of(variant) == [(1, 0), (3, -1), (5, -1), (6, -1)]


def test_class_frequencies_are_imposed_on_the_classes_alone(pairs, vocabulary):
    for selection in (dict(profile={"name": "zipf", "exponent": 2.0}), dict(tail={"classes": 2, "shots": 0})):
        kept, dropped = (
            variant_of(
                pairs,
                class_match={"vocabulary": vocabulary, "unmatched": unmatched},
                captions={"words": ("title",)},
                **selection,
            )
            for unmatched in ("keep", "drop")
        )
        assert sorted(rows_of(kept)) == sorted([*rows_of(dropped), (3, -1), (5, -1), (6, -1)])
        assert np.all(np.diff(kept.records) >= 0) and dropped.class_frequency.tolist() != [4, 1, 1]


def test_an_exported_table_gives_the_same_pairs(pairs, tmp_path):
    variant = variant_of(pairs, captions={"words": ("title",)})
    path = tmp_path / "pairs.tsv"
    path.write_text(table_of(variant, path))
    assert variant_of(pairs, table=str(path)).fingerprint() == variant.fingerprint()


@pytest.mark.parametrize(
    "fields, message",
    [
        (
            dict(captions={"template": "cname"}),
            "data.captions.template needs the class .*, which zoo lacks: set data.cap",
        ),
        (dict(batch_classes=3), "data.batch_classes needs the class of each record"),
        (dict(batch_composition="distinct"), "data.batch_composition needs the class of each record"),
        (dict(balanced_sampling=True), "data.balanced_sampling needs the class of each record"),
        (dict(profile={"name": "zipf"}), "data.profile.name needs the class of each record"),
        (dict(tail={"classes": 1}), "data.tail.classes needs the class of each record"),
    ],
)
def test_what_needs_classes_is_refused_without_them(pairs, fields, message):
    with pytest.raises(UserError, match=message):
        variant_of(pairs, **{"captions": {"words": ("title",)}} | fields)
