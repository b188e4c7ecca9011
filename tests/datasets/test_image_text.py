import csv
import gzip
import json

import pyarrow
import pyarrow.parquet
import pytest
from raw_data import archive, jpeg, write_shard

from cliptail_jax.concepts.vocabulary import imagenet_wnids
from cliptail_jax.datasets.build import build, main
from cliptail_jax.datasets.metadata_table import skipped
from cliptail_jax.datasets.source import open_source
from cliptail_jax.errors import UserError

ROWS = [
    {"filepath": "a/1.jpg", "caption": 'two\nlines, a "quote"\tand é', "label": "1"},
    {"filepath": "a/2.jpg", "caption": "NA", "label": "-1"},
    {"filepath": "3.jpg", "caption": "", "label": "goldfish"},
]


def write_images(folder):
    (folder / "a").mkdir(parents=True)
    for row in ROWS:
        (folder / row["filepath"]).write_bytes(jpeg(int(row["filepath"][-5]), (9, 9)))


def write_table(path, rows=ROWS):
    if path.name.endswith(".parquet"):
        return pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    with gzip.open(path, "wt") if path.suffix == ".gz" else open(path, "w", encoding="utf-8", newline="") as file:
        if ".jsonl" in path.name:
            file.write("".join(json.dumps(row) + "\n" for row in rows))
        else:
            table = csv.DictWriter(file, rows[0], delimiter="\t" if ".tsv" in path.name else ",")
            table.writeheader()
            table.writerows(rows)


def open_rows(data_dir, name="image_text"):
    source = open_source(name, str(data_dir), "train")
    return source, source.metadata.to_pylist()


@pytest.mark.parametrize("name", ["t.tsv", "t.parquet", "t.jsonl.gz"])
def test_table_of_paths_and_captions_becomes_records_without_labels(tmp_path, name):
    write_images(tmp_path / "raw")
    write_table(tmp_path / "raw" / name)
    build("image_text", str(tmp_path), raw=str(tmp_path / "raw" / name))
    source, rows = open_rows(tmp_path)
    assert (source.class_names, source.wnids) == ((), None)
    assert rows == [{"filename": row["filepath"], "caption": row["caption"], "label": -1} for row in ROWS]
    assert source.metadata["label"].type == pyarrow.int64()
    assert source.encoded_images(range(3)) == [jpeg(number, (9, 9)) for number in (1, 2, 3)]


def test_columns_may_have_any_names_and_images_lie_anywhere(tmp_path):
    write_images(tmp_path / "images")
    rows = [{"path": row["filepath"], "title": f"title {i}", "description": None} for i, row in enumerate(ROWS)]
    write_table(tmp_path / "t.jsonl", rows)
    arguments = [f"--data_dir={tmp_path}", f"--raw={tmp_path}/t.jsonl", f"--images={tmp_path}/images"]
    columns = ["--image_column=path", "--caption_columns=title,description"]
    assert main(["image_text/my_set", *arguments, *columns]) == 0
    _, rows = open_rows(tmp_path, "image_text/my_set")
    assert [(row["title"], row["description"]) for row in rows] == [(f"title {i}", "") for i in range(3)]


def build_labelled(tmp_path, classes):
    build("image_text", str(tmp_path), raw=str(tmp_path / "t.csv"), label_column="label", classes=str(classes))


def test_labels_may_be_numbers_or_names_of_a_vocabulary(tmp_path):
    write_images(tmp_path)
    write_table(tmp_path / "t.csv")
    (tmp_path / "fish.json").write_text(
        json.dumps([{"name": "tench"}, {"name": "great white shark"}, {"name": "goldfish"}])
    )
    build_labelled(tmp_path, tmp_path / "fish.json")
    source, rows = open_rows(tmp_path)
    assert source.class_names == ("tench", "great white shark", "goldfish")
    assert [row["label"] for row in rows] == [1, -1, 2]


def test_labels_of_imagenet_may_be_wnids(tmp_path):
    write_images(tmp_path)
    write_table(tmp_path / "t.csv", [row | {"label": wnid} for row, wnid in zip(ROWS, imagenet_wnids()[7:10])])
    build_labelled(tmp_path, "imagenet1k")
    source, rows = open_rows(tmp_path)
    assert source.wnids == imagenet_wnids() and source.class_names[0] == "tench"
    assert [row["label"] for row in rows] == [7, 8, 9]


@pytest.mark.parametrize("label", ["shark", "2", "1.5", "²", "9" * 5000])
def test_label_that_is_no_class_is_an_error_that_names_it(tmp_path, label):
    write_images(tmp_path)
    write_table(tmp_path / "t.csv", [ROWS[0] | {"label": label}])
    (tmp_path / "two.json").write_text('[{"name": "a"}, {"name": "b"}]')
    with pytest.raises(UserError, match=f"t.csv has the label '{label[:50]}', which is not a class"):
        build_labelled(tmp_path, tmp_path / "two.json")


def test_shards_become_records_with_the_fields_asked_for(tmp_path):
    (tmp_path / "raw").mkdir()
    rows = [
        {
            "key": f"{number}",
            "image": jpeg(number) if number != 2 else None,
            "caption": f"text {number}",
            "Alt": f"alt {number}",
        }
        for number in range(4)
    ]
    write_shard(tmp_path / "raw" / "00000.tar", rows[:2])
    write_shard(tmp_path / "raw" / "00001.tar", rows[2:])
    build("image_text", str(tmp_path), raw=str(tmp_path / "raw"), caption_columns="caption,Alt")
    source, rows = open_rows(tmp_path)
    assert [(row["filename"], row["caption"], row["Alt"]) for row in rows] == [
        ("00000/0", "text 0", "alt 0"),
        ("00000/1", "text 1", "alt 1"),
        ("00001/3", "text 3", "alt 3"),
    ]
    assert source.encoded_images([2]) == [jpeg(3)]
    assert skipped(tmp_path / "image_text" / "1.0.0", "train") == {"without an image": 1}


def test_shard_alone_without_json_or_parquet_has_its_texts(tmp_path):
    files = {
        "./x/1.jpg": jpeg(1),
        "./x/1.txt": b"one",
        "./x/2.v1.txt": b"no",
        "x.y/3.png": jpeg(3),
        "x.y/3.txt": b"three",
    }
    (tmp_path / "one.tar").write_bytes(archive(files))
    build("image_text", str(tmp_path), raw=str(tmp_path / "one.tar"))
    assert [row["caption"] for row in open_rows(tmp_path)[1]] == ["one", "three"]
