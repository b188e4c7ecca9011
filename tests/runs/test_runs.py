"""The files of a run directory: whose run it is, and what is left of it after an interruption."""

import json
import math
import os
import platform
import re
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from cliptail_jax.config.fields import plain
from cliptail_jax.formats.frequency_tables import read_frequency, write_frequency
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import append_line, line_of, read_lines, write_json
from cliptail_jax.objectives import FIELDS
from cliptail_jax.pretrained.model import open_run
from cliptail_jax.results.run import Run
from cliptail_jax.runs import directory, lock, provenance
from cliptail_jax.runs.directory import difference_to, finish, is_finished, open_or_resume, truncate_logs
from cliptail_jax.runs.files import read_config
from cliptail_jax.runs.lock import sole_writer
from configs import sup

DATA = {"records": 3, "fingerprint": "abc"}


@pytest.fixture
def config():
    return sup.get_config("data=glyphs_lt")


def begin(workdir, config, overwrite=False):
    open_or_resume(workdir, plain(config), FIELDS, DATA, overwrite)


def test_a_config_that_failed_before_its_first_checkpoint_leaves_no_run(config, tmp_path):
    begin(tmp_path, config)
    (tmp_path / "tokenizer.json").write_text("{}")
    config.seed = 7
    begin(tmp_path, config)
    assert read_config(tmp_path)["seed"] == 7
    assert not (tmp_path / "tokenizer.json").exists()


def test_overwrite_removes_another_run_and_keeps_one_of_the_same_config(config, tmp_path):
    begin(tmp_path, config)
    (tmp_path / "checkpoints" / "3").mkdir(parents=True)
    append_line(tmp_path / "eval" / "glyphs_test" / "summary.jsonl", {"step": 3})
    append_line(tmp_path / "metrics.jsonl", {"step": 3})
    (tmp_path / "tokenizer.json").write_text("{}")
    finish(tmp_path, 3, 1.0)
    begin(tmp_path, config, overwrite=True)
    assert (tmp_path / "metrics.jsonl").exists() and (tmp_path / "checkpoints" / "3").exists()
    config.seed = 7
    begin(tmp_path, config, overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "variant.json"}
    assert read_config(tmp_path)["seed"] == 7


def test_a_run_continues_with_other_values_of_what_does_not_train(config, tmp_path):
    begin(tmp_path, config)
    config.data.update({"data_dir": "/elsewhere", "workers": 3, "cache": False})
    config.eval.update({"sets": ("cifar100:test",), "neural_collapse": True})
    config.log_every_steps, config.checkpoint.keep, config.mesh.fsdp = 1, 9, 2
    (tmp_path / "checkpoints").mkdir()
    begin(tmp_path, config)
    assert read_config(tmp_path)["data.data_dir"] == "/elsewhere"


@pytest.mark.parametrize(
    "changes, earlier",
    [
        ({}, {}),
        ({"sgd.momentum": 0.5, "sgd.nesterov": True}, {"momentum": 0.5, "nesterov": True}),
        ({"name": "lars", "lars.momentum": 0.5}, {"name": "lars", "momentum": 0.5}),
        ({"name": "adamw", "adamw.b2": 0.98}, {"name": "adamw", "b2": 0.98}),
    ],
)
def test_a_run_from_when_all_optimizers_had_one_section_is_that_of_its_config(config, tmp_path, changes, earlier):
    config.update_from_flattened_dict({f"optimizer.{key}": value for key, value in changes.items()})
    begin(tmp_path, config)
    defaults = {"decay_vectors": True, "momentum": 0.9, "nesterov": False, "b1": 0.9, "b2": 0.999, "eps": 1e-8}
    common = {key: value for key, value in plain(config).items() if not re.match(r"optimizer\.\w+\.", key)}
    values = common | {f"optimizer.{key}": value for key, value in (defaults | earlier).items()}
    write_json(tmp_path / "config.json", {"config": values})
    assert difference_to(tmp_path, plain(config), FIELDS) == ""
    finish(tmp_path, 3, 12.5)
    assert is_finished(tmp_path, plain(config), FIELDS)
    assert Run(tmp_path).config["optimizer.adamw.b2"] == config.optimizer.adamw.b2
    (tmp_path / "checkpoints").mkdir()
    config.optimizer.sgd.momentum = 0.25
    assert not is_finished(tmp_path, plain(config), FIELDS)
    with pytest.raises(UserError, match=r"\(optimizer.sgd.momentum=\S+ not 0.25\)"):
        begin(tmp_path, config)


@pytest.mark.parametrize("name", ["config.json", "variant.json", "metrics.jsonl"])
def test_a_changed_or_missing_file_of_a_finished_run_is_named(config, tmp_path, name):
    begin(tmp_path, config)
    append_line(tmp_path / "metrics.jsonl", {"step": 3, "train/loss": 0.25})
    write_json(tmp_path / "model.json", {})
    (tmp_path / "checkpoints").mkdir()
    finish(tmp_path, 3, 12.5)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content.replace(b"3", b"7"))  # still JSON
    for problem in ("damaged or was changed by hand", "missing"):
        for opens in (open_run, lambda workdir: begin(workdir, config)):
            with pytest.raises(UserError, match=f"{name} is {problem}: restore it from a copy"):
                opens(tmp_path)
        assert not is_finished(tmp_path, plain(config), FIELDS)
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name).write_bytes(content)
    begin(tmp_path, config)
    assert not (tmp_path / "sha256.json").exists()  # a run that continues has none, for its files change


