"""Variants of records without a class, and the rules by which captions name classes."""

import json

import numpy as np
import pyarrow as pa
import pytest

from cliptail_jax.concepts.class_lists import Concept, load_class_list
from cliptail_jax.concepts.counter import ConceptCounter
from cliptail_jax.concepts.tally import count_chunks, in_order, naming_note
from cliptail_jax.curation.export import table_of
from cliptail_jax.curation.joined import JoinedSource
from cliptail_jax.curation.rows import paths_of_records, records_of
from cliptail_jax.host.errors import UserError
from cliptail_jax.report.data import describe
from tests.curation.zoo import make_source, variant_of

TEXTS = ["two clocks", "a Clock and a dog", "clock", "nothing here", "clock towers", "hot dogs", "cat", ""]
TITLES = {"words": ("title",)}
CLASSES = [{"name": "clock"}, {"name": "dog", "exclude": ["hot"]}, {"name": "clock tower"}]


@pytest.fixture
def pairs():
    """Pairs of images and texts without labels."""
    return make_source([-1] * len(TEXTS), (), title=TEXTS, tags=[""] * len(TEXTS))


@pytest.fixture
def classes(tmp_path):
    path = tmp_path / "classes.json"
    path.write_text(json.dumps(CLASSES))
    return str(path)


def rows_of(variant):
    return list(zip(variant.records.tolist(), variant.labels.tolist()))


def test_pairs_without_labels_are_a_variant_without_classes(pairs):
    variant = variant_of(pairs, captions=TITLES)
    assert rows_of(variant) == [(record, -1) for record in range(7)] and variant.dropped_without_caption == 1
    assert variant.class_names == () and len(variant.class_frequency) == 0 and variant.unlabelled == 7
    assert variant.captions(range(7), epoch=0) == TEXTS[:7] and variant.notes == ()
    assert len(variant_of(pairs, captions=TITLES, fraction=0.5)) == 4
    assert "records      7; 1 dropped without text; 7 without a class" in describe(variant)


def test_classes_by_lemmas_and_by_phrases_are_those_of_a_direct_search(pairs, classes):
    match = {"classes": classes}
    lemmas = variant_of(pairs, class_match=match, captions=TITLES)
    assert rows_of(lemmas) == [(0, 0), (1, 0), (1, 1), (2, 0), (4, 0), (4, 2)]
    assert lemmas.notes == ("2 of 8 captions name one of 3 classes, 2 several, 4 none",)
    phrases = variant_of(pairs, class_match=match | {"rule": "phrases"}, captions=TITLES)
    assert rows_of(phrases) == [(1, 0), (1, 1), (2, 0), (4, 0)]
    assert phrases.notes == ("2 of 8 captions name one of 3 classes, 1 several, 5 none",)


def test_an_image_that_names_several_classes_is_held_out_with_all_of_them(classes):
    pairs = make_source([-1] * 40, (), title=["a clock and a dog"] * 20 + ["a dog"] * 20, tags=[""] * 40)
    fields = dict(class_match={"classes": classes}, captions=TITLES)
    whole_variant, training_variant = variant_of(pairs, **fields), variant_of(pairs, **fields, held_out=0.25)
    assert (
        len(whole_variant) == 60
        and np.bincount(training_variant.records).tolist()
        == [
            count if record in training_variant.records else 0
            for record, count in enumerate(np.bincount(whole_variant.records))
        ][: training_variant.records.max() + 1]
    )
    assert len(np.unique(training_variant.records)) == 30


def test_files_of_the_same_name_in_joined_splits_have_other_paths():
    train, other = (
        make_source([0, 0], ("a",), filename=names) for names in (["a/1.png", "a/2.png"], ["a/1.png", "a/3.png"])
    )
    train.split, other.split = "train", "val"
    both_splits = JoinedSource(train, other)
    paths = paths_of_records(both_splits)
    assert paths.to_pylist() == ["zoo/train+val/0", "a/2.png", "zoo/train+val/2", "a/3.png"]
    assert records_of(both_splits, pa.chunked_array([paths]), "table.tsv").tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("rule", ["lemmas", "phrases"])
def test_as_many_records_train_as_are_counted(pairs, classes, rule):
    variant = variant_of(pairs, class_match={"classes": classes, "rule": rule}, captions=TITLES)
    counter = ConceptCounter(load_class_list(classes), rule)
    assert list(counter.count(TEXTS).values()) == variant.class_frequency.tolist()
    tally = count_chunks(counter, [TEXTS[:3], TEXTS[3:]])
    assert in_order(tally.counts, counter.names)["count"].to_pylist() == variant.class_frequency.tolist()
    assert variant.notes == (
        naming_note(tally.single_matches, tally.multiple_matches, tally.captions, len(counter.names)),
    )


def test_captions_that_are_no_utf8_or_missing_name_by_phrases_what_is_left():
    counter = ConceptCounter([Concept("dog"), Concept("straße")], "phrases")
    assert counter.count([b"\xff dog", None, "Straße", b"dog\xff"]) == {"dog": 2, "straße": 1}


