"""Commands on a Dask cluster of two worker processes, one of which is killed."""

import os
import shlex
import sys
import time
from pathlib import Path

import pytest

from cliptail_jax.host.errors import UserError
from cliptail_jax.runs import on_dask
from cliptail_jax.runs.on_dask import run_models_on_dask, run_on_dask
from cliptail_jax.study import run as study
from cliptail_jax.study.configuration import typed_study
from cliptail_jax.study.run import open_study, train_on_dask, train_parts
from tests.synthetic_studies import claim, make_study, read_report

# Notes that it began; one ends its worker, the process that started it, the first time that it does.
TASK = """
import os, pathlib, signal, sys, time
folder, name = pathlib.Path(sys.argv[1]), sys.argv[2]
with open(folder / name, "a") as file:
    file.write(f"{os.getpid()}\\n")
if name == "killed" and len((folder / name).read_text().split()) == 1:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)
if name == "broken":
    print("first line\\nerror: out of luck", file=sys.stderr)
    sys.exit(2)
"""


@pytest.fixture(scope="module")
def cluster():
    from distributed import LocalCluster  # which is slow to import

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", os.defpath)  # the environment is not active
        with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as started:
            yield started


def is_running(process):
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.program
def test_commands_run_once_each_and_again_if_their_worker_is_lost(cluster, tmp_path):
    names = ["a", "killed", "broken", "b"]
    commands = {name: shlex.join(["python", "-c", f"import jax\n{TASK}", str(tmp_path), name]) for name in names}
    assert run_on_dask(commands, tmp_path / "work", cluster.scheduler_address) == {"broken": "out of luck"}
    processes = {name: (tmp_path / name).read_text().split() for name in names}
    assert [len(processes[name]) for name in names] == [1, 2, 1, 1]
    deadline = time.time() + 10
    while is_running(processes["killed"][0]) and time.time() < deadline:  # it has ended with its worker
        time.sleep(0.05)
    assert not is_running(processes["killed"][0])


@pytest.mark.program
def test_the_report_has_why_runs_failed(cluster, trains, tmp_path, monkeypatch):
    trains[0].update(a=0.5)
    config = make_study("a", "broken", c=claim("corr_acc", "a", "broken"))
    train_parts(open_study(typed_study(config), tmp_path), ["a"])
    stand_in = tmp_path / "cliptail"
    stand_in.write_text("#!/bin/sh\n[ \"$4\" = --only=a ] || { echo 'error: out of luck' >&2; exit 2; }\n")
    stand_in.chmod(0o755)
    monkeypatch.setattr(study, "command", lambda: f"{stand_in} study mine.py --workdir={tmp_path} --runner=dask")
    with pytest.raises(UserError, match="1 of 2 runs failed: broken"):
        train_on_dask(open_study(typed_study(config), tmp_path), [], cluster.scheduler_address)
    text, report = read_report(tmp_path)
    assert report["failures"] == {"broken": "out of luck"} and list(report["runs"]) == ["a"]
    assert run_on_dask({"a": "/no/program"}, tmp_path, cluster.scheduler_address) == {
        "a": "No such file or directory: /no/program"
    }


@pytest.mark.program
def test_a_cluster_that_cannot_be_used_is_one_line(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("cliptail_jax.runs.on_dask.TIMEOUT_SECONDS", 1)
    with pytest.raises(UserError, match="--scheduler=tcp://127.0.0.1:9 does not answer"):
        run_on_dask({"a": "true"}, tmp_path, "tcp://127.0.0.1:9")
    monkeypatch.setattr("cliptail_jax.runs.on_dask.missing_folder", lambda folders: folders[1])
    with pytest.raises(UserError, match=f"the worker tcp://.* does not see {tmp_path}"):
        run_on_dask({"a": "true"}, tmp_path, cluster.scheduler_address)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UserError, match="Dask is not installed"):
        run_on_dask({"a": "true"}, tmp_path, "")


def test_each_model_is_evaluated_by_the_same_command_in_a_directory_of_its_own(tmp_path, monkeypatch):
    command_line = f"cliptail evaluate zero_shot:sets=cifar100 --workdir {tmp_path} --config.eval.models=('RN50','b') --runner dask"
    monkeypatch.setattr(on_dask, "command", lambda: shlex.join(shlex.split(command_line)))
    monkeypatch.setattr(on_dask, "run_on_dask", lambda *arguments: arguments)
    directories = {"RN50": tmp_path / "RN50", "it's": tmp_path / "it_s"}
    commands, workdir, scheduler = run_models_on_dask(directories, "eval.models", tmp_path, "tcp://a:1")
    assert (workdir, scheduler) == (tmp_path, "tcp://a:1")
    words = ["cliptail", "evaluate", "zero_shot:sets=cifar100"]
    for (name, line), models in zip(commands.items(), ["('RN50',)", '("it\'s",)']):
        assert shlex.split(line) == [*words, f"--workdir={directories[name]}", f"--config.eval.models={models}"]
    monkeypatch.setattr(on_dask, "command", lambda: "")
    with pytest.raises(UserError, match="--runner=dask is for a program that a command starts"):
        run_models_on_dask(directories, "eval.models", tmp_path, "")
