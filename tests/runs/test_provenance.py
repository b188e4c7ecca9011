"""What config.json says of software, hardware, commit and command, and that none of it makes another run of a run."""

import json
import os
import subprocess

import jax

from cliptail_jax.config.fields import plain
from cliptail_jax.objectives import FIELDS
from cliptail_jax.runs import directory, provenance
from cliptail_jax.runs.directory import open_or_resume
from configs import sup

DATA = {"records": 3, "fingerprint": "abc"}


def test_config_json_has_the_hardware_and_the_command(tmp_path, monkeypatch):
    module = ["-m", "cliptail_jax.train", "--config=configs/sup.py:data=glyphs_lt", "--workdir=my runs/sup"]
    monkeypatch.setattr("sys.orig_argv", ["/some/where/python3", "-X", "importtime", *module])
    open_or_resume(tmp_path, plain(sup.get_config("data=glyphs_lt")), FIELDS, DATA, overwrite=False)
    noted = json.loads((tmp_path / "config.json").read_text())
    assert noted["command"] == (
        "python -m cliptail_jax.train --config=configs/sup.py:data=glyphs_lt '--workdir=my runs/sup'"
    )
    assert noted["hardware"] == {
        "device": jax.devices()[0].device_kind,
        "devices": jax.device_count(),
        "processes": 1,
        "cores": len(os.sched_getaffinity(0)),
    }


def test_a_run_on_other_hardware_is_the_same_run(tmp_path, monkeypatch):
    values = plain(sup.get_config("data=glyphs_lt"))
    open_or_resume(tmp_path, values, FIELDS, DATA, overwrite=False)
    (tmp_path / "checkpoints").mkdir()
    monkeypatch.setattr(directory, "provenance", lambda: {"hardware": {"device": "TPU v5e"}})
    open_or_resume(tmp_path, values, FIELDS, DATA, overwrite=False)
    assert json.loads((tmp_path / "config.json").read_text())["hardware"] == {"device": "TPU v5e"}


def test_the_commit_is_that_of_a_clone_and_says_when_files_are_changed(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True)

    inside = tmp_path / "inside"
    inside.mkdir()
    git("init")
    (inside / "file").write_text("1")
    git("add", ".")
    git("commit", "-m", "first")
    git("tag", "v1")
    sha = git("rev-parse", "HEAD").stdout.strip()
    provenance.commit.cache_clear()
    assert provenance.commit(tmp_path) == sha
    assert provenance.commit(inside) == ""  # as a folder of installed packages in somebody's clone
    (inside / "file").write_text("2")
    provenance.commit.cache_clear()
    assert provenance.commit(tmp_path) == f"{sha}-dirty"
    provenance.commit.cache_clear()
