"""Tables that contain the images, captions that are lists, and the layout of Hugging Face's data sets."""

import json

import pyarrow as pa
import pyarrow.parquet
import pytest

from cliptail_jax.host.errors import UserError
from tests.datasets.prepared_files import built
from tests.datasets.raw_data import STRUCT, archive, jpeg
from tests.datasets.raw_data import write_parquet as write

IMAGES = [jpeg(number) for number in range(3)]
IMAGE_STRUCTS = [{"bytes": image, "path": f"{number}.jpg"} for number, image in enumerate(IMAGES)]
UNNAMED = [{"bytes": image, "path": None} for image in IMAGES]


def read(tmp_path, raw, **options):
    source = built("image_text/mine", tmp_path / "tfds", raw=raw, **options)
    return source, source.metadata.to_pylist()


@pytest.mark.parametrize(
    ("name", "images", "filenames"),
    [
        ("image", pa.array(IMAGE_STRUCTS, STRUCT), ["0.jpg", "1.jpg", "2.jpg"]),
        ("img", pa.array(UNNAMED, STRUCT), ["t/0", "t/1", "t/2"]),
        ("png", pa.array(IMAGES, pa.binary()), ["t/0", "t/1", "t/2"]),
        ("image", pa.array(IMAGES, pa.large_binary()), ["t/0", "t/1", "t/2"]),
    ],
)
def test_encoded_images_are_found_in_their_column(tmp_path, name, images, filenames):
    raw = write(tmp_path / "t.parquet", {"id": [7, 8, 9], "caption": ["a", None, "c"], name: images})
    source, rows = read(tmp_path, raw)
    assert source.encoded_images(range(3)) == IMAGES
    assert [row["filename"] for row in rows] == filenames
    assert [row["caption"] for row in rows] == ["a", "", "c"]


def test_a_struct_without_bytes_names_a_file(tmp_path):
    raw = write(tmp_path / "t.parquet", {"image": pa.array([{"path": "0.jpg"}], STRUCT), "caption": ["a"]})
    (tmp_path / "0.jpg").write_bytes(IMAGES[0])
    source, rows = read(tmp_path, raw)
    assert source.encoded_images([0]) == IMAGES[:1] and rows[0]["filename"] == "0.jpg"


def test_a_folder_of_parquet_files_is_read_in_order(tmp_path):
    for number in (1, 0, 2):
        path = tmp_path / "data" / f"train-0000{number}-of-00003.parquet"
        write(path, {"image": pa.array([IMAGE_STRUCTS[number]], STRUCT), "caption": [str(number)]})
    assert [row["caption"] for row in read(tmp_path, tmp_path / "data")[1]] == ["0", "1", "2"]


def test_each_caption_of_a_list_is_a_record_of_the_same_image(tmp_path):
    captions = [["a dog", "a hound"], [], ["a cat"]]
    raw = write(
        tmp_path / "t.parquet",
        {"image": pa.array(IMAGE_STRUCTS, STRUCT), "caption": captions, "title": ["x", "y", "z"]},
    )
    source, rows = read(tmp_path, raw, caption_columns="caption,title")
    assert [tuple(row.values())[:3] for row in rows] == [
        ("a dog", "0.jpg", "x"),
        ("a hound", "0.jpg", "x"),
        ("", "1.jpg", "y"),
        ("a cat", "2.jpg", "z"),
    ]
    assert source.encoded_images(range(4)) == [IMAGES[place] for place in (0, 0, 1, 2)]


def test_lists_are_read_from_json_and_from_shards_too(tmp_path):
    sentences = [{"raw": "a dog", "tokens": ["a", "dog"]}, {"raw": "a hound", "tokens": ["a", "hound"]}]  # COCO's form
    (tmp_path / "0.jpg").write_bytes(IMAGES[0])
    (tmp_path / "t.jsonl").write_text(json.dumps({"filepath": "0.jpg", "sentences": sentences}), encoding="utf-8")
    rows = read(tmp_path, tmp_path / "t.jsonl", caption_columns="sentences")[1]
    assert [(row["filename"], row["sentences"]) for row in rows] == [("0.jpg", "a dog"), ("0.jpg", "a hound")]
    fields = json.dumps({"texts": ["a dog", "a hound"], "more": ["b"]}).encode()
    (tmp_path / "s.tar").write_bytes(archive({"7.jpg": IMAGES[0], "7.json": fields}))
    shards = built("image_text/shards", tmp_path / "tfds", raw=tmp_path / "s.tar", caption_columns="texts,more")
    assert shards.metadata.to_pylist() == [
        {"filename": "s/7", "more": "b", "texts": "a dog", "label": -1},
        {"filename": "s/7", "more": "", "texts": "a hound", "label": -1},
    ]


def test_captions_and_labels_may_be_utf8_bytes(tmp_path):
    columns = {
        "image": pa.array(IMAGE_STRUCTS, STRUCT),
        "caption": ["é".encode(), None, b""],
        "label": [b"cat", b"1", None],
    }
    (tmp_path / "classes.txt").write_text("dog\ncat\n", encoding="utf-8")
    raw = write(tmp_path / "t.parquet", columns)
    rows = read(tmp_path, raw, label_column="label", classes=str(tmp_path / "classes.txt"))[1]
    assert [(row["caption"], row["label"]) for row in rows] == [("é", 1), ("", 1), ("", -1)]


