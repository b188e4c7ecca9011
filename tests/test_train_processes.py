"""Runs as commands, and how two processes together stop, resume, and end with an uninterrupted run's numbers."""

import signal

import numpy as np
import pytest

from cliptail_jax.host.files import read_lines
from cliptail_jax.jobs.train import train
from cliptail_jax.runs.manifests import newest_valid_step
from configs import clip
from tests.run_commands import command, run_config, start_pair, terminate, wait_for_checkpoint, wait_until
from tests.saved_state import losses
from tests.tiny_runs import devices

pytestmark = pytest.mark.program


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
