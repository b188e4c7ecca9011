"""The study's data factors as variants, over a source that exists only as metadata."""

import numpy as np
import pyarrow as pa
import pytest

from cliptail_jax.curation import variant as variants
from cliptail_jax.curation.selection import balanced_rows
from cliptail_jax.formats.frequency_tables import write_frequency
from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.groups import head_mid_tail
from tests.curation.zoo import EEL, LABELS, NAMES, make_source, variant_of

FREQUENCY = np.bincount(LABELS, minlength=6)  # 80, 40, 40, 20, 0, 20
DOG_WNIDS = ("n02109047", "n01440764", "n02085620", "n02084071", "n02121808", "n02119789")


# Captions


def test_synset_draws_a_lemma_once_a_record_by_the_seed():
    source = make_source()
    source.wnids = DOG_WNIDS
    variant = variant_of(source, captions={"template": "a+cname", "synset": True})
    texts = variant.captions(range(200), 0)
    of_class = [{text for text, label in zip(texts, variant.labels) if label == c} for c in (0, 1)]
    assert of_class == [{"a great dane"}, {"a tench", "a tinca tinca"}]
    assert variant.captions(range(200), 5) == texts
    assert variant_of(source, captions={"template": "a+cname", "synset": True}, seed=1).captions(range(200), 0) != texts
    new_draws = variant_of(source, captions={"template": "a+cname", "synset": True, "resample": True})
    assert new_draws.captions(range(200), 0) == texts != new_draws.captions(range(200), 1)


# Scale


@pytest.mark.parametrize("size", [{"n": 8}, {"fraction": 0.04}])
def test_no_class_is_lost_where_all_are_to_be_kept(size):
    plain = variant_of(**size)
    assert np.sum(plain.class_frequency > 0) < 5  # seed 0 misses some
    variant = variant_of(**size, keep_all_classes=True)
    assert np.all(variant.class_frequency[FREQUENCY > 0] > 0)
    missing_classes = np.flatnonzero((plain.class_frequency == 0) & (FREQUENCY > 0))
    firsts = [np.flatnonzero(LABELS == c)[0] for c in missing_classes]
    assert set(firsts) <= set(variant.records.tolist())
    assert len(variant) == (8 if "n" in size else 8 + len(missing_classes))
    if "fraction" in size:
        np.testing.assert_array_equal(variant.records, np.union1d(plain.records, firsts))


# Diversity


def test_similar_records_are_kept_before_the_scale_is_imposed():
    similarity = np.linspace(0, 0.995, 200)
    source = make_source(similarity=pa.array(similarity, mask=np.arange(200) == 190))
    assert variant_of(source, min_similarity=0.75).records.tolist() == [
        i for i in range(200) if similarity[i] >= 0.75 and i != 190
    ]
    assert len(variant_of(source, min_similarity=0.75, n=20)) == 20
    with pytest.raises(UserError, match="n=60 is larger than the 49 records"):
        variant_of(source, min_similarity=0.75, n=60)


# The tail


@pytest.mark.parametrize("classes, shots, frequency", [
    (2, 0, [80, 40, 40, 0, 0, 20]),
    (3, 1, [80, 40, 40, 1, 0, 1]),
    (4, 25, [80, 25, 40, 20, 0, 20]),
])  # fmt: skip
def test_the_rarest_classes_empty_ones_first_are_cut_to_their_shots_and_are_the_tail(classes, shots, frequency):
    variant = variant_of(tail={"classes": classes, "shots": shots})
    assert variant.class_frequency.tolist() == frequency
    if classes <= 3:
        tail = head_mid_tail(variant.class_frequency, head=1, tail=classes)[2]
        assert set(tail.tolist()) == {EEL, *np.flatnonzero(variant.class_frequency != FREQUENCY).tolist()}


# Matched frequency


