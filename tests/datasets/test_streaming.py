import json

import pytest
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordReader
from tensorflow_datasets.proto.tf_example_generated_pb2 import Example

from cliptail_jax.datasets import streaming
from cliptail_jax.datasets.build import build
from cliptail_jax.datasets.source import open_source
from cliptail_jax.datasets.streaming import clean_text
from cliptail_jax.formats.prepared import prepared_names
from cliptail_jax.formats.reencoding import Reencoding
from cliptail_jax.host.errors import UserError
from tests.commands import build as main
from tests.datasets.raw_data import jpeg, write_shard


@pytest.fixture
def raw(tmp_path):
    """Twenty samples in two shards."""
    (tmp_path / "raw").mkdir()
    rows = [{"key": f"{number:03}", "image": jpeg(number), "caption": f"text {number}"} for number in range(20)]
    write_shard(tmp_path / "raw" / "00000.tar", rows[:10])
    write_shard(tmp_path / "raw" / "00001.tar", rows[10:])
    return str(tmp_path / "raw")


def texts(data_dir):
    return open_source("image_text", str(data_dir), "train").metadata["caption"].to_pylist()


def test_large_split_is_cut_into_shards_in_order(tmp_path, raw, monkeypatch):
    monkeypatch.setattr(streaming, "SHARD_BYTES", 4 * len(jpeg(0)))
    folder = build("image_text", str(tmp_path), raw=raw)
    shards = sorted(file.name for file in folder.glob("*array_record*"))
    assert shards == [f"image_text-train.array_record-0000{index}-of-00005" for index in range(5)]
    source = open_source("image_text", str(tmp_path), "train")
    assert tfds.builder_from_directory(folder).info.splits["train"].shard_lengths == 5 * [4]
    assert source.encoded_images(range(20)) == [jpeg(number) for number in range(20)]
    assert texts(tmp_path) == [f"text {number}" for number in range(20)]


def test_records_have_their_fields_in_one_order_whatever_the_process(tmp_path, raw):
    folder = build("image_text", str(tmp_path), raw=raw)
    for record in ArrayRecordReader(str(next(folder.glob("*array_record*")))).read_all():
        assert Example.FromString(record).SerializeToString(deterministic=True) == record


def test_table_written_on_the_way_is_what_a_scan_of_the_records_finds(tmp_path, raw):
    folder = build("image_text", str(tmp_path), raw=raw)
    metadata = open_source("image_text", str(tmp_path), "train").metadata
    (folder / "metadata-train.parquet").unlink()
    assert open_source("image_text", str(tmp_path), "train").metadata.equals(metadata)


def test_interrupted_build_leaves_nothing_that_loads_and_does_not_hinder_the_next(tmp_path, raw, monkeypatch):
    checked = []

    def check(image):
        checked.append(image)
        if len(checked) > 12:
            raise KeyboardInterrupt
        return ""

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(streaming, "damage_of", check)
        build("image_text", str(tmp_path), raw=raw)
    assert prepared_names(tmp_path) == []
    with pytest.raises(
        UserError, match="'image_text' is not prepared.*cliptail build image_text --data_dir=.* --raw=PATH"
    ):
        open_source("image_text", str(tmp_path), "train")
    build("image_text", str(tmp_path), raw=raw)
    assert len(texts(tmp_path)) == 20
    assert not (tmp_path / "image_text" / ".unfinished").exists()


def test_full_disk_is_an_error_and_leaves_nothing_that_loads(tmp_path, raw, monkeypatch, capsys):
    class FullDisk:
        def __init__(self, *_):
            pass

        def write(self, record):
            pass

        def close(self):
            raise RuntimeError("write() failed: No space left on device")

    monkeypatch.setattr(streaming, "ArrayRecordWriter", FullDisk)
    assert main(["image_text", f"--data_dir={tmp_path}", f"--raw={raw}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and "No space left on device" in error and error.count("\n") == 1
    assert prepared_names(tmp_path) == []


def test_texts_are_cleaned_of_what_cannot_be_stored_alone():
    assert clean_text(None) == ""
    assert clean_text(["two words", 3]) == "two words 3"
    assert clean_text("a\n\tb é \U0001f41f ") == "a\n\tb é \U0001f41f "
    assert clean_text(json.loads('"half \\ud83d"')) == "half ?"


def test_large_images_are_encoded_again_on_request_in_their_order(tmp_path, raw):
    build("image_text", str(tmp_path / "small"), raw=raw, short_side="8", quality="80")
    build("image_text", str(tmp_path / "large"), raw=raw)
    (small_source, large_source) = (open_source("image_text", str(tmp_path / n), "train") for n in ("small", "large"))
    assert small_source.encoding == {"short_side": 8, "quality": 80} and large_source.encoding == {}
    pairs = zip(small_source.encoded_images(range(20)), large_source.encoded_images(range(20)), strict=True)
    assert all(result == Reencoding(8, 80)(original) for result, original in pairs)
    assert texts(tmp_path / "small") == texts(tmp_path / "large")
    with pytest.raises(UserError, match="exists without --short_side=8 --quality=90: remove it"):
        build("image_text", str(tmp_path / "large"), raw=raw, short_side="8")
