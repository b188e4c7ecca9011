"""Raw data as people have them: with hidden files, odd names and orders, and labels that programs have written."""

import json

import pyarrow as pa
import pytest

from cliptail_jax.datasets.build import build
from cliptail_jax.datasets.image_folder import class_folders, images_in, read_mapping
from cliptail_jax.datasets.image_tables import LabelledTable
from cliptail_jax.datasets.image_text import find_files
from cliptail_jax.datasets.source import open_source
from cliptail_jax.experiments.own_data import find_preset
from cliptail_jax.host.errors import UserError
from tests.datasets.prepared_files import built
from tests.datasets.raw_data import STRUCT, archive, jpeg, write_parquet

IMAGES = [jpeg(number) for number in range(6)]
LABELLED = {"label_column": "label", "caption_columns": ""}


def ignore(reason, example):
    pass


def write_labels(path, labels, class_names=None):
    images = pa.array([{"bytes": IMAGES[n], "path": f"{n}.jpg"} for n in range(len(labels))], STRUCT)
    return write_parquet(path, {"image": images, "label": labels}, class_names)


@pytest.mark.parametrize(
    ("labels", "class_names", "expected"),
    [
        ([0, 1, 2], ["1", "2", "3"], [0, 1, 2]),
        ([0, 1, 2], ["1", "10", "2"], [0, 1, 2]),
        ([0.0, None, 1.0], ["cat", "dog"], [0, -1, 1]),
        ([0.0, float("nan"), 1.0], ["cat", "dog"], [0, -1, 1]),
        ([-1, 1, 0], ["cat", "dog"], [-1, 1, 0]),
        (["dog", "", "1"], ["cat", "dog"], [1, -1, 1]),
    ],
)
def test_labels_are_numbers_of_the_files_class_names(tmp_path, labels, class_names, expected):
    raw = write_labels(tmp_path / "t.parquet", labels, class_names)
    assert built("image_text/mine", tmp_path, raw=raw, **LABELLED).metadata["label"].to_pylist() == expected


def test_files_with_the_class_names_in_another_order_have_the_same_classes(tmp_path):
    train = write_labels(tmp_path / "train.parquet", [0, 1, 2], ["cat", "dog", "owl"])
    val = write_labels(tmp_path / "val.parquet", [0.0, 1.0, 2.0], ["owl", "dog", "cat"])
    build("image_text/mine", str(tmp_path), train=str(train), val=str(val), **LABELLED)
    source = open_source("image_text/mine", str(tmp_path), "val")
    assert source.class_names == ("cat", "dog", "owl") and source.metadata["label"].to_pylist() == [2, 1, 0]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"0.jpg": b"0", "1.jpg": b"1", "0.txt": b"a", "1.txt": b"b"}, "the files of '0' are not next to each other"),
        ({"0.jpg": b"0", "0.JPG": b"1", "0.txt": b"a"}, "the sample '0' has two files '0.JPG'"),
    ],
)
def test_shards_whose_samples_are_not_together_are_an_error(tmp_path, files, message):
    (tmp_path / "0.tar").write_bytes(archive(files))
    with pytest.raises(UserError, match=message):
        built("image_text/mine", tmp_path, raw=tmp_path / "0.tar")


def test_different_images_have_different_names_wherever_they_are(tmp_path):
    for number, folder in enumerate("ab"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "0.tar").write_bytes(archive({"0.jpg": IMAGES[number], "0.txt": b"a"}))
        (tmp_path / folder / "0.jpg").write_bytes(IMAGES[number])
        (tmp_path / folder / "t.csv").write_text("filepath,caption\n0.jpg,a\n0.jpg,b\n")
    images = [{"bytes": IMAGES[n], "path": "0.jpg"} for n in (0, 0, 1)]
    table = {"image": pa.array(images, STRUCT), "caption": ["a", "b", "c"]}
    write_parquet(tmp_path / "t.parquet", table)
    for name, raw, expected in [
        ("shards", "*/0.tar", ["a/0/0", "b/0/0"]),
        ("tables", "*/t.csv", ["a/0.jpg", "a/0.jpg", "b/0.jpg", "b/0.jpg"]),
        ("encoded", "t.parquet", ["0.jpg", "0.jpg", "t/2"]),
    ]:
        source = built(f"image_text/{name}", tmp_path, raw=tmp_path / raw)
        assert source.metadata["filename"].to_pylist() == expected


@pytest.mark.parametrize(
    "names",
    [
        ("train-00000-of-00001-a1b2c3d4e5f6a7b8.parquet", "test-00000-of-00001-b1b2c3d4e5f6a7b8.parquet"),
        ("train.parquet", "test.parquet"),
        ("train_000.tar", "test_000.tar"),
    ],
)
def test_a_folder_with_several_splits_is_an_error(tmp_path, names):
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(UserError, match="has files of the splits test, train: name those of each by a glob"):
        find_files(tmp_path)