@pytest.mark.parametrize("fragment", ['{"step": 2, "train/lo', "x" * 5000])
def test_a_line_that_a_kill_has_cut_off_is_left_out_and_does_not_spoil_the_next(tmp_path, fragment):
    path = tmp_path / "metrics.jsonl"
    assert read_lines(path) == []
    for step in (1, 2):
        path.open("a").write(fragment)
        assert [line["step"] for line in read_lines(path)] == [1][: step - 1]
        append_line(path, {"step": step})
    path.open("a").write(fragment)
    truncate_logs(tmp_path, 5)
    assert path.read_text() == line_of({"step": 1}) + line_of({"step": 2})


@pytest.mark.parametrize("line", ['{"step": 2', "[2]", ""])
def test_a_damaged_line_is_named(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{{"step": 1}}\n{line}\n{{"step": 3}}\n')
    with pytest.raises(UserError, match="line 2 of .*metrics.jsonl is damaged .*: restore it from a copy"):
        read_lines(path)


def test_json_has_null_for_what_is_not_finite(tmp_path):
    path = tmp_path / "value.json"
    write_json(path, {"a": math.nan, "b": [math.inf, 1.5], "c": {"d": (-math.inf,)}, "e": np.float64("nan")})
    text = path.read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {"a": None, "b": [None, 1.5], "c": {"d": [None]}, "e": None}


def test_a_frequency_table_reads_back_in_order_with_and_without_its_header(tmp_path):
    path, names, counts = (
        tmp_path / "class_frequency.tsv",
        ("name", "a\x85b", "crane", "crane"),
        np.array([3, 0, 12, 5]),
    )
    write_frequency(path, names, counts)
    header, *lines = path.read_text(encoding="utf-8").split("\n")
    assert header == "name\tcount"
    for content in (path.read_text(encoding="utf-8"), "class\timages\n" + "\n".join(lines), "\n".join(lines)):
        path.write_text(content, encoding="utf-8")
        read_names, read_counts = read_frequency(path)
        assert read_names == names
        np.testing.assert_array_equal(read_counts, counts)


HOLD = """
import pathlib, sys, time
from cliptail_jax.runs.lock import sole_writer
with sole_writer(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.mark.program
def test_a_second_process_is_told_who_holds_a_work_directory_until_that_one_ends(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    expected = f"{tmp_path} is in use by process {holder.pid} on {platform.node()}: wait"
    with pytest.raises(UserError, match=expected), sole_writer(tmp_path):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    for _ in range(2):  # one after the other
        with sole_writer(tmp_path):
            assert (tmp_path / lock.FILE).read_text() == f"process {os.getpid()} on {platform.node()}"


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(lock, "BEAT", 0.1)


def test_a_buckets_lock_is_held_as_long_as_its_holder_writes_to_it(quick, tmp_path):
    path = tmp_path / "lock"
    with lock._bucket_lock(path):
        with pytest.raises(UserError, match=f"in use by process {os.getpid()}"), lock._bucket_lock(path):
            pass
    assert not path.exists()


def test_a_buckets_lock_that_nobody_writes_to_is_taken(quick, tmp_path, capsys):
    path = tmp_path / "lock"
    path.write_text("process 7 on elsewhere\n3\n")
    with lock._bucket_lock(path):
        assert "was left by process 7 on elsewhere" in capsys.readouterr().err
        content = path.read_text()
        for _ in range(100):
            if path.read_text() not in ("", content):
                break
            time.sleep(0.05)
        assert path.read_text().startswith(f"process {os.getpid()} on")
    assert not path.exists()


def test_config_json_has_the_hardware_and_the_command(tmp_path, monkeypatch):
    module = ["-m", "cliptail_jax", "train", "sup:data=glyphs_lt", "--workdir=my runs/sup"]
    monkeypatch.setattr("sys.orig_argv", ["/some/where/python3", "-X", "importtime", *module])
    open_or_resume(tmp_path, plain(sup.get_config("data=glyphs_lt")), FIELDS, DATA, overwrite=False)
    noted = json.loads((tmp_path / "config.json").read_text())
    assert noted["command"] == "cliptail train sup:data=glyphs_lt '--workdir=my runs/sup'"
    assert noted["hardware"] == {
        "device": jax.devices()[0].device_kind,
        "devices": jax.device_count(),
        "processes": 1,
        "cores": len(os.sched_getaffinity(0)),
    }


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


def test_the_history_of_a_clone_lacks_commits_that_were_amended(tmp_path):
    def git(*arguments, folder=tmp_path / "clone"):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        run = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
        return run.stdout.strip()

    (tmp_path / "clone").mkdir()
    git("init")
    shas = []
    for words in (["-m", "first"], ["-m", "second"], ["--amend", "-m", "third"]):
        git("commit", "--allow-empty", *words)
        shas.append(git("rev-parse", "HEAD"))
    assert provenance.history(tmp_path / "clone") == {shas[0], shas[2]}
    git("clone", "--depth=1", (tmp_path / "clone").as_uri(), "shallow", folder=tmp_path)
    assert provenance.history(tmp_path / "shallow") == provenance.history(tmp_path) == frozenset()


def test_a_run_on_other_hardware_is_the_same_run(tmp_path, monkeypatch):
    values = plain(sup.get_config("data=glyphs_lt"))
    open_or_resume(tmp_path, values, FIELDS, DATA, overwrite=False)
    (tmp_path / "checkpoints").mkdir()
    monkeypatch.setattr(directory, "provenance", lambda: {"hardware": {"device": "TPU v5e"}})
    open_or_resume(tmp_path, values, FIELDS, DATA, overwrite=False)
    assert json.loads((tmp_path / "config.json").read_text())["hardware"] == {"device": "TPU v5e"}
