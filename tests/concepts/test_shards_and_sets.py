"""Counting in shards and in prepared data sets: the counts are those of the same captions in a table."""

import gzip
import json
import pathlib

import pytest
from PIL import Image

from cliptail_jax.concepts.captions import find_parts, read_part
from cliptail_jax.datasets.build import build
from cliptail_jax.formats.frequency_tables import HEADER
from cliptail_jax.formats.readers import DamagedFileError
from cliptail_jax.host.errors import UserError
from tests.commands import count as main
from tests.datasets.raw_data import archive
from tests.formats.plain_resizing import encoded

CAPTIONS = ["two dogs", "a cat, and a dog", "", "kittens\nin a tabby row", "nothing", "the dog's bow", "zwölf cats"]
COUNTS = ["cat\t3", "dog\t3", "bow\t1"]


def tar(path, files):
    """Writes an archive of the given contents by name, compressed where the path ends in .gz."""
    path.write_bytes(gzip.compress(archive(files)) if path.suffix == ".gz" else archive(files))
    return path


def samples(captions, first=0, kind="txt"):
    """Files of samples whose texts are in their .txt, or in the field 'alt' of their .json."""
    image, files = encoded(Image.new("RGB", (8, 8)), "PNG"), {}
    for number, caption in enumerate(captions, first):
        fields = {"alt": caption, "url": "x", "width": 8}
        files[f"a/{number:04d}.png"] = image
        files[f"a/{number:04d}.{kind}"] = (caption if kind == "txt" else json.dumps(fields)).encode()
    return files


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with a class list, the captions as a table, as two shards, and as a prepared set of two splits."""
    monkeypatch.chdir(tmp_path)
    names = [{"name": "cat", "synonyms": ["cat", "tabby kitten"]}, {"name": "dog"}, {"name": "bow"}]
    pathlib.Path("pets.json").write_text(json.dumps(names), encoding="utf-8")
    table = "TEXT\n" + "".join('"' + caption + '"\n' for caption in CAPTIONS)
    pathlib.Path("captions.tsv").write_text(table, encoding="utf-8")
    pathlib.Path("shards").mkdir()
    tar(pathlib.Path("shards/0.tar"), samples(CAPTIONS[:3]))
    tar(pathlib.Path("shards/1.tar"), samples(CAPTIONS[3:], 3))
    build("image_text/mine", "tfds", train="shards/0.tar", val="shards/1.tar")
    for name in ("0.parquet", "0_stats.json"):  # which img2dataset writes beside them
        (tmp_path / "shards" / name).write_bytes(b"{}")
    return tmp_path


def run(captions, *arguments):
    return main([f"--captions={captions}", "--classes=pets.json", "--output=out.tsv", "--data_dir=tfds", *arguments])


def lines():
    return pathlib.Path("out.tsv").read_text(encoding="utf-8").removeprefix(HEADER).splitlines()


@pytest.mark.parametrize(
    "captions", ["captions.tsv", "shards", "shards/*.tar", "image_text/mine", "image_text/mine:1.0.0"]
)
def test_counts_are_those_of_the_same_captions_in_a_table(folder, capsys, captions):
    assert run(captions) == 0
    assert lines() == COUNTS
    assert capsys.readouterr().out.startswith("out.tsv: 7 captions in ")


def test_a_split_of_a_set_and_a_field_of_shards_can_be_named(folder):
    assert run("image_text/mine:val", "--column=caption") == 0
    assert lines() == ["cat\t2", "dog\t1", "bow\t1"]
    tar(pathlib.Path("fields.tar.gz"), samples(CAPTIONS, kind="json"))
    assert run("fields.tar.gz", "--column=alt") == 0
    assert lines() == COUNTS


def test_every_cut_of_a_shard_is_named_and_the_others_are_counted(folder, capsys):
    content = pathlib.Path("shards/1.tar").read_bytes()
    for size in (1000, 1536, 3500, len(content) // 2):
        pathlib.Path("shards/1.tar").write_bytes(content[:size])
        assert run("shards") == 2
        error = capsys.readouterr().err
        assert "1 of 2 files not counted: shards/1.tar: " in error and "out.tsv has the counts of the others" in error
        assert lines() == ["cat\t1", "dog\t2", "bow\t0"]


def test_a_sample_without_the_text_has_no_caption_and_its_bytes_are_kept(folder):
    path = tar(
        pathlib.Path("x.tar"),
        {"1.txt": b"d\xffog", "1.json": b'{"caption": "no"}', "2.jpg": b"", "3.txt": b"cat", "x": b""},
    )
    captions = [text for batch in read_part(str(path), "caption") for text in batch.to_pylist()]
    assert captions == [b"d\xffog", None, b"cat"]


@pytest.mark.parametrize(
    ("files", "column", "message"),
    [
        ({"1.json": b'{"alt": "dog"}', "2.json": b"["}, "alt", "x.tar: 2.json is not JSON"),
        ({"1.json": b'{"alt": "dog"}', "2.json": b"[]"}, "alt", "x.tar: 2.json is not a JSON object"),
        ({"1.json": b'{"alt": "dog"}', "2.json": b'{"alt": 7}'}, "alt", "x.tar: the caption of row 2 is int, not text"),
        ({"1.txt": b"dog", "1.json": b'{"alt": "dog", "n": 1}'}, "text", "x.tar has no column 'text'; it has alt, n"),
        ({"1.json": b'{"n": 1}'}, "n", "column 'n' of .*x.tar is int, not text"),
        ({"1.jpg": b"x", "2.jpg": b"x"}, "caption", "x.tar: its samples have neither a .txt nor"),
    ],
)
def test_a_shard_that_cannot_be_read_is_named(tmp_path, monkeypatch, files, column, message):
    monkeypatch.setattr("cliptail_jax.formats.readers.FIRST_LINES", 1)
    path = tar(tmp_path / "x.tar", files)
    with pytest.raises(UserError, match=message) as error:
        list(read_part(str(path), column))
    assert isinstance(error.value, DamagedFileError) == message.startswith("x.tar:")


@pytest.mark.parametrize(
    ("captions", "message"),
    [
        ("image_text/mine:test", "data set 'image_text/mine' has no split 'test'; it has train, val"),
        ("image_text/yours", "no captions file matches image_text/yours: .* or a data set of this name .* below tfds"),
        ("image_text/mine:2.0.0", "no captions file matches image_text/mine:2.0.0"),
        ("image_text/mine:1.0.0:val:x", "no captions file matches"),
    ],
)
def test_a_set_that_is_not_there_is_an_error(folder, captions, message):
    with pytest.raises(UserError, match=message):
        find_parts(captions, "tfds")


def test_a_set_without_its_table_is_an_error_that_tells_how_it_is_written(folder):
    pathlib.Path("tfds/image_text/mine/1.0.0/metadata-val.parquet").unlink()
    with pytest.raises(UserError, match=r"metadata-val.parquet is not written yet; .*open_source\('image_text/mine"):
        find_parts("image_text/mine", "tfds")
    assert find_parts("image_text/mine:train", "tfds") == ["tfds/image_text/mine/1.0.0/metadata-train.parquet"]


def test_a_path_goes_before_a_data_set_of_the_same_name(folder):
    pathlib.Path("image_text/mine").mkdir(parents=True)
    assert len(find_parts("image_text/mine", "tfds")) == 2  # the folder has no captions
    pathlib.Path("image_text/mine/x.txt").write_text("dog", encoding="utf-8")
    assert find_parts("image_text/mine", "tfds") == ["image_text/mine/x.txt"]
