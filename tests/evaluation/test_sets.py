"""The sets with TFDS's own label lists, as they stand in its package, put into small prepared sets."""

import ast
import importlib.util
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds

from cliptail_jax.concepts.class_lists import imagenet_names, imagenet_wnids, listed_names
from cliptail_jax.concepts.templates import templates
from cliptail_jax.datasets.glyphs.glyphs import Glyphs
from cliptail_jax.datasets.metadata import clean_name
from cliptail_jax.evaluation.sets import EVALUATION_SETS, evaluation_set, names_of_labels, open_set
from cliptail_jax.formats.class_names import normalized_name
from cliptail_jax.host.errors import UserError
from tests import tfds_sets
from tests.datasets.raw_data import jpeg

TFDS = pathlib.Path(importlib.util.find_spec("tensorflow_datasets").origin).parent
# Where TFDS's package has a set's labels, in label order: a text file, or a list in a builder's code.
LISTS = {
    "food101": ("image_classification/food-101_classes.txt", ""),
    "pets": ("datasets/oxford_iiit_pet/oxford_iiit_pet_dataset_builder.py", "_LABEL_CLASSES"),
    "flowers102": ("datasets/oxford_flowers102/oxford_flowers102_dataset_builder.py", "_NAMES"),
    "places365": ("image_classification/categories_places365.txt", ""),
    "eurosat": ("image_classification/eurosat.py", "_LABELS"),
    "dtd": ("image_classification/dtd_key_attributes.txt", ""),
    "cars": ("image_classification/cars196.py", "_NAMES"),
    "imagenet": ("datasets/imagenet2012/labels.txt", ""),
    "imagenet_v2": ("datasets/imagenet2012/labels.txt", ""),
}
IMAGENETS = ("imagenet", "imagenet_v2")


def tfds_labels(set_name):
    path, variable = LISTS[set_name]
    if not (TFDS / path).is_file():
        pytest.skip(f"this version of TFDS has no {path}")
    text = (TFDS / path).read_text(encoding="utf-8")
    if not variable:
        return text.split()
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.Assign) and statement.targets[0].id == variable:
            return ast.literal_eval(statement.value)
    raise AssertionError(f"{path} has no {variable}")


@pytest.fixture
def prepare(tmp_path):
    """Makes a prepared set of 200 records with the given labels, which go round, and texts by label."""

    def make(source, split, labels, **columns):
        features = {"label": tfds.features.ClassLabel(names=list(map(str, labels)))}
        features |= {name: tfds.features.Text() for name in columns}
        numbers = [number % len(labels) for number in range(200)]
        texts = [{name: values[label] for name, values in columns.items()} for label in numbers]
        examples = [{"image": jpeg(0), "label": label, **fields} for label, fields in zip(numbers, texts)]
        dataset, _, config = source.partition("/")
        tfds_sets.prepare(tmp_path, dataset, features, {split: examples}, config=config)
        return str(tmp_path)

    return make


@pytest.mark.parametrize("set_name", LISTS)
def test_tfds_labels_become_the_lists_classes_one_by_one(set_name):
    labels, entry = tfds_labels(set_name), evaluation_set(set_name)
    if set_name in IMAGENETS:
        assert tuple(labels) == imagenet_wnids()
    else:
        cleaned = [clean_name(label) for label in labels]
        assert names_of_labels(cleaned, entry) == listed_names(entry.source.classes)
        assert names_of_labels(cleaned[::-1], entry) == listed_names(entry.source.classes)[::-1]


@pytest.mark.parametrize("set_name", ["pets", "imagenet_v2"])
def test_a_prepared_sets_records_have_the_classes_of_their_labels_in_whatever_order(set_name, prepare):
    labels, entry = tfds_labels(set_name), evaluation_set(set_name)
    order = np.random.default_rng(0).permutation(len(labels))
    opened = open_set(set_name, prepare(entry.source.name, entry.split, [labels[label] for label in order]))
    names = listed_names(entry.source.classes or "imagenet1k")
    assert opened.variant.class_names == tuple(names[label] for label in order)
    assert len(opened.variant) == len(opened.variant.source)
    np.testing.assert_array_equal(opened.variant.labels, np.arange(len(opened.variant)) % len(labels))


