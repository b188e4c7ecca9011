import json
import pathlib
import pickle
import shutil

import pytest

from cliptail_jax.curation.joined import JoinedSource
from cliptail_jax.datasets.source import open_source
from cliptail_jax.formats.prepared import find_prepared, resolve_data_dir
from cliptail_jax.host.errors import UserError
from tests.datasets.prepared_files import damage, edit_json

CIFAR100 = pathlib.Path(__file__).parents[2].parent / "shared" / "tfds" / "cifar100" / "3.0.2"


def edit_feature(folder, name, feature):
    """Replaces a feature in a prepared set's description, or removes it (None)."""
    features = json.loads((folder / "features.json").read_text())
    description = features["featuresDict"]["features"]
    description[name] = feature
    if feature is None:
        del description[name]
    (folder / "features.json").write_text(json.dumps(features))


@pytest.mark.skipif(not CIFAR100.is_dir(), reason="no prepared CIFAR-100 beside the checkout")
def test_cifar100_opens_with_cleaned_names_and_superclasses(tmp_path):
    folder = tmp_path / "cifar100" / "3.0.2"  # a writable one, without metadata
    folder.mkdir(parents=True)
    for file in CIFAR100.iterdir():
        if file.suffix != ".parquet":
            (folder / file.name).symlink_to(file)
    source = open_source("cifar100", str(tmp_path), "test")
    assert len(source) == source.metadata.num_rows == 10_000
    assert len(source.class_names) == 100 and source.class_names[58] == "pickup truck"
    first = source.metadata.slice(0, 1).to_pylist()[0]
    labels = {"id": "test_09933", "label": 77, "coarse_label": 13}
    assert first == labels | {"superclass": "non-insect invertebrates", "kind_of": "a kind of invertebrate"}
    assert set(source.metadata["label"].value_counts().field("counts").to_pylist()) == {100}


def test_source_pickles_small_and_works_on_the_other_side(glyphs_dir):
    source = open_source("glyphs", str(glyphs_dir), "train")
    images, table = source.encoded_images([3, 1]), source.metadata
    pickled = pickle.dumps(source)
    assert len(pickled) < 100_000
    assert len(pickled) < table.nbytes
    other = pickle.loads(pickled)
    assert other.encoded_images([3, 1]) == images
    assert other.metadata.equals(table)
    assert (other.class_names, len(other)) == (source.class_names, len(source))


def test_image_in_a_damaged_chunk_is_empty_and_the_others_are_there(copied_glyphs):
    data_dir, folder = copied_glyphs
    intact = open_source("letters", str(data_dir), "train").encoded_images(range(300))
    shard = damage(folder, "chunk")
    source = open_source("letters", str(data_dir), "train")
    images = source.encoded_images(range(300))
    damaged = images.index(b"")
    assert images == [*intact[:damaged], b"", *intact[damaged + 1 :]]
    assert source.encoded_images([damaged]) == [b""]
    assert source.file_of(damaged) == JoinedSource(source, source).file_of(300 + damaged) == shard


def test_shard_that_cannot_be_read_at_all_is_an_error_that_names_it(copied_glyphs):
    data_dir, folder = copied_glyphs
    shard = damage(folder, "end")
    with pytest.raises(UserError, match=f"{shard} cannot be read: .*; remove the data set and prepare it again"):
        open_source("letters", str(data_dir), "train").encoded_images([3])


def feature_of(folder, name):
    """A feature in a prepared set's description."""
    return json.loads((folder / "features.json").read_text())["featuresDict"]["features"][name]


@pytest.mark.parametrize(
    ("name", "split", "message"),
    [
        ("cifar10", "train", r"it has letters:1\.0\.0\); prepare it by .*'array_record'\)\.download_and_prepare\(\)"),
        ("leters", "train", r"it has letters:1\.0\.0\); no builder has this name \(did you mean letters\?\)"),
        ("letters:2.0.0", "train", r"'letters:2\.0\.0' is not prepared.*letters:1\.0\.0"),
        ("letters", "validation", "no split 'validation'; it has test, train"),
        *((name, "train", "not of the form") for name in ("", "../letters", "letters:latest")),
    ],
)
def test_a_name_of_no_set_or_split_is_an_error(copied_glyphs, name, split, message):
    with pytest.raises(UserError, match=message):
        open_source(name, str(copied_glyphs[0]), split)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: edit_json(d / "dataset_info.json", fileFormat="tfrecord"), "'tfrecord'.*'array_record'"),
        (lambda d: next(d.glob("*train*array_record*")).unlink(), "lacks the file .*train.array_record"),
        # Damaged descriptions
        (lambda d: (d / "dataset_info.json").unlink(), "dataset_info.json.*remove .*prepare"),
        (lambda d: (d / "features.json").write_bytes(b"\xff"), "features.json.*remove .*prepare"),
        (lambda d: (d / "features.json").write_text("[]"), "features.json.*remove .*prepare"),
        (
            lambda d: edit_json(d / "dataset_info.json", splits=[{"name": "train", "shardLengths": ["0"]}]),
            "dataset_info.json or features.json is damaged: .*; remove",
        ),
        # Features that cannot be used
        (lambda d: edit_feature(d, "image", None), "'letters' needs a feature 'image'"),
        (lambda d: edit_feature(d, "label", feature_of(d, "title")), "'label' of type ClassLabel"),
        (
            lambda d: edit_feature(d, "label", feature_of(d, "label") | {"classLabel": {}}),
            "features.json cannot be read: it has no number of classes for 'label'",
        ),
        (lambda d: (d / "label.labels.txt").write_text("a\nb\n"), "label.labels.txt.* 2 names, .* 100"),
    ],
)
def test_a_set_that_cannot_be_opened_is_an_error_that_names_the_file(copied_glyphs, change, message):
    data_dir, folder = copied_glyphs
    change(folder)
    with pytest.raises(UserError, match=message):
        open_source("letters", str(data_dir), "train")


def test_set_without_labels_has_no_classes_and_label_minus_one(copied_glyphs):
    data_dir, folder = copied_glyphs
    edit_feature(folder, "label", None)
    (folder / "metadata-train.parquet").unlink()
    source = open_source("letters", str(data_dir), "train")
    assert (source.class_names, source.wnids) == ((), None)
    assert source.metadata["label"].to_pylist() == 300 * [-1]


def test_latest_version_is_opened_unless_one_is_named(copied_glyphs):
    data_dir, folder = copied_glyphs
    for version in ("10.0.0", "9.2.0"):
        shutil.copytree(folder, folder.parent / version)
    shutil.copytree(folder, folder.parent / "incomplete.ABCDEF_11.0.0")
    (folder.parent / "12.0.0").mkdir()
    assert find_prepared("letters", str(data_dir)).name == "10.0.0"
    assert find_prepared("letters:9.2.0", str(data_dir)).name == "9.2.0"


def test_default_folder_is_the_environments_else_in_the_home(monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert resolve_data_dir("") == tmp_path
    assert resolve_data_dir("/elsewhere") == pathlib.Path("/elsewhere")
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert resolve_data_dir("") == pathlib.Path.home() / "tensorflow_datasets"
