import json
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from raw_data import jpeg, write_shard

from cliptail_jax.curation.variant import Variant
from cliptail_jax.datasets import streaming
from cliptail_jax.datasets.build import build, main
from cliptail_jax.datasets.folder import prepared_names
from cliptail_jax.datasets.image_text import ImageText
from cliptail_jax.datasets.metadata import load_metadata, scan
from cliptail_jax.datasets.records import open_records
from cliptail_jax.datasets.source import open_source
from cliptail_jax.datasets.streaming import clean_text, decodes
from cliptail_jax.errors import UserError
from cliptail_jax.images.reencoding import Reencoding

REPOSITORY = pathlib.Path(__file__).parents[2]


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


def test_files_of_a_built_set_are_shards_table_and_description(tmp_path, raw):
    folder = build("image_text", str(tmp_path), raw=raw)
    assert sorted(file.name for file in folder.iterdir()) == [
        "dataset_info.json",
        "features.json",
        "image_text-train.array_record-00000-of-00001",
        "metadata-train.parquet",
    ]
    assert sorted(file.name for file in folder.parent.iterdir()) == [".lock", "1.0.0"]


def test_table_written_on_the_way_is_what_a_scan_of_the_records_finds(tmp_path, raw):
    folder = build("image_text", str(tmp_path), raw=raw)
    scanned = scan(open_records(folder, "train"))
    written = load_metadata(folder, "train")
    assert written.select(["filename", "caption"]).equals(scanned.select(["filename", "caption"]))
    (folder / "metadata-train.parquet").unlink()
    assert load_metadata(folder, "train").equals(written)


def test_records_and_rows_are_written_in_the_memory_of_a_batch(tmp_path, raw, monkeypatch):
    monkeypatch.setattr("cliptail_jax.datasets.metadata_table.WRITE_BATCH", 3)
    build("image_text", str(tmp_path), raw=raw)
    assert texts(tmp_path) == [f"text {number}" for number in range(20)]


def interrupt_after(count, monkeypatch):
    calls = []

    def check(image):
        calls.append(image)
        if len(calls) > count:
            raise KeyboardInterrupt
        return True

    monkeypatch.setattr(streaming, "decodes", check)


def test_interrupted_build_leaves_nothing_that_loads_and_does_not_hinder_the_next(tmp_path, raw, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_after(12, patch)
        with pytest.raises(KeyboardInterrupt):
            build("image_text", str(tmp_path), raw=raw)
    assert prepared_names(tmp_path) == []
    with pytest.raises(
        UserError, match="'image_text' is not prepared.*datasets.build image_text --data_dir=.* --raw=PATH"
    ):
        open_source("image_text", str(tmp_path), "train")
    build("image_text", str(tmp_path), raw=raw)
    assert len(texts(tmp_path)) == 20
    assert not (tmp_path / "image_text" / ".unfinished").exists()


def test_killed_build_leaves_nothing_that_loads(tmp_path, raw):
    script = (
        "import os, signal, sys\n"
        "from cliptail_jax.datasets import build, streaming\n"
        "seen = []\n"
        "def check(image):\n"
        "    seen.append(image)\n"
        "    if len(seen) > 15: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return True\n"
        "streaming.decodes = check\n"
        "build.main(sys.argv[1:])\n"
    )
    arguments = ["image_text", f"--data_dir={tmp_path}", f"--raw={raw}"]
    killed = subprocess.run([sys.executable, "-c", script, *arguments], cwd=REPOSITORY, env=os.environ)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "image_text" / ".unfinished").exists()
    assert prepared_names(tmp_path) == []
    assert main(arguments) == 0
    assert len(texts(tmp_path)) == 20


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


def test_other_file_formats_are_refused(tmp_path, raw):
    with pytest.raises(UserError, match="'image_text' is written as file_format='array_record' only"):
        ImageText(raw=raw, data_dir=tmp_path, file_format="parquet").download_and_prepare()


