"""Kills, full disks, closed terminals, signals and killed workers: how programs end, and that nothing is lost."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cliptail_jax.runs.manifests import newest_valid_step
from tests.forked_programs import ROOT, with_devices
from tests.run_commands import (
    STOPPED,
    command,
    finish,
    start,
    terminate,
    wait_for_checkpoint,
    wait_for_step,
    wait_until,
    workers_of,
)
from tests.saved_state import losses
from tests.terminal import Terminal

pytestmark = pytest.mark.program

STEPS = {"total_epochs": 30, "checkpoint__every_steps": 10, "eval__every_epochs": 30, "eval__sets": ()}  # 90
INTERRUPTED = 128 + signal.SIGINT


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, glyphs_dir):
    """An uninterrupted run in a terminal, and what that shows, with a trace. Others reuse what the run has compiled."""
    workdir, terminal = tmp_path_factory.mktemp("whole"), Terminal()
    finish(start(command(workdir, glyphs_dir, **STEPS, profile__steps=2), stderr=terminal.path))
    return workdir, terminal.text()


@pytest.fixture(scope="module")
def whole(uninterrupted):
    """The losses of the uninterrupted run."""
    return losses(uninterrupted[0])


def test_a_terminal_shows_a_bar_from_the_start_and_at_the_end_where_the_results_are(uninterrupted):
    workdir, shown = uninterrupted
    *bars, results, see = [line for line in shown.splitlines() if line.strip()]
    stages = ("preparing", "step 0/90, loading the first images", "step 0/90, compiling")
    at = [next(i for i, line in enumerate(bars) if re.search(rf"\|.*\| {stage}$", line.rstrip())) for stage in stages]
    assert at == sorted(at) and re.search(r"\| step \d+/90, loss \d\.\d{3}, \d+ images/s, 00:\d\d left", shown)
    assert results == f"Results:      {workdir}"
    assert see == f"To see them:  cliptail report --workdir={workdir}"


def test_a_trace_has_the_parts_of_a_step(uninterrupted):
    (trace,) = (uninterrupted[0] / "profile").glob("plugins/profile/*/*.xplane.pb")
    written = trace.read_bytes()
    assert all(part in written for part in (b"preprocessing", b"towers", b"loss", b"update"))


def test_a_run_that_is_killed_and_then_terminated_ends_bit_for_bit_as_an_uninterrupted_one(whole, tmp_path, glyphs_dir):
    stopped, arguments = tmp_path, command(tmp_path, glyphs_dir, **STEPS)
    process = start(arguments)
    wait_for_checkpoint(stopped, process)
    process.kill()
    saved = newest_valid_step(stopped / "checkpoints")
    assert saved < 90

    process = start(arguments)
    wait_until(lambda: len(losses(stopped)) <= saved, process)  # lines after the checkpoint are dropped
    wait_for_step(saved + 2, stopped, process)
    (errors,) = terminate(process)
    assert f"resuming from step {saved} of 90" in errors and "Traceback" not in errors
    _, _, errors = errors.partition("SIGTERM: the step that runs is completed and saved\n")
    assert errors.lstrip().startswith("stopped by SIGTERM; step ")
    assert "is saved, and the same command continues from there" in errors
    last = losses(stopped)[-1][0]
    assert newest_valid_step(stopped / "checkpoints") == last < 90

    (errors,) = finish(start(arguments))
    assert f"resuming from step {last} of 90" in errors
    assert losses(stopped) == whole and len(whole) == 90


def program(arguments, **streams):
    """A program with one device that is no fork: it imports the package."""
    return subprocess.Popen(arguments, cwd=ROOT, env=os.environ | {"XLA_FLAGS": with_devices(1)}, **streams)


def test_a_full_disk_is_one_line_and_training_goes_on_when_there_is_space(whole, tmp_path, glyphs_dir):
    """And without its terminal: with a closed pipe for stderr and no other stream."""
    arguments = command(tmp_path / "run", glyphs_dir, **STEPS)
    (errors,) = finish(start(arguments, limit=20_000), code=2)
    *before, line = errors.splitlines()  # what describes the data, and the progress without a terminal
    assert [text.rpartition(", ")[2] for text in before[1:]] == ["loading the first images", "compiling"], errors
    assert line.startswith("error: ") and "Traceback" not in errors, errors
    assert f"error: {tmp_path}/run cannot be written to (File too large" in errors
    assert "no step is saved yet, and the same command starts again" in errors
    reader, writer = os.pipe()
    os.close(reader)
    process = program(["sh", "-c", 'exec "$@" >&- <&-', "sh", *arguments], stderr=writer)
    os.close(writer)
    assert process.wait(timeout=120) == 0
    assert losses(tmp_path / "run") == whole


PRINTS = """
import sys
from cliptail_jax.host.interrupts import ignore_closed_terminal
ignore_closed_terminal()
with open(sys.argv[1], "w") as file:
    for stream in (sys.stdout, sys.stderr):
        for _ in range(2):
            print("discarded", file=stream, flush=True)
    file.write(str(file.fileno()))
