import csv
import gzip
import json

import pyarrow
import pyarrow.parquet
import pytest

from cliptail_jax.concepts.class_lists import imagenet_wnids
from cliptail_jax.datasets.image_text import expand_braces, find_files
from cliptail_jax.datasets.metadata_table import skipped_records
from cliptail_jax.datasets.source import open_source
from cliptail_jax.host.errors import UserError
from tests.commands import build as main
from tests.datasets.prepared_files import built
from tests.datasets.raw_data import archive, jpeg, write_shard

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


@pytest.mark.parametrize("name", ["t.tsv", "t.parquet", "t.jsonl.gz"])
def test_table_of_paths_and_captions_becomes_records_without_labels(tmp_path, name):
    write_images(tmp_path / "raw")
    write_table(tmp_path / "raw" / name)
    source = built("image_text", tmp_path, raw=tmp_path / "raw" / name)
    assert (source.class_names, source.wnids) == ((), None)
    assert source.metadata.to_pylist() == [
        {"filename": row["filepath"], "caption": row["caption"], "label": -1} for row in ROWS
    ]
    assert source.metadata["label"].type == pyarrow.int64()
    assert source.encoded_images(range(3)) == [jpeg(number, (9, 9)) for number in (1, 2, 3)]


def test_columns_may_have_any_names_and_images_lie_anywhere(tmp_path):
    write_images(tmp_path / "images")
    rows = [{"path": row["filepath"], "title": f"title {i}", "description": None} for i, row in enumerate(ROWS)]
    write_table(tmp_path / "t.jsonl", rows)
    arguments = [f"--data_dir={tmp_path}", f"--raw={tmp_path}/t.jsonl", f"--images={tmp_path}/images"]
    columns = ["--image_column=path", "--caption_columns=title,description"]
    assert main(["image_text/my_set", *arguments, *columns]) == 0
    metadata = open_source("image_text/my_set", str(tmp_path), "train").metadata
    assert metadata["title"].to_pylist() == [f"title {i}" for i in range(3)]
    assert metadata["description"].to_pylist() == [""] * 3


def build_labelled(tmp_path, classes):
    return built("image_text", tmp_path, raw=tmp_path / "t.csv", label_column="label", classes=classes)


def test_labels_may_be_numbers_or_names_of_a_list(tmp_path):
    write_images(tmp_path)
    write_table(tmp_path / "t.csv")
    (tmp_path / "fish.json").write_text(
        json.dumps([{"name": "tench"}, {"name": "great white shark"}, {"name": "goldfish"}])
    )
    source = build_labelled(tmp_path, tmp_path / "fish.json")
    assert source.class_names == ("tench", "great white shark", "goldfish")
    assert source.metadata["label"].to_pylist() == [1, -1, 2]


def test_labels_of_imagenet_may_be_wnids(tmp_path):
    write_images(tmp_path)
    write_table(tmp_path / "t.csv", [row | {"label": wnid} for row, wnid in zip(ROWS, imagenet_wnids()[7:10])])
    source = build_labelled(tmp_path, "imagenet1k")
    assert source.wnids == imagenet_wnids() and source.class_names[0] == "tench"
    assert source.metadata["label"].to_pylist() == [7, 8, 9]


@pytest.mark.parametrize("label", ["shark", "2", "1.5", "²", "9" * 5000])
def test_label_that_is_no_class_is_an_error_that_names_it(tmp_path, label):
    write_images(tmp_path)
    write_table(tmp_path / "t.csv", [ROWS[0] | {"label": label}])
    (tmp_path / "two.json").write_text('[{"name": "a"}, {"name": "b"}]')
    with pytest.raises(UserError, match=f"t.csv has the label '{label[:50]}', which is neither a class"):
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
    source = built("image_text", tmp_path, raw=tmp_path / "raw", caption_columns="caption,Alt")
    assert source.metadata.select(["filename", "caption", "Alt"]).to_pylist() == [
        {"filename": "00000/0", "caption": "text 0", "Alt": "alt 0"},
        {"filename": "00000/1", "caption": "text 1", "Alt": "alt 1"},
        {"filename": "00001/3", "caption": "text 3", "Alt": "alt 3"},
    ]
    assert source.encoded_images([2]) == [jpeg(3)]
    assert skipped_records(tmp_path / "image_text" / "1.0.0", "train") == {"without an image": 1}


def test_shard_alone_without_json_or_parquet_has_its_texts(tmp_path):
    files = {
        "./x/1.jpg": jpeg(1),
        "./x/1.txt": b"one",
        "./x/2.v1.txt": b"no",
        "x.y/3.png": jpeg(3),
        "x.y/3.txt": b"three",
    }
    (tmp_path / "one.tar").write_bytes(archive(files))
    source = built("image_text", tmp_path, raw=tmp_path / "one.tar")
    assert source.metadata["caption"].to_pylist() == ["one", "three"]


@pytest.mark.parametrize(
    "pattern, texts",
    [
        ("a.tar", "a.tar"),
        ("{0..2}", "0 1 2"),
        ("{008..010}.tar", "008.tar 009.tar 010.tar"),
        ("{2..1}{a,b}", "2a 2b 1a 1b"),
        ("x{a/{0..1},b{,c}}.tar", "xa/0.tar xa/1.tar xb.tar xbc.tar"),
        ("{a}{b", "{a}{b"),
    ],
)
def test_braces_are_expanded_as_in_the_shell(pattern, texts):
    assert list(expand_braces(pattern)) == texts.split()


def test_shards_in_braces_are_those_that_there_are(tmp_path):
    for name in ("a/00.tar", "a/01.tar", "b/7.tar"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.name for path in find_files(tmp_path / "{a/{00..01},b/*}.tar")] == ["00.tar", "01.tar", "7.tar"]


@pytest.mark.parametrize("pattern, lacking", [("{00..02}", "02"), ("{00,01,{0..9999999}}", "0000000")])
def test_the_first_missing_shard_is_named_before_further_names_are_made(tmp_path, pattern, lacking):
    for name in ("00", "01"):
        (tmp_path / f"{name}.tar").touch()
    with pytest.raises(UserError, match=f"there is no .*/{lacking}.tar$"):
        find_files(tmp_path / f"{pattern}.tar")
    assert next(expand_braces(pattern)) == "00"