def test_pairs_that_name_no_class_are_kept_beside_those_that_do(pairs, classes):
    match = {"classes": classes, "unmatched": "keep"}
    variant = variant_of(pairs, class_match=match, captions=TITLES)
    assert rows_of(variant) == [(0, 0), (1, 0), (1, 1), (2, 0), (3, -1), (4, 0), (4, 2), (5, -1), (6, -1)]
    assert variant.class_frequency.tolist() == [4, 1, 1] and variant.unlabelled == 3
    assert variant.captions([4, 5], epoch=0) == ["nothing here", "clock towers"]
    alone = variant_of(pairs, class_match=match | {"unique": True}, captions=TITLES)
    assert rows_of(alone) == [(0, 0), (2, 0), (3, -1), (5, -1), (6, -1)]


def test_classes_that_are_not_selected_are_not_kept(pairs, classes):
    match = {"classes": classes, "unmatched": "keep"}
    variant = variant_of(pairs, class_match=match, classes={"names": ("dog",)}, captions=TITLES)
    assert rows_of(variant) == [(1, 0), (3, -1), (5, -1), (6, -1)]


def test_class_frequencies_are_imposed_on_the_classes_alone(pairs, classes):
    for selection in (dict(profile={"name": "zipf", "exponent": 2.0}), dict(tail={"classes": 2, "shots": 0})):
        matches = ({"classes": classes, "unmatched": unmatched} for unmatched in ("keep", "drop"))
        larger_variant, smaller_variant = (
            variant_of(pairs, class_match=match, captions=TITLES, **selection) for match in matches
        )
        assert sorted(rows_of(larger_variant)) == sorted([*rows_of(smaller_variant), (3, -1), (5, -1), (6, -1)])
        assert np.all(np.diff(larger_variant.records) >= 0) and smaller_variant.class_frequency.tolist() != [4, 1, 1]


def test_a_sample_of_a_number_of_records_keeps_a_pair_of_every_class_beside_those_without(pairs, classes):
    match = {"classes": classes, "unmatched": "keep"}
    for seed in range(5):
        sample = variant_of(pairs, class_match=match, captions=TITLES, n=5, keep_all_classes=True, seed=seed)
        assert len(sample) == 5 and np.all(sample.class_frequency > 0)


def test_an_exported_table_gives_the_same_pairs(pairs, tmp_path):
    variant = variant_of(pairs, captions=TITLES)
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
        (dict(classes={"names": ("dog",)}), "data.classes.names has 'dog', which is not a class .* .it has none"),
    ],
)
def test_fields_that_need_classes_are_refused_without_them(pairs, fields, message):
    with pytest.raises(UserError, match=message):
        variant_of(pairs, **{"captions": TITLES} | fields)


# Removed concepts

SHAPES = ["arrow up", "arrow", "up circle", "circle", "star", "arrows", "sun"]


def removed(listed="", rule="phrases", **fields):
    source = make_source([0, -1, -1, 1, 2, -1, 2], ("arrow up", "circle", "star"), title=SHAPES, tags=[""] * 7)
    match = {"classes": listed, "rule": rule, "unmatched": "keep"}
    variant = variant_of(source, removed=fields, class_match=match, captions=TITLES)
    return [SHAPES[record] for record in variant.records], variant


@pytest.fixture
def shapes(tmp_path):
    path = tmp_path / "shapes.json"
    path.write_text(
        json.dumps([{"name": "arrow up"}, {"name": "circle"}, {"name": "star", "synonyms": ["star", "sun"]}])
    )
    return str(path)


@pytest.mark.parametrize("fields, rule, names", [
    (dict(classes=("arrow up",)), "phrases", SHAPES[1:]),
    (dict(classes=("arrow up",), words=True), "phrases", ["circle", "star", "arrows", "sun"]),
    (dict(classes=("arrow up",), words=True), "lemmas", ["circle", "star", "sun"]),
    (dict(classes=("circle", "star")), "longest", ["arrow up", "arrow", "arrows"]),
])  # fmt: skip
def test_pairs_of_a_removed_concept_are_those_that_name_it_or_have_a_word_of_its_name(shapes, fields, rule, names):
    titles, variant = removed(shapes, rule, **fields)
    assert titles == names and variant.class_names == ("arrow up", "circle", "star")
    assert variant.notes[-1] == f"{7 - len(names)} of 7 records removed for {len(fields['classes'])} classes"


def test_concepts_of_labelled_records_are_removed_by_label():
    source = make_source([0, 1, 1, 2], ("ant", "bee", "cat"), title=["a bee", "an ant", "x", "y"], tags=[""] * 4)
    assert variant_of(source, removed={"classes": ("bee",)}).records.tolist() == [0, 3]
    assert variant_of(source, removed={"classes": ("bee",)}, captions=TITLES).records.tolist() == [3]


def test_a_share_of_the_records_without_a_class_is_kept(pairs, classes):
    match = {"classes": classes, "rule": "phrases", "unmatched": "keep"}
    records = {
        share: set(variant_of(pairs, class_match=match | {"unmatched_fraction": share}, captions=TITLES).records)
        for share in (0.0, 0.5, 1.0)
    }
    assert records[0.0] < records[0.5] < records[1.0] and [len(rows) for rows in records.values()] == [3, 5, 7]
