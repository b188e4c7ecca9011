"""Where runs train at the same time, on machines with and without accelerators, and those for which one chip is too small."""

import os
import pickle
import subprocess

import jax
import pytest

from cliptail_jax.config.sections import MeshAxes
from cliptail_jax.host import cores
from cliptail_jax.host.errors import DEVICE_MEMORY, UserError
from cliptail_jax.objectives import TrainingConfig
from cliptail_jax.results.run import Run
from cliptail_jax.study import measure, places, run, training
from cliptail_jax.study.configuration import typed_study
from cliptail_jax.study.places import Place, environment_of, find_places, local_chips
from cliptail_jax.transfer.configuration import TransferConfig
from cliptail_jax.transfer.program import TransferFailed
from tests.synthetic_studies import make_study

CHIPS = [Place({"CUDA_VISIBLE_DEVICES": str(chip)}, frozenset({chip})) for chip in range(2)]


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Makes this a machine of six cores and of so many chips of a kind, as JAX counts them in a process of its own.

    Without chips, there is nothing to count.
    """

    def make(kind="cpu", chips=0):
        (tmp_path / "device0").touch()
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)), raising=False)
        monkeypatch.setattr(cores, "CPU_MAX", tmp_path / "no quota")
        monkeypatch.setattr(places, "DEVICE_FILES", [str(tmp_path / "device*")] if chips else [])
        process = subprocess.CompletedProcess([], 0, f"a warning\n{kind} {chips}\n")
        monkeypatch.setattr(places.subprocess, "run", (lambda *arguments, **options: process) if chips else None)
        monkeypatch.setattr(jax, "device_count", lambda: 1)
        jax.config.update("jax_platforms", None if chips else "cpu")

    platforms = jax.config.jax_platforms
    yield make
    jax.config.update("jax_platforms", platforms)


def test_on_a_cpu_a_run_has_a_core(machine, monkeypatch):
    machine()
    assert (
        find_places(None, 60) == [Place()] * 6 and find_places(2) == [Place()] * 2 and find_places(9) == [Place()] * 6
    )
    assert find_places(1) == []
    monkeypatch.setattr(jax, "device_count", lambda: 8)
    assert find_places() == []
    with pytest.raises(
        UserError, match="--jobs=2: .* on cores or chips, and this program has 8 devices .*: leave it out"
    ):
        find_places(2)
    monkeypatch.delattr(os, "sched_setaffinity")
    with pytest.raises(UserError, match="this system does not give a process a core of its own"):
        find_places(2)


def test_with_accelerators_a_run_has_a_chip_and_its_share_of_the_cores(machine):
    machine("tpu", 4)
    run_places = find_places(None, 60)
    assert [place.environment["TPU_VISIBLE_CHIPS"] for place in run_places] == ["0", "1", "2", "3"]
    assert len({place.environment["TPU_MESH_CONTROLLER_PORT"] for place in run_places}) == 4
    assert sorted(core for place in run_places for core in place.cores) == list(range(6))
    assert len(find_places(2, 60)) == 2 and find_places(1, 60) == []
    assert find_places(None, 3) == []  # fewer runs than chips
    with pytest.raises(
        UserError, match="--jobs=5: this machine has 4 chips, and a run needs one: give at most so many"
    ):
        find_places(5, 60)
    machine("gpu", 1)
    assert find_places(None, 60) == []


@pytest.mark.parametrize("kind, variable, visible, expected", [
    ("gpu", "CUDA_VISIBLE_DEVICES", None, ["0", "1"]), ("gpu", "CUDA_VISIBLE_DEVICES", "4,6", ["4", "6"]),
    ("tpu", "TPU_VISIBLE_CHIPS", None, ["0", "1"]), ("tpu", "TPU_VISIBLE_CHIPS", "2,3", ["2", "3"]),
])  # fmt: skip
def test_chips_are_those_that_the_program_sees(kind, variable, visible, expected, machine, monkeypatch):
    machine(kind, 2)
    monkeypatch.delenv(variable, raising=False)
    if visible:
        monkeypatch.setenv(variable, visible)
    assert [chip[variable] for chip in local_chips()] == expected
    assert ("TPU_PROCESS_BOUNDS" in environment_of(kind, 0)) == (kind == "tpu")


def test_a_study_leaves_chips_to_the_processes_of_its_runs(machine, monkeypatch, tmp_path):
    machine("gpu", 2)
    jax.config.update("jax_platforms", "cuda,cpu")

    def open_study(*arguments):
        raise UserError(f"platforms: {jax.config.jax_platforms}")

    monkeypatch.setattr(run, "open_study", open_study)
    for run_places, platforms in ((CHIPS, "cpu"), ([Place()], "cuda,cpu")):
        with pytest.raises(UserError, match=f"platforms: {platforms}$"):
            run.run_study(typed_study(make_study("a")), tmp_path, places=run_places)
        assert jax.config.jax_platforms == "cuda,cpu"


def test_runs_that_need_more_than_a_chip_follow_on_all_of_them(monkeypatch, tmp_path, capsys):
    all_calls = []

    def call_at_places(function, calls, run_places):
        all_calls.append((list(calls), run_places))
        for name in calls:
            yield name, DEVICE_MEMORY if name == "large" and len(run_places) == 2 else ""

    monkeypatch.setattr(training, "call_at_places", call_at_places)
    monkeypatch.setattr(training, "is_finished", lambda *arguments: False)
    configs = dict(small=TrainingConfig(), large=TrainingConfig(), sharded=TrainingConfig(mesh=MeshAxes(fsdp=2)))
    failures = {}
    training.train_runs(configs, tmp_path, False, CHIPS, failures)
    (first, at_first), (later, at_last) = all_calls
    assert first == ["small", "large"] and at_first == CHIPS and not failures
    assert later == ["sharded", "large"] and [place.environment for place in at_last] == [{}]
    assert "large does not fit one chip: it follows on all of them" in capsys.readouterr().out


@pytest.mark.parametrize(
    "places, order",
    [
        (1, "0/a 1/a 0/b 1/b 0/c 1/c 0/d 1/d"),
        (2, "0/a 0/b 1/a 1/b 0/d 0/c 1/d 1/c"),
        (8, "0/d 0/a 0/b 0/c 1/d 1/a 1/b 1/c"),
    ],
)
def test_runs_of_a_kind_start_one_after_the_other_since_they_share_programs(places, order):
    of_kind = {"a": "supervised", "b": "supervised", "c": "supervised", "d": "contrastive"}
    runs = {f"{seed}/{kind}": TrainingConfig(objective=of_kind[kind]) for kind in of_kind for seed in (0, 1)}
    assert " ".join(training.order_of_starting(runs, places)) == order


def test_another_process_transfers_if_this_one_leaves_its_chips(monkeypatch, tmp_path):
    all_calls = []

    def call_at_places(function, calls, run_places):
        all_calls.append((function, run_places[0].environment))
        failed = TransferFailed({"b": "no space"}, [{"model": str(tmp_path / "a"), "top1": 1.0}])
        raise pickle.loads(pickle.dumps(failed))  # as a process sends it

    monkeypatch.setattr(measure, "call_at_places", call_at_places)
    runs, failures = measure.transfer_runs(TransferConfig(), {"a": Run(tmp_path / "a")}, tmp_path, CHIPS)
    assert all_calls == [(measure.transfer_and_report, {})] and failures == {"transfer: b": "no space"}
    assert [result["top1"] for result in runs["a"].transfers] == [1.0]
