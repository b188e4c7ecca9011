"""Shards that lack something: it is an error that names them, or is counted, and never silent."""

import io
import tarfile
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from cliptail_jax.datasets.metadata_table import skipped_records
from cliptail_jax.datasets.webdataset import missing_files, read_shard
from cliptail_jax.host.errors import UserError
from tests.commands import build as main
from tests.datasets.prepared_files import built
from tests.datasets.raw_data import archive, jpeg, write_shard

ROWS = [{"key": f"{number}", "image": jpeg(number), "caption": f"text {number}", "y": number} for number in range(3)]


def samples_of(shard):
    return list(read_shard(shard, lambda reason, example: pytest.fail(str(example))))


def test_no_cut_of_a_shard_goes_unnoticed(tmp_path):
    shard = tmp_path / "0.tar"
    write_shard(shard, ROWS)
    content, right = shard.read_bytes(), samples_of(shard)
    for size in range(0, len(content), 100):
        shard.write_bytes(content[:size])
        try:  # of the zeros at the end, not all are needed
            assert samples_of(shard) == right and not content[size:].strip(b"\0")
        except UserError as error:
            assert f"{shard} is damaged" in str(error)


def with_link(kind):
    stream = io.BytesIO(archive({"1.jpg": jpeg(1), "1.txt": b"one"}))
    with tarfile.open(fileobj=stream, mode="a") as tar:
        link = tarfile.TarInfo("2.jpg")
        link.type, link.linkname = kind, "1.jpg"
        tar.addfile(link)
    return stream.getvalue()


SOUND = {"0.jpg": jpeg(0), "0.txt": b"zero"}
NO_OBJECT, LINKS = {"whose .json is not an object": 1}, {"files that are links": 1}


@pytest.mark.parametrize(
    ("content", "counts", "example"),
    [
        *(
            (archive(SOUND | {"1.jpg": jpeg(1), "1.json": text}), NO_OBJECT, "0.tar: '1.json' is not a JSON object")
            for text in (b"{", b"null", b'["y"]', b"[" * 200_000)
        ),
        *((with_link(kind), LINKS, "0.tar: '2.jpg' is a link") for kind in (tarfile.LNKTYPE, tarfile.SYMTYPE)),
    ],
)
def test_samples_left_out_of_a_shard_are_counted_with_an_example(tmp_path, capsys, content, counts, example):
    (tmp_path / "0.tar").write_bytes(content)
    assert len(built("image_text", tmp_path, raw=tmp_path / "0.tar")) == 1
    assert skipped_records(tmp_path / "image_text" / "1.0.0", "train") == counts
    assert f"{example}; it is skipped, and others like it are counted" in capsys.readouterr().err


def test_samples_that_only_the_parquet_file_lists_are_counted(tmp_path, capsys):
    write_shard(tmp_path / "0.tar", ROWS)
    (tmp_path / "0.tar").write_bytes(archive(SOUND))
    assert main(["image_text", f"--data_dir={tmp_path}", f"--raw={tmp_path}/0.tar"]) == 0
    output = capsys.readouterr()
    assert "0.tar has no '1', which the parquet beside it lists" in output.err
    assert "1 train records, 0 MB, skipped (that a shard lacks and its parquet lists: 2)" in output.out


@pytest.mark.parametrize("columns", [{"url": ["a"]}, {"key": [None]}, {"key": [["0"]]}, {"key": [0]}])
def test_parquet_file_without_keys_is_an_error_that_names_it(tmp_path, columns):
    write_shard(tmp_path / "0.tar", ROWS)
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "0.parquet")
    with pytest.raises(UserError, match="0.parquet has rows without a text as 'key'"):
        samples_of(tmp_path / "0.tar")


@pytest.mark.parametrize(
    ("damage", "left"),
    [
        (lambda content: content[:-10_000], 2),  # of the last sample, there may have been more
        (lambda content: content * 2, 2),
        (lambda content: content.replace(b"2.jpg", b"3.jpg"), 1),  # the checksum of whose header is wrong now
    ],
)
def test_damaged_shard_ends_a_build_or_is_counted(tmp_path, capsys, damage, left):
    (tmp_path / "raw").mkdir()
    write_shard(tmp_path / "raw" / "0.tar", ROWS)
    write_shard(tmp_path / "raw" / "1.tar", ROWS[:1])
    shard = tmp_path / "raw" / "0.tar"
    shard.write_bytes(damage(shard.read_bytes()))
    command = ["image_text", f"--data_dir={tmp_path}", f"--raw={tmp_path}/raw"]
    assert main(command) == 2
    assert capsys.readouterr().err.endswith("; download the shard again, or pass --skip_damaged\n")
    assert main([*command, "--skip_damaged"]) == 0
    assert (
        f"{left + 1} train records, 0 MB, skipped (damaged shards, or the rest of them: 1)" in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("files", "missing_names"),
    [
        ("00000.tar 00002.tar 00004.tar", "00001.tar 00003.tar"),
        ("train-00001-of-00003.parquet train-00002-of-00003.parquet", "train-00000-of-00003.parquet"),
        ("t-00-of-02-ab1.parquet", "t-01-of-02.parquet"),
        ("a-00.tar a-01.tar b-07.tar b-09.tar", "b-08.tar"),
        ("00003.tar 00004.tar", ""),  # the others may be of another split
        ("2019.tar 2022.tar", ""),
        ("1.tar 3.tar x.tar", ""),
    ],
)
def test_files_that_a_series_lacks_are_found(files, missing_names):
    assert missing_files([Path("x", name) for name in files.split()]) == [
        Path("x", name) for name in missing_names.split()
    ]


@pytest.mark.parametrize("name", ["{:05}.tar", "x-{:05}-of-00003.tar"])
def test_missing_shard_ends_a_build_or_is_counted(tmp_path, capsys, name):
    (tmp_path / "raw").mkdir()
    for number in (0, 2):
        write_shard(tmp_path / "raw" / name.format(number), ROWS)
    command = ["image_text", f"--data_dir={tmp_path}", f"--raw={tmp_path}/raw"]
    assert main(command) == 2
    assert f"raw/{name.format(1)} is missing among the numbered files: add it" in capsys.readouterr().err
    assert main([*command, "--skip_damaged"]) == 0
    output = capsys.readouterr()
    assert "skipped (missing shards: 1)" in output.out
    assert f"note: there is no {tmp_path}/raw/{name.format(1)}" in output.err
    assert main(["image_text/one", f"--data_dir={tmp_path}", f"--raw={tmp_path}/raw/{name.format(2)}"]) == 0
