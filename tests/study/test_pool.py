"""Runs of a study that train at the same time, on a core each: their numbers, and how they end with the program."""

import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest

from cliptail_jax.host.errors import UserError
from cliptail_jax.study import pool
from cliptail_jax.study.places import Place, with_cores
from cliptail_jax.study.pool import call_at_places
from tests.run_commands import STOPPED, finish, start, wait_until, workers_of
from tests.saved_state import losses
from tests.study.calls import end, end_or_outlive, meet, seen, stay
from tests.terminal import Terminal

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system gives no process a core")

FIRST, LATER = ("run_0", "run_1"), "run_2"
TWO = [Place()] * 2


@pytest.mark.program
def test_runs_at_the_same_time_are_killed_and_have_the_numbers_of_one_core(tmp_path, glyphs_dir):
    cores = list(map(str, sorted(os.sched_getaffinity(0))[:2]))
    if len(cores) == 1:
        pytest.skip("there is one core")
    program = [sys.executable, "-m", "tests.study.train_three"]
    folder = tmp_path / "both"
    arguments = [*program, str(folder), str(glyphs_dir), *cores]

    terminal = Terminal()
    process = start(arguments, stderr=terminal.path)
    wait_until(lambda: all(any((folder / name).glob("checkpoints/*.sha256.json")) for name in FIRST), process)
    workers = workers_of(process.pid)
    assert len(workers) == 2
    os.kill(process.pid, signal.SIGKILL)  # the other two see that it is gone
    process.wait()
    output = terminal.text()
    assert "| 0 of 3 are done, " in output
    for number in (1, 2):  # a bar each
        label = f"run {number} of 3, run_{number - 1}"
        assert re.search(rf"{label} \|.*\| preparing", output) and re.search(rf"{label} \|.*\| step \d+/24", output), (
            output
        )
    deadline = time.time() + 20
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        time.sleep(0.05)
        assert time.time() < deadline

    # Not earlier, where it would slow down the run on the same core.
    one_core = start([*program, str(tmp_path / "one"), str(glyphs_dir), cores[0]])
    (errors,) = finish(start(arguments))
    assert "resuming from step " in errors, errors
    assert "run_2" in errors  # which may have begun, or ended, before the kill
    assert "|" not in errors  # in a file, there are no bars
    finish(one_core)
    assert len(losses(folder / LATER)) == 24
    for name in (*FIRST, LATER):
        assert losses(folder / name) == losses(tmp_path / "one" / name)


@pytest.mark.program
def test_calls_run_at_the_same_time_each_on_its_core(tmp_path, capsys):
    calls = dict(one=(tmp_path, "a", "b"), other=(tmp_path, "b", "a"))
    results = dict(call_at_places(meet, calls, TWO))
    assert results.keys() == calls.keys() and all(met for _, met in results.values())
    assert all(len(cores) == 1 for cores, _ in results.values())
    assert {"a is here", "b is here"} <= set(capsys.readouterr().err.splitlines())


@pytest.mark.program
def test_a_killed_process_is_a_line_with_the_remedy():
    with pytest.raises(
        UserError, match="killed, perhaps for its memory: 1 run at the same time, and --jobs sets how many"
    ):
        dict(call_at_places(end, dict(one=(signal.SIGKILL,)), TWO[:1]))


@pytest.mark.program
def test_a_killed_process_ends_the_program_soon_though_another_does_not_stop(monkeypatch, tmp_path):
    monkeypatch.setattr(pool, "PATIENCE", 0.1)
    start = time.monotonic()
    with pytest.raises(UserError, match="2 run at the same time"):
        dict(call_at_places(end_or_outlive, dict(killed=(tmp_path, signal.SIGKILL), other=(tmp_path, 0)), TWO))
    assert time.monotonic() - start < 50


@pytest.mark.program
def test_a_program_is_stopped_also_while_a_core_has_nothing_left_to_do(capsys):
    start = time.monotonic()
    with pytest.raises(SystemExit) as ended:
        for _ in call_at_places(stay, dict(short=(0.0,), long=(60.0,)), TWO):
            time.sleep(0.5)  # the process that has ended its call waits for another
            os.kill(os.getpid(), signal.SIGTERM)
    assert ended.value.code == STOPPED and time.monotonic() - start < 30
    assert f"stopped by SIGTERM; {pool.RESUMES}" in capsys.readouterr().err


@pytest.mark.program
def test_a_chip_is_the_only_one_that_its_process_sees_and_cores_are_divided(monkeypatch):
    """Chips are CPU devices here, of which JAX starts as many as a variable has."""
    chips = with_cores([{"XLA_FLAGS": f"--xla_force_host_platform_device_count={number}"} for number in (3, 5)])
    results = dict(call_at_places(seen, {"one": (1.0,), "other": (1.0,)}, chips))
    usable = os.sched_getaffinity(0)
    assert {devices for devices, _ in results.values()} == {3, 5}
    if len(usable) > 1:
        assert sorted(core for _, cores in results.values() for core in cores) == sorted(usable)


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """The folder for temporary files of a machine whose scheduler gives this process the cores 3 and 5."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5, 3}, raising=False)
    monkeypatch.setattr(pool.tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_each_process_takes_a_core_that_fewest_have(machine, monkeypatch):
    opened, open_file = [], os.open
    monkeypatch.setattr(os, "open", lambda *arguments: opened.append(open_file(*arguments)) or opened[-1])
    assert [pool.take_core() for _ in range(5)] == [{3}, {5}, {3}, {5}, {3}]
    os.close(opened[1])  # as when the process ends that has the core 5
    assert pool.take_core() == {5}
    for descriptor in opened:
        try:
            os.close(descriptor)
        except OSError:
            pass


def test_all_cores_are_taken_where_there_can_be_no_locks(machine, monkeypatch):
    (machine / "file").touch()
    monkeypatch.setattr(pool.tempfile, "tempdir", str(machine / "file"))
    assert pool.take_core() == {3, 5}
