import concurrent.futures
import re
import shutil
import threading

import pytest

from cliptail_jax.datasets import build as build_module
from cliptail_jax.datasets.build import build, draw_missing
from cliptail_jax.datasets.glyphs.glyphs import Glyphs
from cliptail_jax.datasets.source import open_source
from cliptail_jax.formats.prepared import prepared_names
from cliptail_jax.host.errors import UserError
from tests.commands import build as main

pytestmark = pytest.mark.usefixtures("few_glyphs")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["glyps"], "no data set 'glyps' to build; there is .*glyphs"),
        (["glyphs/compsed"], "data set 'glyphs' has no config 'compsed'; it has composed"),
        (["glyphs", "--data_dir=TMP/file"], "file"),
        (["glyphs", "--raw=TMP"], "data set 'glyphs' takes no options, and not --raw"),
        (["laionet"], "data set 'laionet' needs --raw=PATH: a folder of img2dataset's shards"),
        (["birdsnap", "--raw=TMP/nowhere"], "/nowhere; --raw names the extracted folder"),
        (["image_text/../x", "--raw=TMP"], "data set 'image_text' cannot have the name '../x'"),
        (["image_text/new", "--raw=TMP", "--short_side=0"], "--short_side=0 is not a whole number from 1"),
        (["image_text/new", "--raw=TMP", "--quality=90"], "--short_side writes: give --short_side, too"),
        (["image_text/new"], "'image_text' needs --train=PATH, --val=PATH or --test=PATH"),
        (["image_text/new", "--raw=a", "--train=b"], "the split train is given twice: by --raw and by --train"),
        (["image_text/new", "--train=a", "--split=val"], "--split=val names the split of --raw=PATH: give that"),
        (["image_text/new", "--raw=a", "--split=my split"], "--split=my split is not a name such as train, val"),
        (["image_text/new", "--raw=a", "--split=all"], "--split=all is not a name"),
        (["image_text/new", "--val=TMP/none.tsv"], "none.tsv: name a folder of shards"),
    ],
)
def test_command_refuses_what_it_cannot_build_in_one_line(tmp_path, capsys, arguments, message):
    (tmp_path / "file").write_text("")
    arguments = [argument.replace("TMP", str(tmp_path)) for argument in arguments]
    assert main([f"--data_dir={tmp_path}", *arguments]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error) and error.count("\n") == 1
    assert prepared_names(tmp_path) == []


def test_missing_glyphs_are_drawn_once_when_two_programs_begin_together(tmp_path, monkeypatch, capsys):
    builds, build_into = [], build_module.build_into
    monkeypatch.setattr(build_module, "build_into", lambda *place: builds.append(place) or build_into(*place))
    barrier = threading.Barrier(2)

    def ask(_):
        barrier.wait()
        draw_missing(["glyphs:test"], str(tmp_path))
        return len(open_source("glyphs", str(tmp_path), "test"))

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert list(pool.map(ask, range(2))) == [100, 100]
    assert len(builds) == 1 and f"glyphs is drawn into {tmp_path}/glyphs" in capsys.readouterr().err
    assert (tmp_path / "glyphs" / Glyphs.VERSION / "metadata-train.parquet").exists()
    with pytest.raises(UserError, match="'glyphs:1.0.0' is not prepared"):
        open_source("glyphs:1.0.0", str(tmp_path), "test")


def test_a_built_set_is_left_alone_also_in_a_read_only_folder(glyphs_dir, tmp_path, monkeypatch, capsys):
    shutil.copytree(glyphs_dir, tmp_path / "tfds")

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    assert main(["glyphs", f"--data_dir={tmp_path}/tfds"]) == 0
    assert re.search(f"glyphs: {tmp_path}/tfds/glyphs/{Glyphs.VERSION} .* already there", capsys.readouterr().out)
    with pytest.raises(UserError, match="Permission denied"):
        build("glyphs", str(tmp_path / "elsewhere"))
