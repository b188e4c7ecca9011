"""Runs of several processes: how two trainers stop together, and what worker processes and the compiler leave alone."""

import json
import os
import shutil
import signal
import socket
import time

import numpy as np
import pytest
from test_train import command, finish, losses, start, wait_for, with_devices

from cliptail_jax import runs
from cliptail_jax.files import write_json
from cliptail_jax.runs.checkpoints import newest_valid_step
from cliptail_jax.train import train
from configs import sup

STOPPED = 128 + signal.SIGTERM


def wait_for_step(step, workdir, process):
    deadline = time.time() + 120
    while len(losses(workdir)) < step:
        assert process.poll() is None and time.time() < deadline, process.stderr.read()
        time.sleep(0.02)


def start_pair(arguments):
    """Two processes of one device each."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    run = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": "2"}
    return [start(arguments, **run, JAX_PROCESS_ID=str(i)) for i in range(2)]


def terminate(pair):
    """Send both SIGTERM, and see them stop."""
    for process in pair:
        process.send_signal(signal.SIGTERM)
    for code, errors in [finish(process) for process in pair]:
        assert code == STOPPED, errors


@pytest.fixture
def long_run(tmp_path, glyphs_dir):
    """The directory of a run of 150 steps by one process of two devices; a copy of its first 50, and the copy's command."""
    arguments = [*command(tmp_path / "whole", glyphs_dir), "--config.total_epochs=50", "--config.eval.sets=()"]
    arguments += ["--config.checkpoint.every_steps=50", "--config.checkpoint.keep=3"]
    code, errors = finish(start(arguments, XLA_FLAGS=with_devices(2)))
    assert code == 0, errors
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "whole", copy)
    for step in (100, 150):
        shutil.rmtree(copy / "checkpoints" / str(step))
    noted = json.loads((copy / "config.json").read_text())
    del noted["finished"]
    write_json(copy / "config.json", noted)
    runs.forget_after(copy, 50)
    return tmp_path / "whole", copy, [*arguments, f"--workdir={copy}"]


def test_two_processes_heed_a_sigterm_at_any_time_and_go_on_with_the_numbers_of_one(long_run):
    whole, copy, arguments = long_run
    (copy / "class_frequency.tsv").unlink()  # written anew before the model is made
    pair = start_pair(arguments)
    wait_for(copy / "class_frequency.tsv", pair[0])
    terminate(pair)
    first = newest_valid_step(copy / "checkpoints")
    assert 50 < first < 100  # which of them: the signal is handed on within a second

    pair = start_pair(arguments)
    wait_for_step(first + 3, copy, pair[0])
    terminate(pair)
    second = newest_valid_step(copy / "checkpoints")
    together, alone = losses(copy), losses(whole)
    assert [step for step, _ in together] == list(range(1, second + 1)) and second < 150
    np.testing.assert_allclose([x for _, x in together], [x for _, x in alone[:second]], rtol=1e-5)


def test_a_killed_run_goes_on_bit_for_bit_under_the_compilers_usual_optimisations_too(tmp_path, glyphs_dir):
    """What the killed session has logged after its last checkpoint is logged again."""
    usual = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "0", "XLA_FLAGS": ""}
    arguments = [*command(tmp_path, glyphs_dir), "--config.total_epochs=20", "--config.eval.sets=()"]
    arguments += ["--config.checkpoint.every_steps=20"]
    killed = start(arguments, **usual)
    wait_for(tmp_path / "checkpoints/20.sha256.json", killed)
    wait_for_step(25, tmp_path, killed)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    before, saved = losses(tmp_path), newest_valid_step(tmp_path / "checkpoints")
    code, errors = finish(start(arguments, **usual))
    assert code == 0 and f"going on from step {saved} of 60" in errors
    assert saved < len(before) and losses(tmp_path)[: len(before)] == before


def test_worker_processes_load_what_threads_do(tmp_path, small_config):
    config = small_config(sup)
    config.eval.sets = ()
    for workers in (0, 2):
        config.data.workers = workers
        train(config, tmp_path / str(workers))
    assert len(losses(tmp_path / "0")) == 6
    assert losses(tmp_path / "2") == losses(tmp_path / "0")
