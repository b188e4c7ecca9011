"""Runs as commands, and how two processes together stop, resume, and end with an uninterrupted run's numbers."""

import signal
import socket
import sys
import time

import numpy as np
from test_train import losses

from cliptail_jax.config.fields import flatten
from cliptail_jax.files import read_lines
from cliptail_jax.runs.checkpoints import newest_valid_step
from cliptail_jax.train import train
from configs import clip, sup
from tests.forked_programs import training_programs, with_devices
from tests.synthetic import devices, tiny

STOPPED = 128 + signal.SIGTERM


def run_config(family, glyphs_dir, **more):
    """The config of a small run of three steps an epoch, with `more` fields, whose names have __ for a dot."""
    config = tiny(family, glyphs_dir)
    config.update_from_flattened_dict({key.replace("__", "."): value for key, value in more.items()})
    return config


def command(workdir, glyphs_dir, family=sup, **more):
    """The command line of such a run."""
    name = family.__name__.rpartition(".")[2]
    before = dict(flatten(family.get_config("data=glyphs_lt")))
    changed = [(key, value) for key, value in flatten(run_config(family, glyphs_dir, **more)) if value != before[key]]
    program = [sys.executable, "-m", "cliptail_jax.train", f"--config=configs/{name}.py:data=glyphs_lt"]
    return [*program, f"--workdir={workdir}", *(f"--config.{key}={value}" for key, value in changed)]


def start(arguments, stderr="", limit=0, **environment):
    """A fork with one device and these variables, of the program in a command line; see `ForkServer.start`."""
    _, _, program, *flags = arguments
    return training_programs().start(program, flags, {"XLA_FLAGS": with_devices(1), **environment}, stderr, limit)


def start_pair(arguments, first={}, second={}, by_slurm=False):
    """Two processes of one device each, with environment variables of their own, which join by JAX's variables or SLURM's."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    if by_slurm:
        step = {"JOB_ID": "1", "NTASKS": "2", "STEP_NUM_TASKS": "2", "STEP_NUM_NODES": "1"}
        step["STEP_NODELIST"] = "localhost"
        joined = {f"SLURM_{name}": value for name, value in step.items()} | {"JAX_COORDINATOR_PORT": port}
        numbers = ("SLURM_PROCID", "SLURM_LOCALID")
    else:
        joined = {"JAX_COORDINATOR_ADDRESS": f"localhost:{port}", "JAX_NUM_PROCESSES": "2"}
        numbers = ("JAX_PROCESS_ID",)
    return [
        start(arguments, **joined, **dict.fromkeys(numbers, str(number)), **more)
        for number, more in enumerate((first, second))
    ]


def wait_until(condition, process):
    deadline = time.time() + 120
    while not condition():
        assert process.poll() is None and time.time() < deadline, process.errors()
        time.sleep(0.02)


def wait_for_step(step, workdir, process):
    wait_until(lambda: len(losses(workdir)) >= step, process)


def wait_for_checkpoint(workdir, process):
    """Wait for one more checkpoint than there is."""

    def newest():
        manifests = (workdir / "checkpoints").glob("*.sha256.json")
        return max((int(path.name.partition(".")[0]) for path in manifests), default=0)

    saved = newest()
    wait_until(lambda: newest() > saved, process)


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


def ends_with_a_line(survivor):
    """Whether a process whose peer was killed ends with our line; else JAX has aborted it (runs/README.md, limits)."""
    _, errors = survivor.communicate(timeout=300)
    if survivor.returncode == -signal.SIGABRT and "JAX distributed service" in errors:
        return False
    assert survivor.returncode == 2, errors
    assert "error: another process of the run has ended or cannot be reached" in errors
    assert "is saved, and the same command continues from there" in errors and "Traceback" not in errors, errors
    return True


def test_two_processes_are_stopped_and_killed_and_train_to_the_numbers_of_one(tmp_path, glyphs_dir):
    """Two processes of one device each, against one process of two: a SIGTERM, a SIGKILL of each, and one process to the end."""
    options = {"total_epochs": 30, "eval__every_epochs": 5, "checkpoint__every_steps": 10}
    one, two = tmp_path / "one", tmp_path / "two"
    arguments = command(two, glyphs_dir, clip, **options)
    pair = start_pair(arguments, by_slurm=True)
    wait_until((two / "eval/glyphs_test/summary.jsonl").exists, pair[0])
    terminate(*pair)
    assert newest_valid_step(two / "checkpoints") == len(losses(two)) < 90  # the signal is handed on within a second

    with_a_line = []
    for victim in (1, 0):  # process 0 is the coordinator
        pair = start_pair(arguments)
        wait_for_checkpoint(two, pair[0])
        pair[victim].kill()
        with_a_line.append(ends_with_a_line(pair[1 - victim]))
    assert any(with_a_line)
    assert newest_valid_step(two / "checkpoints") < 90

    with devices(2):
        for workdir in (one, two):
            train(run_config(clip, glyphs_dir, **options), workdir)
    assert [step for step, _ in losses(two)] == [step for step, _ in losses(one)] == list(range(1, 91))
    np.testing.assert_allclose([x for _, x in losses(two)], [x for _, x in losses(one)], rtol=1e-5)
    evaluations = [read_lines(workdir / "eval/glyphs_test/summary.jsonl") for workdir in (one, two)]
    numbers = [[(line["step"], line["top1"], line["corr_acc"]) for line in lines] for lines in evaluations]
    assert numbers[0] == numbers[1] and len(numbers[0]) == 6