def test_decoding_check_agrees_with_a_full_decode(tmp_path):
    image = np.random.default_rng(0).bytes(30_000)
    sound = jpeg(9, (300, 200))
    for content, expected in (
        (sound, True),
        (sound[:-2], False),
        (sound[: len(sound) // 2], False),
        (image, False),
        (b"", False),
    ):
        assert decodes(content) is expected, len(content)


def test_texts_are_cleaned_of_what_cannot_be_stored_alone():
    assert clean_text(None) == ""
    assert clean_text(["two words", 3]) == "two words 3"
    assert clean_text("a\n\tb é \U0001f41f ") == "a\n\tb é \U0001f41f "
    assert clean_text(json.loads('"half \\ud83d"')) == "half ?"


def test_large_images_are_encoded_again_on_request_in_their_order(tmp_path, raw, capsys):
    small = build("image_text", str(tmp_path / "small"), raw=raw, short_side="8", quality="80")
    build("image_text", str(tmp_path / "large"), raw=raw)
    printed = capsys.readouterr().err
    assert "image_text train: 20 of 20 images encoded again: " in printed
    (small_source, large_source) = (open_source("image_text", str(tmp_path / n), "train") for n in ("small", "large"))
    assert small_source.encoding == {"short_side": 8, "quality": 80} and large_source.encoding == {}
    pairs = zip(small_source.encoded_images(range(20)), large_source.encoded_images(range(20)), strict=True)
    assert all(after == Reencoding(8, 80)(before) for after, before in pairs)
    assert texts(tmp_path / "small") == texts(tmp_path / "large")
    assert main(["image_text", f"--data_dir={small.parents[1]}", f"--raw={raw}", "--short_side=8", "--quality=80"]) == 0


def test_how_images_were_encoded_is_part_of_a_variants_fingerprint(tmp_path, raw):
    def fingerprint(**options):
        build("image_text", str(tmp_path / str(options)), raw=raw, **options)
        source = open_source("image_text", str(tmp_path / str(options)), "train")
        rows = np.arange(20)
        return Variant(source, rows, rows, ("cat",), rows, None).fingerprint()

    encodings = [{}, {"short_side": "8"}, {"short_side": "9"}, {"short_side": "8", "quality": "50"}]
    assert len({fingerprint(**options) for options in encodings}) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["laionet"], "data set 'laionet' needs --raw=PATH: a folder of img2dataset's shards"),
        (["birdsnap", "--raw=TMP/nowhere"], "/nowhere; --raw names the extracted folder"),
        (["glyphs", "--raw=TMP"], "data set 'glyphs' takes no options, and not --raw"),
        (["birdsnap/half", "--raw=TMP"], "data set 'birdsnap' has no config 'half'; it has none"),
        (["image_text/../x", "--raw=TMP"], "data set 'image_text' has no config '../x'"),
        (["image_text/new", "--raw=RAW", "--short_side=0"], "--short_side=0 is not a whole number from 1"),
        (["image_text/new", "--raw=RAW", "--short_side=x"], "--short_side=x is not a whole number"),
        (
            ["image_text/new", "--raw=RAW", "--short_side=8", "--quality=101"],
            "--quality=101 is not a whole number from 1 to",
        ),
        (["image_text/new", "--raw=RAW", "--quality=90"], "--short_side: give that, too"),
        (["image_text", "--raw=RAW", "--short_side=8"], "exists without --short_side=8 --quality=90: remove it"),
    ],
)
def test_a_build_that_cannot_be_is_refused_in_one_line(tmp_path, raw, capsys, arguments, message):
    build("image_text", str(tmp_path / "tfds"), raw=raw)
    arguments = [argument.replace("TMP", str(tmp_path)).replace("RAW", raw) for argument in arguments]
    assert main([*arguments, f"--data_dir={tmp_path}/tfds"]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert prepared_names(tmp_path / "tfds") == ["image_text:1.0.0"]