"""


@pytest.mark.parametrize(("redirection", "status"), [("<&- >&- 2>&-", 0), ("2>&1 | true", 0), (">/dev/full", 2)])
def test_output_to_a_closed_stream_is_discarded_and_to_a_full_device_an_error(redirection, status, tmp_path):
    """And no file that the program writes gets the descriptor of a stream."""
    script = f'set -o pipefail; "$@" {redirection}'
    command_line = ["bash", "-c", script, "bash", sys.executable, "-c", PRINTS, str(tmp_path / "file")]
    assert subprocess.run(command_line, cwd=ROOT, timeout=60).returncode == status
    assert status or int((tmp_path / "file").read_text()) > 2


def catches(number, process):
    """Whether a process has a handler of a signal."""
    caught = re.search(
        r"^SigCgt:\t(\w+)", Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8"), re.MULTILINE
    )
    return bool(int(caught[1], 16) >> number - 1 & 1)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, STOPPED)])
def test_a_program_that_is_stopped_says_so_in_a_line_at_any_moment(number, status, tmp_path, glyphs_dir):
    """Here during imports, of which the slow ones follow the first moment."""
    interruptible = ["env", "--default-signal=INT"]  # it is ignored if the tests are in the background
    arguments = [*interruptible, *command(tmp_path / "new", glyphs_dir)]
    for moment in (0, 1):
        process = program(arguments, stderr=subprocess.PIPE, text=True)
        wait_until(lambda: catches(signal.SIGTERM, process), process)
        assert moment or not re.search("numpy|jaxlib", Path(f"/proc/{process.pid}/maps").read_text(encoding="utf-8"))
        time.sleep(moment)
        process.send_signal(number)
        (errors,) = finish(process, code=status)
        assert "Traceback" not in errors and ("interrupted" in errors or "stopped by SIGTERM" in errors), errors


def test_ctrl_c_in_training_names_the_step_that_is_saved(tmp_path, glyphs_dir):
    forever = STEPS | {"total_epochs": 10_000, "checkpoint__every_steps": 1}
    process = start(command(tmp_path, glyphs_dir, **forever))
    wait_for_checkpoint(tmp_path, process)
    process.send_signal(signal.SIGINT)
    (errors,) = finish(process, code=INTERRUPTED)
    assert "Traceback" not in errors and "interrupted" in errors, errors
    assert "is saved, and the same command continues from there" in errors


def test_a_killed_worker_process_ends_training_in_a_line_and_it_goes_on_from_there(whole, tmp_path, glyphs_dir):
    arguments = command(tmp_path / "run", glyphs_dir, **STEPS, data__workers=1)
    process = start(arguments)
    wait_for_step(1, tmp_path / "run", process)
    os.kill(workers_of(process.pid)[0], signal.SIGKILL)
    (errors,) = finish(process, code=2)
    assert len(errors.splitlines()) == 4 and "error: a process that loads images was killed" in errors, errors
    assert "is saved" in errors and "the same command" in errors
    assert len(losses(tmp_path / "run")) < len(whole)
    finish(start(command(tmp_path / "run", glyphs_dir, **STEPS)))  # with another number of workers, none
    assert losses(tmp_path / "run") == whole


def test_a_stopped_program_leaves_no_temporary_folder(tmp_path):
    (tmp_path / "cache").mkdir()
    script = "import os, signal, sys; from cliptail_jax.host.interrupts import exit_on_signal, remove_at_end\n"
    script += "exit_on_signal()\nwith remove_at_end(sys.argv[1]): os.kill(os.getpid(), signal.SIGTERM)"
    assert subprocess.run([sys.executable, "-c", script, tmp_path / "cache"], cwd=ROOT).returncode == STOPPED
    assert not (tmp_path / "cache").exists()
