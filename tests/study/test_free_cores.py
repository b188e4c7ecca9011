"""The cores that processes of studies take, which run at the same time."""

import os

import pytest

from cliptail_jax.study import pool


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
