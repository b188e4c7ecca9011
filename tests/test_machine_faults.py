"""What programs say, in one line, about faults of the machine."""

import errno
import logging
import os
import sys
import threading
import time
import types

import pytest
from absl.logging import get_absl_handler

from cliptail_jax.config.command_line import silence_copies
from cliptail_jax.objectives import typed_config
from cliptail_jax.runs import stopping
from cliptail_jax.runs.stopping import StopRequest
from cliptail_jax.study import training
from cliptail_jax.training.initialization import begin_or_resume
from configs import sup


@pytest.fixture
def shown(monkeypatch):
    """The ignored exceptions that Python would print."""
    exceptions = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: exceptions.append(args.exc_value))
    monkeypatch.setattr(threading, "excepthook", lambda args: exceptions.append(args.exc_value))
    monkeypatch.setattr(logging.root, "handlers", [])  # as in a new process
    return exceptions


def test_copies_of_an_error_are_silent_in_every_process(shown):
    silence_copies()
    handler = get_absl_handler()
    assert handler in logging.root.handlers
    copy, other = "/site-packages/orbax/checkpoint/future.py", "/elsewhere.py"
    records = [logging.LogRecord("absl", logging.ERROR, path, 1, "", (), None) for path in (copy, other)]
    assert [bool(handler.filter(record)) for record in records] == [False, True]
    missing = [FileNotFoundError(errno.ENOENT, "No such file or directory", name) for name in ("/psm_1f", "/file")]
    for error in missing:
        sys.unraisablehook(types.SimpleNamespace(exc_value=error))
    assert shown == missing[1:]


def test_a_run_that_finds_the_disk_full_fails_with_a_line(monkeypatch, tmp_path, capsys):
    def train(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "run/config.json")

    monkeypatch.setattr(training, "train", train)
    line = training.train_run(typed_config(sup.get_config("data=glyphs_lt")), tmp_path, False, "")
    assert line == "No space left on device: run/config.json" and "Traceback" not in capsys.readouterr().err


def test_a_program_that_waits_for_data_in_vain_says_so_and_ends_soon_after_sigterm(monkeypatch, capsys):
    class Ended(Exception):
        pass

    def end(reason, status):
        raise Ended(reason, status)

    def batches():
        yield "batch"
        stop._receive()
        yield "a later batch"  # in time
        time.sleep(0.1)
        stop._receive()
        threading.Event().wait(60)

    monkeypatch.setattr(stopping, "PATIENCE", 0.05)
    monkeypatch.setattr(stopping, "SILENCE", 0.02)
    monkeypatch.setattr(stopping, "end_at_once", end)
    stop, came = StopRequest(), []
    with pytest.raises(Ended, match="stopped by SIGTERM while no data came for 0.05 s.*143"):
        came.extend(stop.watch(batches()))
    assert came == ["batch", "a later batch"]
    assert capsys.readouterr().err.count("warning: no images came for 0.02 s") == 1
    with pytest.raises(Ended), stop.bounded(0.05):  # such as an evaluation
        stop._receive()
        threading.Event().wait(60)


@pytest.mark.parametrize("every, warns", [(3, True), (100, False)])
def test_a_run_resumes_without_its_log_with_a_warning(every, warns, tmp_path, capsys, unchecked):
    checkpoints = types.SimpleNamespace(newest=6, restore=lambda *_: None)
    config = types.SimpleNamespace(log_every_steps=every)
    objective = types.SimpleNamespace(towers=(), total_steps=12, config=config)
    begin_or_resume(None, None, checkpoints, objective, tmp_path)
    assert ("metrics.jsonl is missing: the log begins at this step" in "".join(capsys.readouterr())) == warns
