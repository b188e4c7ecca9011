import importlib
import os
from pathlib import Path

import pytest
from etils import epath

from cliptail_jax.errors import UserError
from cliptail_jax.outputs import check_output, check_writable_folder

PLACES = ["file", "file/below", "dangling", "dangling/below", "loop", "loop/below", "/proc/x", "/proc/x/below"]
LONG = ["n" * 256, "missing/" + "é" * 128 + "/below"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("dangling").symlink_to("nowhere")
    Path("loop").symlink_to("loop")
    return tmp_path


@pytest.mark.parametrize("place", PLACES + LONG)
def test_folder_that_cannot_be_made_or_written_to_is_an_error(folder, place):
    with pytest.raises(UserError, match="more than 255 bytes" if place in LONG else f"^{place} cannot be written"):
        check_writable_folder(Path(place))


@pytest.mark.parametrize("place", [*(f"{place}/out.tsv" for place in PLACES + LONG), "n" * 250, "."])
def test_file_that_cannot_be_written_is_an_error(folder, place):
    with pytest.raises(UserError):
        check_output(Path(place))


@pytest.mark.parametrize("place", ["new", "new/below", "linked", "linked/below", "."])
def test_place_that_can_be_written_is_no_error_and_left_as_it_is(folder, place):
    Path("real").mkdir()
    Path("linked").symlink_to("real")
    before = sorted(folder.rglob("*"))
    check_writable_folder(Path(place))
    check_output(Path(place, "out.tsv"))
    check_output(Path("file"))
    assert sorted(folder.rglob("*")) == before


def test_places_in_buckets_are_not_checked():
    check_writable_folder(epath.Path("gs://bucket/runs"))
    check_output(epath.Path("gs://bucket/out.tsv"))


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("datasets.build", ["glyphs", "--data_dir=PLACE"]),
        ("curation.laion.__main__", ["match", "--input=unread", "--output=PLACE"]),
        ("figures.__main__", ["class_frequency", "--frequencies=unread", "--output=PLACE/out"]),
        ("figures.__main__", ["class_frequency", "--frequencies=unread", "--output=PLACE/out.png"]),
        ("pretrained.make_head", ["--model=unread", "--vocabulary=pets", "--output=PLACE/head.npy"]),
        ("pretrained.export", ["--workdir=run", "--output=PLACE"]),
        ("concepts.count", ["--captions=captions.txt", "--vocabulary=pets", "--output=PLACE/out.tsv"]),
    ],
)
@pytest.mark.parametrize("place", ["file", "dangling", "/proc/x", LONG[0]])
def test_programs_refuse_a_place_before_they_read_anything(folder, capsys, program, arguments, place):
    Path("captions.txt").touch()
    Path("run").mkdir()
    Path("run/config.json").write_text('{"config": {}}', encoding="utf-8")
    main = importlib.import_module(f"cliptail_jax.{program}").main
    assert main([argument.replace("PLACE", place) for argument in arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and ("cannot be written" in line or "more than 255 bytes" in line)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder_is_an_error(folder):
    Path("closed").mkdir(mode=0o555)
    with pytest.raises(UserError, match="Permission denied"):
        check_writable_folder(Path("closed/below"))
