"""Full disks, closed terminals, signals, killed workers and other devices: how programs end, and that nothing is lost."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from test_train import losses
from test_train_processes import ROOT, STOPPED, command, finish, start, wait_for_step, with_devices

STEPS = {"total_epochs": 40, "checkpoint__every_steps": 20, "eval__sets": "()"}  # 120
INTERRUPTED = 128 + signal.SIGINT


def start_limited(arguments, limit=None, **options):
    """A program that can write files of `limit` bytes at most, and is interrupted by Ctrl-C even in the background."""

    def prepare():
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    environment = {**os.environ, "XLA_FLAGS": with_devices(1)}
    return subprocess.Popen(arguments, cwd=ROOT, env=environment, start_new_session=True, preexec_fn=prepare, **options)


@pytest.fixture(scope="module")
def started(tmp_path_factory, glyphs_dir):
    """Two runs of one config, started together: undisturbed, and with a closed pipe for stderr and no other stream."""
    root = tmp_path_factory.mktemp("started")
    commands = {name: command(root / name, glyphs_dir, **STEPS) for name in ("whole", "closed")}
    reader, writer = os.pipe()
    os.close(reader)
    without_streams = ["sh", "-c", 'exec "$@" >&- <&-', "sh", *commands["closed"]]
    running = {"whole": start(commands["whole"]), "closed": start_limited(without_streams, stderr=writer)}
    os.close(writer)
    yield root, running
    for process in running.values():
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def whole(started):
    """The losses of an uninterrupted run on one device."""
    root, running = started
    finish(running["whole"])
    return losses(root / "whole")


def test_a_full_disk_is_one_line_and_training_goes_on_when_there_is_space(whole, tmp_path, glyphs_dir):
    arguments = command(tmp_path / "run", glyphs_dir, **STEPS)
    process = start_limited(arguments, limit=20_000, stderr=subprocess.PIPE, text=True)  # programs are cached by now
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 2, errors
    assert errors.count("\n") == 2 and "Traceback" not in errors, errors  # the first describes the data
    assert f"error: {tmp_path}/run cannot be written to (File too large" in errors
    assert "no step is saved yet, and the same command starts again" in errors
    finish(start(arguments))
    assert losses(tmp_path / "run") == whole


def test_training_goes_on_without_its_terminal(started, whole):
    root, running = started
    assert running["closed"].wait(timeout=120) == 0
    assert losses(root / "closed") == whole


PRINTS = """
import sys
from cliptail_jax.interrupts import ignore_closed_terminal
ignore_closed_terminal()
with open(sys.argv[1], "w") as file:
    for stream in (sys.stdout, sys.stderr):
        for _ in range(2):
            print("discarded", file=stream, flush=True)
    file.write(str(file.fileno()))
"""


@pytest.mark.parametrize("redirection", ["2>&-", "<&- >&- 2>&-", "| true", "2>&1 | true"])
def test_output_to_a_closed_stream_is_discarded(redirection, tmp_path):
    """And no file that the program writes gets the descriptor of a stream."""
    script = f'set -o pipefail; "$@" {redirection}'
    command_line = ["bash", "-c", script, "bash", sys.executable, "-c", PRINTS, str(tmp_path / "file")]
    assert subprocess.run(command_line, cwd=ROOT, timeout=60).returncode == 0
    assert int((tmp_path / "file").read_text()) > 2


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, STOPPED)])
def test_a_program_that_is_stopped_says_so_in_a_line_at_any_moment(number, status, tmp_path, glyphs_dir):
    """During imports, and during training, where the line names the step that is saved."""
    forever = STEPS | {"total_epochs": 10_000, "checkpoint__every_steps": 1}
    moments = (0.3, 1.5)
    processes = [
        start_limited(command(tmp_path / str(moment), glyphs_dir, **forever), stderr=subprocess.PIPE, text=True)
        for moment in (*moments, "trained")
    ]
    began = time.monotonic()
    for moment, process in zip(moments, processes):
        time.sleep(max(0.0, began + moment - time.monotonic()))
        process.send_signal(number)
    while not list((tmp_path / "trained").glob("checkpoints/*.sha256.json")):
        time.sleep(0.05)
        assert processes[-1].poll() is None and time.monotonic() < began + 120
    processes[-1].send_signal(number)
    for process in processes:
        errors = process.communicate(timeout=60)[1]
        assert process.returncode == status, errors
        assert "Traceback" not in errors and ("interrupted" in errors or "stopped by SIGTERM" in errors), errors
    assert "is saved, and the same command goes on from there" in errors


def test_a_killed_worker_process_ends_training_in_a_line_and_it_goes_on_from_there(whole, tmp_path, glyphs_dir):
    arguments = command(tmp_path / "run", glyphs_dir, **STEPS, data__workers=2)
    process = start(arguments)
    wait_for_step(1, tmp_path / "run", process)
    os.kill(workers_of(process.pid)[0], signal.SIGKILL)
    (errors,) = finish(process, code=2)
    assert errors.count("\n") == 2 and "error: a process that loads images was killed" in errors, errors
    assert "is saved" in errors and "the same command" in errors
    assert len(losses(tmp_path / "run")) < len(whole)
    finish(start(command(tmp_path / "run", glyphs_dir, **STEPS)))  # with another number of workers, none
    assert losses(tmp_path / "run") == whole


def workers_of(pid):
    """The processes of multiprocessing that a process has started, but for the one that looks after shared memory."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid and "spawn_main" in (folder / "cmdline").read_text():
                found.append(int(folder.name))
    return found


def test_a_run_goes_on_with_another_number_of_devices(whole, tmp_path, glyphs_dir):
    """From eight on four. Its first ten losses are those of a run on one device to a millionth."""
    arguments = command(tmp_path / "run", glyphs_dir, **STEPS)
    process = start(arguments, XLA_FLAGS=with_devices(8))
    wait_for_step(4, tmp_path / "run", process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert len(losses(tmp_path / "run")) < len(whole)
    finish(start(arguments, XLA_FLAGS=with_devices(4)))
    found, expected = ([loss for _, loss in of_run[:10]] for of_run in (losses(tmp_path / "run"), whole))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
