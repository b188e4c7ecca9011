"""Runs as commands: how one process and two together stop, go on, and end with an uninterrupted run's numbers."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from test_train import losses

from cliptail_jax.runs.checkpoints import newest_valid_step

ROOT = Path(__file__).parents[1]
STOPPED = 128 + signal.SIGTERM


def command(workdir, glyphs_dir, family="sup", **more):
    """The command line of a small run of three steps an epoch."""
    overrides = {
        "data.data_dir": glyphs_dir, "data.classes.first": 12, "data.profile.ratio": 4.0, "batch_size": 16,
        "eval.batch_size": 16, "eval.every_epochs": 50, "log_every_steps": 1, "model.image.width": 4,
        "model.image.output_dim": 16, "model.text.width": 16, "model.text.vocab_size": 800, "optimizer.warmup_steps": 0,
    } | {key.replace("__", "."): value for key, value in more.items()}  # fmt: skip
    program = [sys.executable, "-m", "cliptail_jax.train", f"--config=configs/{family}.py:data=glyphs_lt"]
    return [*program, f"--workdir={workdir}", *(f"--config.{key}={value}" for key, value in overrides.items())]


def with_devices(count):
    """The compiler's flags of the tests, for another number of devices: the last of a flag's values counts."""
    return f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={count}"


def start(arguments, **environment):
    one_device = {**os.environ, "XLA_FLAGS": with_devices(1), **environment}
    return subprocess.Popen(
        arguments, cwd=ROOT, env=one_device, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def start_pair(arguments, first={}, second={}):
    """Two processes of one device each, with environment variables of their own."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    run = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": "2"}
    return [start(arguments, **run, JAX_PROCESS_ID=str(i), **more) for i, more in enumerate((first, second))]


def wait_until(is_so, process):
    deadline = time.time() + 120
    while not is_so():
        assert process.poll() is None and time.time() < deadline, process.stderr.read()
        time.sleep(0.02)


def wait_for_step(step, workdir, process):
    wait_until(lambda: len(losses(workdir)) >= step, process)


def finish(*processes, code=0):
    """What each wrote to stderr, at the end with this exit status."""
    errors = []
    for process in processes:
        errors.append(process.communicate(timeout=200)[1])
        assert process.returncode == code, errors[-1]
    return errors


def terminate(*processes):
    """Send SIGTERM, and see them stop."""
    for process in processes:
        process.send_signal(signal.SIGTERM)
    return finish(*processes, code=STOPPED)


def test_a_run_that_is_killed_and_then_terminated_ends_bit_for_bit_as_an_uninterrupted_one(tmp_path, glyphs_dir):
    """Under the compiler's usual optimizations, with which numbers could depend on the process."""
    usual = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "0", "XLA_FLAGS": ""}
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    options = {"total_epochs": 40, "checkpoint__every_steps": 20, "eval__sets": "()"}
    process = start(command(stopped, glyphs_dir, **options), **usual)
    wait_until((stopped / "checkpoints/20.sha256.json").exists, process)
    wait_for_step(25, stopped, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    saved = newest_valid_step(stopped / "checkpoints")

    uninterrupted = start(command(whole, glyphs_dir, **options), **usual)  # reuses what the other has compiled
    process = start(command(stopped, glyphs_dir, **options), **usual)
    wait_until(lambda: len(losses(stopped)) <= saved, process)  # lines after the checkpoint are dropped
    wait_for_step(saved + 2, stopped, process)
    (errors,) = terminate(process)
    assert f"going on from step {saved} of 120" in errors and "stopped by SIGTERM" in errors
    last = losses(stopped)[-1][0]
    assert newest_valid_step(stopped / "checkpoints") == last < 120

    (errors,) = finish(start(command(stopped, glyphs_dir, **options), **usual))
    assert f"going on from step {last} of 120" in errors
    finish(uninterrupted)
    assert losses(stopped) == losses(whole) and len(losses(whole)) == 120


def kill(process):
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def ends_with_a_line(survivor):
    """Whether a process whose peer was killed ends with our line; else JAX has aborted it (runs/README.md, limits)."""
    _, errors = survivor.communicate(timeout=300)
    if survivor.returncode == -signal.SIGABRT and "JAX distributed service" in errors:
        return False
    assert survivor.returncode == 2, errors
    assert "error: another process of the run has ended or cannot be reached" in errors
    assert "is saved, and the same command goes on from there" in errors and "Traceback" not in errors, errors
    return True


def test_two_processes_are_stopped_and_killed_and_train_to_the_numbers_of_one(tmp_path, glyphs_dir):
    """Two processes of one device each, against one process of two: a SIGTERM at any time, a SIGKILL of each and of both."""
    options = {"total_epochs": 40, "checkpoint__every_steps": 10, "eval__neural_collapse": True}
    one, two = tmp_path / "one", tmp_path / "two"
    alone = start(command(one, glyphs_dir, "clip", **options), XLA_FLAGS=with_devices(2))
    arguments = command(two, glyphs_dir, "clip", **options)
    pair = start_pair(arguments)
    wait_for_step(3, two, pair[0])
    terminate(*pair)
    first = newest_valid_step(two / "checkpoints")
    assert 3 <= first == len(losses(two)) < 120  # the signal is handed on within a second

    (two / "class_frequency.tsv").unlink()  # written anew before the model is made
    pair = start_pair(arguments)
    wait_until((two / "class_frequency.tsv").exists, pair[0])
    terminate(*pair)
    second = newest_valid_step(two / "checkpoints")
    assert first < second == len(losses(two)) < 120

    with_a_line = []
    for victims in ((1,), (0,), (0, 1)):  # process 0 is the coordinator
        pair, saved = start_pair(arguments), newest_valid_step(two / "checkpoints")
        wait_until(lambda: newest_valid_step(two / "checkpoints") > saved, pair[0])  # noqa: B023
        for victim in victims:
            kill(pair[victim])
        if len(victims) == 1:
            with_a_line.append(ends_with_a_line(pair[1 - victims[0]]))
    assert any(with_a_line)
    assert newest_valid_step(two / "checkpoints") < 120

    finish(*start_pair(arguments), alone)
    assert [step for step, _ in losses(two)] == [step for step, _ in losses(one)] == list(range(1, 121))
    np.testing.assert_allclose([x for _, x in losses(two)], [x for _, x in losses(one)], rtol=1e-5)
    for name in ("confusion", "predicted"):
        np.testing.assert_array_equal(
            *(np.load(workdir / "eval/glyphs_test/latest.npz")[name] for workdir in (one, two))
        )
