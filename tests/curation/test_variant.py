"""Variants of a source that exists only as metadata: 200 records of six classes, one of them empty."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptail_jax.config.training import Profile
from cliptail_jax.curation.classes import random_classes
from cliptail_jax.curation.profiles import exponential, profile_counts, zipf
from cliptail_jax.host.errors import UserError
from tests.curation.zoo import LABELS, NAMES, make_source, variant_of

# Classes


@pytest.mark.parametrize("field", ["names", "list"])
def test_listed_classes_are_labelled_in_the_order_of_the_list(field, tmp_path):
    (tmp_path / "some.txt").write_text("fox\nant\ncat\n")
    variant = variant_of(
        classes={"names": ("fox", 0, "cat")} if field == "names" else {field: str(tmp_path / "some.txt")}
    )
    assert variant.class_names == ("fox", "ant", "cat")
    np.testing.assert_array_equal(variant.records, np.flatnonzero(np.isin(LABELS, [5, 0, 2])))
    np.testing.assert_array_equal(np.array([5, 0, 2])[variant.labels], LABELS[variant.records])
    np.testing.assert_array_equal(variant.original_labels, LABELS[variant.records])


def test_random_classes_follow_the_seed_and_lie_in_larger_choices():
    names = [str(label) for label in range(50)]
    source = make_source(np.arange(50), names)
    eight_names, repeated_names, twenty_names, other = (
        variant_of(source, classes={"random": k}, seed=seed).class_names
        for k, seed in [(8, 1), (8, 1), (20, 1), (8, 2)]
    )
    assert eight_names == repeated_names != other
    assert len(eight_names) == len(set(eight_names)) == 8
    assert list(eight_names) == sorted(eight_names, key=int)
    assert set(eight_names) < set(twenty_names)
    assert set(eight_names) != set(names[:8])


@pytest.mark.parametrize("seed", range(2))
def test_random_classes_are_frequent_and_rare_whatever_a_profile_of_the_same_seed(seed):
    ranks = np.argsort(-profile_counts(Profile("exponential"), np.full(100, 500), seed))
    classes_of_ranks = np.flatnonzero(np.isin(ranks, random_classes(100, 25, seed)))
    assert 5 <= np.sum(classes_of_ranks < 33) <= 12 and 5 <= np.sum(classes_of_ranks >= 67) <= 12


# Scale


def test_sample_is_drawn_from_all_records_by_the_seed():
    """Uniformly: over 60 seeds every record is drawn, and each about as often."""
    draws = [variant_of(n=100, seed=seed).records for seed in range(60)]
    assert not np.array_equal(draws[0], draws[1])
    times = np.bincount(np.concatenate(draws), minlength=200)
    assert times.min() > 10 and times.max() < 50  # mean 30, standard deviation 3.9


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 200), st.integers(1, 200), st.integers(0, 9))
def test_smaller_samples_lie_in_larger_ones(n, m, seed):
    small, large = (variant_of(n=size, seed=seed) for size in sorted((n, m)))
    assert set(small.records) <= set(large.records)
    assert np.all(np.diff(small.records) > 0)
    np.testing.assert_array_equal(small.labels, LABELS[small.records])
    fraction = variant_of(fraction=n / 200, seed=seed)
    np.testing.assert_array_equal(fraction.records, variant_of(n=n, seed=seed).records)


# Profiles


def balanced(classes=20, records_per_class=60):
    return make_source(np.arange(classes * records_per_class) % classes, [f"class {c}" for c in range(classes)])


@pytest.mark.parametrize(
    ("profile", "sizes"),
    [
        ({"name": "exponential", "ratio": 30.0}, exponential(20, 60, 30)),
        ({"name": "zipf", "exponent": 0.7}, zipf(20, 60, 0.7)),
    ],
)
def test_profile_sets_how_many_records_each_class_keeps(profile, sizes):
    variant = variant_of(balanced(), profile=profile)
    np.testing.assert_array_equal(np.sort(variant.class_frequency)[::-1], sizes)
    np.testing.assert_array_equal(variant.labels, variant.records % 20)
    assert np.all(np.diff(variant.records) > 0)


def test_steeper_profile_keeps_a_part_of_what_a_flatter_one_keeps():
    flat, steep = (variant_of(balanced(), profile={"name": "exponential", "ratio": r}) for r in (5.0, 60.0))
    assert set(steep.records) < set(flat.records)


def test_profile_is_imposed_on_the_chosen_classes_before_the_scale():
    variant = variant_of(balanced(), classes={"first": 5}, profile={"name": "exponential", "ratio": 6.0}, fraction=0.5)
    assert len(variant) == round(exponential(5, 60, 6).sum() / 2)
    assert np.all(variant.class_frequency > 0) and len(variant.class_frequency) == 5


def test_kept_records_are_drawn_from_the_whole_class():
    variant = variant_of(balanced(2, 1000), profile={"name": "exponential", "ratio": 10.0})
    tail = variant.records[variant.labels == variant.class_frequency.argmin()]
    assert len(tail) == 100
    assert tail.min() < 200 and tail.max() > 1800  # the first hundred of the class end at record 200


# Captions


@pytest.mark.parametrize(
    ("words", "texts"),
    [(("title", "tags"), [" title 14 tag14", " title 8", " title 5 tag5"]), (("tags",), [" tag14", "", " tag5"])],
)
def test_caption_is_the_template_around_the_class_name_then_the_words_if_there_are_any(words, texts):
    variant = variant_of(classes={"names": ("fox", "ant")}, captions={"template": "photo", "words": words})
    rows = [variant.records.tolist().index(record) for record in (14, 8, 5)]
    names = ("fox", "ant", "ant")
    assert variant.captions(rows, epoch=0) == [f"a photo of a {name}.{text}" for name, text in zip(names, texts)]
    assert variant.dropped_without_caption == 0
    np.testing.assert_array_equal(variant.records, np.flatnonzero(np.isin(LABELS, [5, 0])))


def test_records_without_a_caption_are_dropped_and_counted_before_the_scale_is_imposed():
    variant = variant_of(captions={"words": ("tags",)})
    assert variant.dropped_without_caption == 50
    np.testing.assert_array_equal(variant.records, np.flatnonzero(np.arange(200) % 4))
    np.testing.assert_array_equal(variant.labels, LABELS[variant.records])
    assert variant.captions(range(len(variant)), 0) == [f"tag{record}" for record in variant.records]

    of_bees = variant_of(classes={"names": ("bee",)}, captions={"words": ("tags",)})
    assert of_bees.dropped_without_caption == np.sum(np.arange(200)[LABELS == 1] % 4 == 0)
    sample = variant_of(n=120, captions={"words": ("tags",)})
    assert len(sample) == 120 and np.all(sample.records % 4)


def test_dose_of_words_leaves_the_class_name_and_the_records_as_they_are():
    source, fields = make_source(names=(*NAMES[:5], "arctic fox")), {"template": "photo", "words": ("title", "tags")}
    variants = [variant_of(source, captions=fields | {"max_words": dose}) for dose in (0, 1, 2, 3, 9)]
    row = variants[0].records.tolist().index(14)
    assert [variant.captions([row], epoch=0)[0].removeprefix("a photo of a arctic fox. ") for variant in variants] == [
        "title 14 tag14",
        "title",
        "title 14",
        "title 14 tag14",
        "title 14 tag14",
    ]
    alone = variant_of(captions={"words": ("tags",), "max_words": 1})
    assert alone.dropped_without_caption == 50


# Fingerprints


def test_fingerprint_is_sha256_of_records_labels_and_captions():
    variant = variant_of(classes={"names": ("fox", "dog")}, captions={"template": "photo"})
    digest = hashlib.sha256()
    for record in np.flatnonzero(np.isin(LABELS, [5, 3])).tolist():
        digest.update(record.to_bytes(8, "little"))
    labels = LABELS[np.isin(LABELS, [5, 3])]
    for label in labels.tolist():
        digest.update({5: 0, 3: 1}[label].to_bytes(8, "little"))
    for label in labels.tolist():
        digest.update(f"a photo of a {NAMES[label]}.\n".encode())
    assert variant.fingerprint() == digest.hexdigest()


@pytest.mark.parametrize(
    ("fields", "digest"),
    [
        ({"n": 50}, "bcfe779f7982"),
        ({"captions": {"words": ("tags", "title")}, "fraction": 0.3}, "dfd82d0b0b72"),
        ({"profile": {"name": "zipf"}, "captions": {"template": "simple"}, "seed": 3}, "ce8e5ed350dc"),
    ],
)
def test_variants_are_what_they_always_were_in_any_process(fields, digest):
    assert variant_of(**fields).fingerprint().startswith(digest)


def test_fingerprint_changes_with_whatever_changes_the_variant():
    simple = {"captions": {"template": "simple"}}
    selections = [
        simple,
        simple | {"seed": 1},  # other templates
        simple | {"n": 199},  # other records
        simple | {"classes": {"names": NAMES[::-1]}},  # other labels
        {"captions": {"template": "photo"}},
        {"captions": {"template": "simple", "words": ("title",)}},
        {"captions": {"template": "simple", "words": ("title",), "max_words": 1}},
        {"captions": {"template": "simple", "distractors": 0.1}},
        {"labels": {"noise": 0.1}},
        {"labels": {"noise": 0.2}},
        {"labels": {"noise": 0.2, "noise_sampling": "frequency"}},
        {},
        {"classes": {"names": NAMES[::-1]}},
    ]
    assert len({variant_of(**fields).fingerprint() for fields in selections}) == len(selections)
    titles = [f"title {i}" for i in range(199)] + ["another"]
    words = {"captions": {"words": ("title",)}}
    assert variant_of(make_source(title=titles), **words).fingerprint() != variant_of(**words).fingerprint()
    encoded_again = make_source()
    encoded_again.encoding = {"short_side": 8, "quality": 90}
    assert variant_of(encoded_again, **words).fingerprint() != variant_of(**words).fingerprint()


# Errors


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"classes": {"names": ("ant", "gnu")}}, "names has 'gnu', which is not a class of the source"),
        ({"classes": {"list": "cifar10"}}, "list=cifar10 has 'airplane', which is not a class"),
        ({"classes": {"names": ("bee", 0, "ant")}}, "lists class 'ant' twice"),
        ({"classes": {"first": 7}}, "data.classes.first=7, but the source has 6 classes"),
        ({"classes": {"at_least": 81}}, "data.classes.at_least=81, but the largest class has 80 records"),
        ({"profile": {"name": "exponential", "ratio": 0.01}}, "a profile's ratio is 0.01"),
        ({"n": 81, "classes": {"names": ("ant",)}}, "data.n=81 is larger than the 80 records"),
        ({"captions": {"words": ("title", "breed")}}, "'breed', which the source lacks; it has title, tags$"),
        ({"captions": {"words": ("size",)}}, "'size', which the source lacks"),  # there, but no text
        ({"captions": {"template": "openai8"}}, "unknown template set 'openai8'"),
        ({"classes": {"names": ("eel",)}}, "variant of 'zoo' has no record"),
        ({"captions": {"template": "cname", "synset": True}}, "needs a source whose classes have WordNet ids"),
        ({"n": 3, "keep_all_classes": True}, "data.n=3 is too small for a record of each of 5 classes"),
        ({"tail": {"classes": 7, "shots": 1}}, "data.tail.classes=7, but there are only 6 classes"),
        ({"min_similarity": 0.7}, "needs a source with 'similarity'; zoo has label, size, title, tags"),
        ({"balance": {"cap": 30}}, "looks for entries in data.captions.words"),
        ({"class_match": {"classes": "imagenet1k"}}, "looks for classes in data.captions.words"),
        (
            {"classes": {"names": ("ant",)}, "labels": {"noise": 0.1}},
            "data.labels.noise names another class, and the variant has one class only",
        ),
        (
            {"classes": {"names": ("ant", "eel")}, "labels": {"noise": 0.1, "noise_sampling": "frequency"}},
            "data.labels.noise names another class, and .* one class with records",
        ),
        (
            {"classes": {"names": ("ant",)}, "captions": {"template": "cname", "distractors": 0.5}},
            "data.captions.distractors names another class, and the variant has one cl",
        ),
        ({"removed": {"classes": ("ent",)}}, "has 'ent', which is not a class of the source .did you mean ant"),
        ({"removed": {"classes": ("ant",), "words": True}}, "looks for words in data.captions.words"),
    ],
)
def test_selections_that_cannot_be_made_are_an_error(fields, message):
    with pytest.raises(UserError, match=message):
        variant_of(**fields)
