import pwd
from pathlib import Path

import pytest

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import file_size
from cliptail_jax.host.outputs import check_output, check_writable_folder
from tests.commands import build, count, export, figures, laion, make_head

PLACES = ["file", "file/below", "dangling", "loop", "/proc/x/below"]


def is_own(path):
    return True


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("dangling").symlink_to("nowhere")
    Path("loop").symlink_to("loop")
    return tmp_path


@pytest.mark.parametrize("place", PLACES)
def test_a_place_that_cannot_be_made_or_written_to_is_an_error(folder, place):
    with pytest.raises(UserError, match=f"^{place} cannot be written"):
        check_writable_folder(Path(place))
    with pytest.raises(UserError):
        check_output(Path(place, "out.tsv"), is_own)


@pytest.mark.parametrize("place", ["new/below", "linked/below", "."])
def test_place_that_can_be_written_is_no_error_and_left_as_it_is(folder, place):
    Path("real").mkdir()
    Path("linked").symlink_to("real")
    before = sorted(folder.rglob("*"))
    check_writable_folder(Path(place))
    check_output(Path(place, "out.tsv"), is_own)
    check_output(Path("file"), is_own)
    assert sorted(folder.rglob("*")) == before


def test_a_file_has_a_size_where_its_owner_has_no_name(folder, monkeypatch):
    """As in a container whose user is only a number."""
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    Path("file").write_bytes(b"abc")
    assert file_size(Path("file")) == file_size("file") == 3


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        (build, ["glyphs", "--data_dir=PLACE"]),
        (laion, ["match", "--input=unread", "--output=PLACE"]),
        (figures, ["class_frequency", "--frequencies=unread", "--output=PLACE/out.png"]),
        (make_head, ["--model=unread", "--classes=pets", "--output=PLACE/head.npy"]),
        (export, ["--workdir=run", "--output=PLACE"]),
        (count, ["--captions=captions.txt", "--classes=pets", "--output=PLACE/out.tsv"]),
    ],
)
def test_programs_refuse_a_place_before_they_read_anything(folder, capsys, program, arguments):
    Path("captions.txt").touch()
    Path("run").mkdir()
    Path("run/config.json").write_text('{"config": {}}', encoding="utf-8")
    assert program([argument.replace("PLACE", "file") for argument in arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and "cannot be written" in line