@pytest.mark.parametrize("classes", ["", "CLASSES"])
def test_labels_need_no_captions_and_their_names_are_those_of_the_file_or_of_a_list(tmp_path, classes):
    (tmp_path / "classes.txt").write_text("airplane\nbird\n\n", encoding="utf-8")
    columns = {"img": pa.array(UNNAMED, STRUCT), "label": pa.array([1, -1, 0])}
    raw = write(tmp_path / "t.parquet", columns, ["plane", "bird"])
    classes = classes.replace("CLASSES", str(tmp_path / "classes.txt"))
    source, rows = read(tmp_path, raw, caption_columns="", label_column="label", classes=classes)
    assert source.class_names == ("airplane" if classes else "plane", "bird")
    assert rows == [{"filename": f"t/{row}", "label": label} for row, label in enumerate((1, -1, 0))]


TABLE = {"image": pa.array(IMAGE_STRUCTS, STRUCT), "caption": list("abc"), "label": [0, 1, 2]}


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        (TABLE, {"caption_columns": "text"}, "'text'; it has image, caption, label: .* --caption_columns=caption$"),
        (TABLE, {"image_column": "png"}, "t.parquet has no column 'png'; it has image, caption, label"),
        (
            TABLE,
            {"label_column": "y", "classes": "cifar10"},
            "t.parquet has no column 'y'; it has image, caption, label$",
        ),
        (TABLE, {"image_column": "label"}, "t.parquet, row 1: 'label' is neither a path nor an encoded image: '0'"),
        (TABLE, {"caption_columns": ""}, "images without texts need labels, by --label_column=NAME"),
        (TABLE, {"caption_columns": "record"}, "has 'record', which cannot be a text's name"),
        (TABLE, {"classes": "cifar10"}, "--classes=cifar10 needs --label_column=NAME"),
        (
            TABLE,
            {"label_column": "label"},
            "needs --classes, the class list of the labels: .*t.parquet has no class names",
        ),
        ({"caption": ["a"]}, {}, "which column of .* has the images. it has caption: name it with --image_column"),
        ({"a": [b"x"], "b": [b"y"], "caption": ["a"]}, {}, "which column of .* has the images. it has a, b, caption"),
        (TABLE | {"caption": [b"a", b"\xff", b"c"]}, {}, r"1.jpg: 'caption' is not UTF-8: b'\\xff'"),
        (TABLE | {"caption": 3 * [{"a": 1}]}, {}, "0.jpg: 'caption' is neither text nor a list of texts: {'a': 1}"),
        ({"image": [b"x"], "caption": ["a"]}, {}, r"no record of the split 'train' \(whose image cannot be read: 1\)"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_in_one_line(tmp_path, columns, options, message):
    raw = write(tmp_path / "t.parquet", columns)
    with pytest.raises(UserError, match=message) as error:
        read(tmp_path, raw, **options)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "tfds/image_text/mine/1.0.0").exists()


def test_every_file_is_checked_before_any_is_read(tmp_path, monkeypatch):
    write(tmp_path / "data" / "a.parquet", TABLE)
    write(tmp_path / "data" / "b.parquet", {"image": pa.array(IMAGE_STRUCTS, STRUCT)})
    monkeypatch.setattr("cliptail_jax.datasets.image_text.read_table", None)
    with pytest.raises(UserError, match="b.parquet has no column 'caption'; it has image"):
        read(tmp_path, tmp_path / "data")


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        (["train-0-of-1.parquet", "test-0-of-1.parquet"], {}, "splits test, train: name those of each by a glob"),
        (["train-00000.tar", "val-00000.tar"], {}, "splits train, val: name those of each by a glob, such as --train="),
        (["notes.md"], {}, "has neither shards .* nor parquet files"),
        (["x.tar", "x.tsv"], {"raw": "*"}, "has shards .* and tables: name either by a glob"),
        (
            ["x.tar"],
            {"caption_columns": "title"},
            "x.tar has no .* the field 'title'; they have caption: name those of",
        ),
        (["images.tar"], {}, "images.tar has no samples with the field 'caption'; they have images alone: add texts"),
        (["t.txt"], {"raw": "t.txt"}, "t.txt is not a table"),
        (["t.parquet"], {"raw": "t.parquet"}, "t.parquet: .*size is 0"),
        (["t.jsonl"], {"raw": "t.jsonl"}, "t.jsonl gives no record of the split .train. .it is empty"),
    ],
)
def test_files_that_are_no_tables_or_not_of_one_kind_are_refused_in_one_line(tmp_path, files, options, message):
    for name in files:
        sample = {"1.jpg": IMAGES[0], **({} if name == "images.tar" else {"1.txt": b"one"})}
        (tmp_path / name).write_bytes(archive(sample) if name.endswith("tar") else b"")
    options = dict(options)
    with pytest.raises(UserError, match=message) as error:
        read(tmp_path, tmp_path / options.pop("raw", ""), **options)
    assert "\n" not in str(error.value)


def test_a_table_with_images_and_class_names_is_a_set_of_labelled_images(tmp_path):
    columns = {"image": pa.array(IMAGE_STRUCTS, STRUCT), "label": pa.array([1, 0, 1])}
    path = write(tmp_path / "hub" / "train.parquet", columns, ["cat", "dog"])
    source = built("image_folder/mine", tmp_path / "tfds", train=path)
    assert source.class_names == ("cat", "dog") and source.encoded_images(range(3)) == IMAGES
    assert source.metadata["label"].to_pylist() == [1, 0, 1]
