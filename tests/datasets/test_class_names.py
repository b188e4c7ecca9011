import json

import pyarrow.parquet
import pytest
import tensorflow_datasets as tfds

from cliptail_jax.concepts.class_lists import class_lines, imagenet_wnids, listed_names
from cliptail_jax.config.training import CaptionOptions, Data
from cliptail_jax.curation.variant import make_variant
from cliptail_jax.datasets.source import choose_class_names, open_source
from cliptail_jax.datasets.superclasses import PHRASES, kind_of
from cliptail_jax.host.errors import UserError
from tests.datasets.raw_data import jpeg
from tests.tfds_sets import prepare

WNIDS = imagenet_wnids()


def test_evaluation_sets_open_by_tfds_name_with_clips_class_names(tmp_path):
    labels = {"label": tfds.features.ClassLabel(names=list(WNIDS))}
    images = [{"image": jpeg(label % 256), "label": label} for label in (0, 999)]
    prepare(tmp_path, "imagenet_v2", labels, {"test": images}, "3.0.0", "matched-frequency")
    source = open_source("imagenet_v2/matched-frequency", str(tmp_path), "test")
    assert (len(source), source.wnids) == (2, WNIDS)
    assert source.class_names == tuple(name for _, name in class_lines("imagenet1k"))
    assert source.metadata["label"].to_pylist() == [0, 999]


@pytest.mark.parametrize("class_list", ["", "imagenet1k"])
def test_any_wnids_in_any_order_have_clips_names(class_list):
    labels = ("n15075141", "n01440764", "n02112018", "n01443537", "n03532672")
    names = ("toilet paper", "tench", "Pomeranian", "goldfish", "hook")
    assert choose_class_names(labels, class_list) == names


def test_labels_of_unknown_wnids_and_of_none_keep_their_names():
    labels = ("n01440764", "n99999999")
    assert choose_class_names(labels, "") == labels
    assert choose_class_names((), "imagenet1k") == ()


def test_names_of_imagenet_need_no_wordnet(monkeypatch):
    monkeypatch.setattr("cliptail_jax.concepts.wordnet.wordnet", lambda: 1 / 0)
    names = listed_names("imagenet1k")
    assert (names[0], names[999]) == ("tench", "toilet paper")
    assert len(listed_names("imagenet100")) == 100 and set(listed_names("imagenet100")) < set(names)


@pytest.mark.parametrize(
    ("labels", "class_list", "message"),
    [
        (WNIDS, "imagenet1k_eval", "imagenet1k_eval has the class name '(missile|sunglasses)' 2 times"),
        ("abcde", "cifar10", "cifar10 has 10 names, and the data set has 5 classes"),
        ("abc", "TMP/names.json", "names.json has the class name 'crane' 2 times"),
        (("a_b", "a b"), "", "the builder's list .* has the class name 'a b' 2 times"),
    ],
)
def test_names_that_do_not_fit_the_labels_are_an_error(tmp_path, labels, class_list, message):
    (tmp_path / "names.json").write_text(json.dumps([{"name": "crane"}, {"name": "hen"}, {"name": "crane"}]))
    with pytest.raises(UserError, match=message):
        choose_class_names(labels, class_list.replace("TMP", str(tmp_path)))


# Of TFDS's cifar100, in label order.
COARSE_LABELS = (
    "aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices "
    "household_furniture insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes "
    "large_omnivores_and_herbivores medium_mammals non-insect_invertebrates people reptiles small_mammals trees "
    "vehicles_1 vehicles_2"
).split()
CLASSES = {"train": 18, "pickup_truck": 18, "tank": 19, "girl": 14}  # with their coarse labels


@pytest.fixture(scope="module")
def small_cifar(tmp_path_factory):
    """An image a class, with CIFAR-100's labels."""
    data_dir = tmp_path_factory.mktemp("tfds")
    names = {"label": list(CLASSES), "coarse_label": COARSE_LABELS}
    images = [{"image": jpeg(i), "label": i, "coarse_label": coarse} for i, coarse in enumerate(CLASSES.values())]
    labels = {name: tfds.features.ClassLabel(names=of_label) for name, of_label in names.items()}
    prepare(data_dir, "small_cifar", labels, {"train": images})
    return open_source("small_cifar", str(data_dir), "train")


def captions_of(source, **options):
    variant = make_variant(source, Data(captions=CaptionOptions(**options)))
    return variant.captions(range(len(variant)), epoch=0)


def test_every_superclass_has_a_name_that_people_write():
    assert [*PHRASES] == [name.replace("_", " ") for name in COARSE_LABELS]
    assert kind_of("vehicles 1") == kind_of("vehicles 2") == "a kind of vehicle"
    assert len(set(PHRASES.values())) == 19
    assert not any(character.isdigit() for name in PHRASES.values() for character in name)


def test_captions_say_how_class_and_superclass_relate(small_cifar):
    source = small_cifar
    phrases = ["a kind of vehicle", "a kind of vehicle", "a kind of vehicle", "a kind of person"]
    related = [f"a {name}, {kind}" for name, kind in zip(source.class_names, phrases)]
    assert related[0] == "a train, a kind of vehicle"
    assert captions_of(source, template="a+cname", words=("kind_of",)) == related
    assert captions_of(source, words=("kind_of",)) == phrases
    assert captions_of(source, template="a+cname", words=("superclass",))[0] == "a train vehicles 1"
    assert captions_of(source, template="a+cname", words=("kind_of",), max_words=1)[0] == "a train, a"


def test_written_superclasses_are_not_stored_so_that_older_tables_have_them(small_cifar):
    source = small_cifar
    assert source.metadata["superclass"].to_pylist() == ["vehicles 1", "vehicles 1", "vehicles 2", "people"]
    columns = pyarrow.parquet.read_schema(source.folder / "metadata-train.parquet").names
    assert {*columns} == {"record", "label", "coarse_label", "superclass"}
    read_again = open_source("small_cifar", str(source.folder.parents[1]), "train").metadata
    assert read_again.equals(source.metadata) and "kind_of" in read_again.column_names