def test_files_of_a_series_that_exist_need_not_be_chosen(tmp_path):
    for number in range(4):
        files = {"0.jpg": IMAGES[number], "0.txt": b"a"}
        (tmp_path / f"0000{number}.tar").write_bytes(archive(files))
    build("image_text/mine", str(tmp_path), train=f"{tmp_path}/*[02].tar", val=f"{tmp_path}/*[13].tar")
    names = open_source("image_text/mine", str(tmp_path), "val").metadata["filename"].to_pylist()
    assert names == ["00001/0", "00003/0"]


def test_a_samples_own_fields_and_marks_are_no_failed_downloads_and_no_text(tmp_path, capsys):
    fields = json.dumps({"caption": "of json", "status": "published"}).encode()
    files = {
        **{"0.gif": IMAGES[0], "0.json": fields, "0.txt": b" "},
        **{"1.jpg": IMAGES[1], "1.json": b"{}", "1.txt": "\ufeffcat".encode()},
        **{"2.jpg": IMAGES[2], "2.json": b'{"caption": NaN}'},
    }
    (tmp_path / "0.tar").write_bytes(archive(files))
    captions = built("image_text/mine", tmp_path, raw=tmp_path / "0.tar").metadata["caption"].to_pylist()
    assert captions == ["of json", "cat", ""]
    assert "note: 1 of 3 records of train have no text (caption)" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["t.csv", "0.tar"])
def test_text_that_is_not_utf8_is_an_error(tmp_path, name):
    (tmp_path / "0.jpg").write_bytes(IMAGES[0])
    caption = "café".encode("latin-1")
    table = b"filepath,caption\n0.jpg," + caption + b"\n"
    (tmp_path / name).write_bytes(table if name == "t.csv" else archive({"0.jpg": IMAGES[0], "0.txt": caption}))
    with pytest.raises(UserError, match="is not UTF-8"):
        built("image_text/mine", tmp_path, raw=tmp_path / name)


@pytest.mark.parametrize("name", ["Train", "Test", "train"])
def test_folders_of_splits_are_no_classes_whatever_their_case_or_company(tmp_path, name):
    for folder in (name, "val", "unlabelled"):
        (tmp_path / folder).mkdir()
    with pytest.raises(UserError, match=f"{name}.*which are splits, not classes: pass --{name.lower()}="):
        class_folders(tmp_path)


def test_hidden_files_and_folders_are_left_out(tmp_path):
    for path in (
        "cat/0.jpg",
        "cat/._0.jpg",
        "cat/.ipynb_checkpoints/0.jpg",
        ".ipynb_checkpoints/0.jpg",
        "__MACOSX/cat/0.jpg",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(IMAGES[0])
    assert class_folders(tmp_path) == ["cat"]
    assert images_in(tmp_path / "cat", ignore) == [tmp_path / "cat/0.jpg"]


def test_a_text_may_have_any_name_and_an_image_column_is_one_with_images(tmp_path):
    write_parquet(tmp_path / "t.parquet", {"image": pa.array([IMAGES[0]], pa.binary()), "coarse_label": ["fish"]})
    source = built("image_text/mine", tmp_path, raw=tmp_path / "t.parquet", caption_columns="coarse_label")
    assert source.metadata["coarse_label"].to_pylist() == ["fish"]
    (tmp_path / "1.jpg").write_bytes(IMAGES[1])
    (tmp_path / "t.csv").write_text("image,path,label\n5,0.jpg,nan\n6,1.jpg,3.0\n")
    table = LabelledTable(tmp_path / "t.csv")
    assert table.image_column == "path" and list(table.examples) == ["3"]


def test_an_option_that_is_the_default_is_none_and_an_empty_one_is(tmp_path):
    raw = write_parquet(
        tmp_path / "t.parquet",
        {"image": pa.array(IMAGES[:1], pa.binary()), "caption": ["a"], "label": ["b"]},
        ["b"],
    )
    build("image_text/mine", str(tmp_path), raw=str(raw), label_column="label")
    build("image_text/mine", str(tmp_path), raw=str(raw), label_column="label", caption_columns="caption")
    with pytest.raises(UserError, match="was built with other options .caption_columns=None not ''"):
        build("image_text/mine", str(tmp_path), raw=str(raw), **LABELLED)


def test_texts_have_the_order_in_which_they_are_given(tmp_path):
    texts = {"title": ["a"], "tags": ["b"]}
    raw = write_parquet(tmp_path / "t.parquet", {"image": pa.array(IMAGES[:1], pa.binary())} | texts)
    build("image_text/mine", str(tmp_path), raw=str(raw), caption_columns="title,tags")
    assert find_preset("image_text/mine", str(tmp_path)).texts == ("title", "tags")


def test_a_folder_that_is_named_twice_is_an_error(tmp_path):
    (tmp_path / "names.tsv").write_text("n1\tcat\nn1\tdog\n")
    with pytest.raises(UserError, match="names.tsv has the class name 'n1' 2 times"):
        read_mapping(tmp_path / "names.tsv")