@pytest.fixture
def two_sources(monkeypatch):
    """The zoo, and another one behind it that the config can name."""

    def other(names=NAMES):
        farm = make_source(np.resize([3, 5, 4], 90), names, title=[f"other {i}" for i in range(90)])
        farm.name = "farm"
        monkeypatch.setattr(variants, "open_source", lambda name, data_dir, split, names: farm)
        return farm

    return other


def test_frequency_is_matched_and_filled_up_from_another_source(two_sources, tmp_path):
    two_sources()
    target = np.array([10, 0, 45, 25, 40, 20])
    write_frequency(tmp_path / "b.tsv", NAMES, target)
    zoo_variant = variant_of(match={"frequency": str(tmp_path / "b.tsv")})
    assert zoo_variant.class_frequency.tolist() == [10, 0, 40, 20, 0, 20]
    assert zoo_variant.notes == (f"50 records short of {tmp_path}/b.tsv in 3 classes, most of them in 'eel': 40 of 40",)
    filled_variant = variant_of(
        match={"frequency": str(tmp_path / "b.tsv"), "fill": "farm:train"}, captions={"words": ("title",)}
    )
    assert filled_variant.class_frequency.tolist() == [10, 0, 40, 25, 30, 20]
    assert "15 records short" in filled_variant.notes[0] and "in 2 classes" in filled_variant.notes[0]
    is_own = filled_variant.records < 200
    np.testing.assert_array_equal(filled_variant.records[is_own], zoo_variant.records)
    assert filled_variant.captions([len(filled_variant) - 1], 0)[0].startswith("other ")
    assert set(filled_variant.labels[~is_own].tolist()) == {3, 4}


def test_records_that_fill_up_classes_need_not_be_similar_to_definitions(two_sources, tmp_path):
    two_sources()
    write_frequency(tmp_path / "b.tsv", NAMES, np.full(6, 30))
    source = make_source(similarity=np.full(200, 0.5))
    match = {"frequency": str(tmp_path / "b.tsv"), "fill": "farm:train"}
    variant = variant_of(source, match=match, min_similarity=0.7)
    assert variant.class_frequency.tolist() == [0, 0, 0, 30, 30, 30] and variant.records.min() >= 200


def test_sources_of_other_classes_do_not_fill_up(two_sources, tmp_path):
    write_frequency(tmp_path / "b.tsv", NAMES, FREQUENCY)
    match = {"frequency": str(tmp_path / "b.tsv"), "fill": "farm:train"}
    two_sources(("ant", "bee", "cat", "dog", "eel", "yak"))
    with pytest.raises(UserError, match="zoo and farm have different class lists: only one of them has 'fox'"):
        variant_of(match=match)
    two_sources(NAMES[::-1])
    with pytest.raises(UserError, match="the same classes in another order"):
        variant_of(match=match)


# Class match


def test_imagenet_classes_are_matched_by_their_lemmas():
    source = make_source([-1] * 3, (), title=["a Tinca tinca", "tench", "mako"], tags=[""] * 3)
    variant = variant_of(
        source, class_match={"classes": "imagenet1k", "rule": "phrases"}, captions={"words": ("title",)}
    )
    assert variant.records.tolist() == [0, 1] and variant.labels.tolist() == [0, 0]
    assert len(variant.class_names) == 1000


# Balance


def test_balance_keeps_a_row_if_one_of_its_entries_coins_says_so():
    """10,000 rows with entry 0, every tenth also with entry 1; a cap of 1,000: about 10 % of those without entry 1."""
    rows = np.concatenate([np.arange(10000), np.arange(0, 10000, 10), [10001]])
    entries = np.concatenate([np.zeros(10000, int), np.ones(1000, int), [2]])
    kept_rows = balanced_rows(rows, entries, cap=1000, num_entries=3, seed=0)
    assert set(range(0, 10000, 10)) | {10001} <= set(kept_rows.tolist())
    assert 800 < np.sum(kept_rows % 10 != 0) < 1000
    np.testing.assert_array_equal(kept_rows, balanced_rows(rows, entries, cap=1000, num_entries=3, seed=0))
    assert set(kept_rows.tolist()) != set(balanced_rows(rows, entries, cap=1000, num_entries=3, seed=1).tolist())