def test_cub_has_the_names_in_its_records_or_else_the_lists_in_order(prepare):
    names = listed_names("cub")
    order = np.random.default_rng(0).permutation(200)
    in_records = [names[label].lower().replace(" ", "_").replace("-", "_") for label in order]
    data_dir = prepare("caltech_birds2011", "test", range(200), label_name=in_records)
    assert open_set("cub", data_dir).variant.class_names == tuple(names[label] for label in order)
    shutil.rmtree(f"{data_dir}/caltech_birds2011")
    opened = open_set("cub", prepare("caltech_birds2011", "test", range(200)))
    assert opened.variant.class_names == opened.prompt_names == names
    assert opened.templates == ("a photo of a {}, a type of bird.",)


def test_imagenet_has_other_names_in_prompts_than_in_tables(prepare):
    opened = open_set("imagenet", prepare("imagenet2012", "validation", imagenet_wnids()))
    assert opened.variant.class_names == listed_names("imagenet1k")
    different = [27, 638, 744, 836]
    assert [opened.variant.class_names[label] for label in different] == ["eft", "maillot", "projectile", "sunglass"]
    assert [opened.prompt_names[label] for label in different] == ["newt", "tights", "missile", "sunglasses"]
    assert sum(a != b for a, b in zip(opened.variant.class_names, opened.prompt_names)) == 4


def test_imagenet100_is_imagenets_records_of_100_classes(prepare):
    opened = open_set("imagenet100", prepare("imagenet2012", "validation", imagenet_wnids()))
    assert opened.variant.class_names == listed_names("imagenet100")
    wnid_of = dict(zip(listed_names("imagenet1k"), imagenet_wnids()))
    in_prompts = imagenet_names("imagenet1k_eval")
    assert opened.prompt_names == tuple(in_prompts[wnid_of[name]] for name in listed_names("imagenet100"))
    original = [wnid_of[opened.variant.class_names[label]] for label in opened.variant.labels]
    assert original == [imagenet_wnids()[label] for label in opened.variant.original_labels]
    assert 0 < len(opened.variant) < len(opened.variant.source)
    assert opened.templates == templates("openai80")


def test_prompts_say_flowers_and_places_as_clips_do(prepare):
    flowers = evaluation_set("flowers102")
    opened = open_set("flowers102", prepare(flowers.source.name, flowers.split, tfds_labels("flowers102")))
    assert opened.variant.class_names[77] == "lotus lotus"
    assert (opened.prompt_names[59], opened.prompt_names[77]) == ("pink and yellow dahlia", "lotus")
    places = evaluation_set("places365")
    opened = open_set("places365", prepare(places.source.name, places.split, tfds_labels("places365")))
    assert "desert sand" in opened.prompt_names
    assert not any("-" in name for name in opened.prompt_names)


def test_any_other_prepared_set_has_its_builders_names_and_a_plain_template(glyphs_dir):
    source = f"glyphs:{Glyphs.VERSION}"
    opened = open_set(f"{source}:test", str(glyphs_dir))
    assert opened.name == f"{source}:test" and evaluation_set(opened.name).source.name == source
    assert opened.prompt_names == opened.variant.class_names == opened.variant.source.class_names
    assert opened.templates == ("a photo of a {}.",)
    assert len(opened.variant) == 200


@pytest.mark.parametrize(
    "name, message",
    [
        ("food11", r"unknown evaluation set 'food11' \(did you mean food101\?\): there are icons:test, imagenet"),
        (":test", "unknown evaluation set ':test'"),
    ],
)
def test_a_set_that_is_not_there_is_an_error(name, message, tmp_path):
    with pytest.raises(UserError, match=message):
        open_set(name, str(tmp_path))


@pytest.mark.parametrize(
    "name, labels, message",
    [
        ("cifar10", ["tank"], "data set 'cifar10' has the class 'tank', which is not in the set 'cifar10'"),
        ("eurosat", ["Forest", "forest"], "has the class 'forest' as 2 labels: prepare it again"),
    ],
)
def test_labels_that_are_not_the_classes_of_the_set_are_an_error(name, labels, message):
    with pytest.raises(UserError, match=message):
        names_of_labels(list(labels), evaluation_set(name))


def test_no_two_classes_of_a_set_have_the_same_normalised_name():
    for set_name, entry in EVALUATION_SETS.items():
        names = listed_names(entry.source.classes or entry.classes or "imagenet1k")
        assert len({normalized_name(name) for name in names}) == len(names), set_name
