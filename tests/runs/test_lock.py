"""Two programs in one work directory."""

import os
import platform
import signal
import subprocess
import sys
import time

import pytest

from cliptail_jax.errors import UserError
from cliptail_jax.runs import lock
from cliptail_jax.runs.lock import sole_writer

HOLD = """
import pathlib, sys, time
from cliptail_jax.runs.lock import sole_writer
with sole_writer(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_the_second_is_told_who_holds_a_work_directory_until_that_process_ends(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    expected = f"{tmp_path} is in use by process {holder.pid} on {platform.node()}: wait"
    with pytest.raises(UserError, match=expected), sole_writer(tmp_path):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    for _ in range(2):  # one after the other
        with sole_writer(tmp_path):
            assert (tmp_path / lock.FILE).read_text() == f"process {os.getpid()} on {platform.node()}"


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(lock, "BEAT", 0.1)


def test_a_buckets_lock_is_held_as_long_as_its_holder_writes_to_it(quick, tmp_path):
    path = tmp_path / "lock"
    with lock._object(path):
        with pytest.raises(UserError, match=f"in use by process {os.getpid()}"), lock._object(path):
            pass
    assert not path.exists()


def test_a_buckets_lock_that_nobody_writes_to_is_taken(quick, tmp_path, capsys):
    path = tmp_path / "lock"
    path.write_text("process 7 on elsewhere\n3\n")
    with lock._object(path):
        assert "was left by process 7 on elsewhere" in capsys.readouterr().err
        began = path.read_text()
        for _ in range(100):
            if path.read_text() not in ("", began):
                break
            time.sleep(0.05)
        assert path.read_text().startswith(f"process {os.getpid()} on")
    assert not path.exists()