def test_balanced_variant_reports_the_frequencies_before_and_after():
    title = [f"a {NAMES[label]}" if i else "nothing" for i, label in enumerate(LABELS)]
    variant = variant_of(make_source(title=title), balance={"cap": 30}, captions={"words": ("title",)})
    frequency = variant.class_frequency
    assert frequency[3] == frequency[5] == 20  # below the cap
    assert np.all(frequency[:3] < [60, 40, 40]) and np.all(frequency[:3] > 15)
    assert 0 not in variant.records  # it carries no entry
    (note,) = variant.notes
    assert f"'ant' 79 -> {frequency[0]}" in note and f"200 rows become {len(variant)}" in note


# Tables


def test_a_table_is_a_variant(tmp_path):
    source = make_source(filename=[f"n01/img_{i}.JPEG" for i in range(200)])
    table = tmp_path / "t.tsv"
    table.write_text(
        'filepath\tlabel\tcaption\n/far/img_7.JPEG\t5\tsome "words\n/img_2.JPEG\t0\tothers\nimg_7.JPEG\t1\tagain\n'
    )
    variant = variant_of(source, table=str(table))
    assert variant.records.tolist() == [2, 7, 7] and variant.labels.tolist() == [0, 5, 1]
    assert variant.captions(range(3), 0) == ["others", 'some "words', "again"]
    table.write_text("filepath\ttitle\nimg_3.JPEG\tx y\n")
    assert variant_of(source, table=str(table)).captions([0], 0) == ["x y"]
    assert variant_of(source, table=str(table)).labels.tolist() == [LABELS[3]]
    table.write_text("filepath\tlabel\nimg_3.JPEG\tfox\n")
    assert variant_of(source, table=str(table)).labels.tolist() == [5]


def test_whole_paths_tell_files_of_one_name_apart(tmp_path):
    source = make_source([0, 1, 2], filename=["x/1.jpg", "y/1.jpg", None], title=["a"] * 3, tags=["b"] * 3)
    table = tmp_path / "t.tsv"
    table.write_text("filepath\ny/1.jpg\nzoo/train/2\n")
    assert variant_of(source, table=str(table)).records.tolist() == [1, 2]
    table.write_text("filepath\nelsewhere/1.jpg\n")
    with pytest.raises(UserError, match="several records of zoo end like a path"):
        variant_of(source, table=str(table))


@pytest.mark.parametrize(
    "name, content, complaint",
    [
        ("t.tsv", b"path\tlabel\nx\t1\n", "has no column 'filepath'; it has path, label"),
        ("t.tsv", b"filepath\tlabel\nzoo/train/3\t6\n", "labels beyond the 6 classes"),
        ("t.tsv", b"filepath\tlabel\nzoo/train/3\tgnu\n", "has the label 'gnu', which is not a class"),
        ("t.tsv", b"filepath\nzoo/train/200\nfarm/train/3\n", "2 records that zoo lacks, such as 'zoo/train/200'"),
        ("t.tsv", b"filepath\tlabel\nzoo/train/3\t1\nzoo/train/4\t\n", "1 rows without a label"),
        ("t.jsonl", b'{"filepath": "a"\n', "JSON parse error"),
        ("t.jsonl", b'{"filepath": "\xff"}\n', "UTF8"),
        ("t.jsonl", b'{"filepath": "zoo/train/0", "label": {"a": 1}}\n', "labels that are neither numbers nor names"),
    ],
)
def test_a_curated_table_that_does_not_fit_is_an_error(name, content, complaint, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=complaint):
        variant_of(table=str(tmp_path / name))
