"""Faults at some changes of files: a kill, a full disk, or a disk error.

A program that fails, or is killed, at a change of a file can be run again, and ends with the result of one that was not.
With FAULTS_EVERY=N, each fault is tried at every N-th change, also in programs that take longer:

    FAULTS_EVERY=10 python -m pytest -n 0 tests/test_faults.py [-k count]
"""

import itertools
import os
import random
import threading

import pytest

from cliptail_jax.datasets.glyphs.glyphs import Glyphs
from configs import clip, dino, sup
from tests.faults import KINDS
from tests.faulty_programs import Start, attempt, programs, reference

pytestmark = pytest.mark.program

# How many faults are tried: training takes seconds each time, the others tenths.
SAMPLES = {"train sup": 2, "evaluate": 2, "count": 3, "build": 2, "export": 2, "make_head": 2, "describe": 2}
EVERY = int(os.environ.get("FAULTS_EVERY", 0))
OTHERS = ("train clip", "train dino", "transfer", "study") if EVERY else ()


@pytest.fixture(scope="module")
def all_programs(small_config, tmp_path_factory):
    families = {"sup": sup, "clip": clip, "dino": dino}
    return programs(Start(lambda name: small_config(families[name]), tmp_path_factory.mktemp("start")))


@pytest.fixture
def quick_and_silent(monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    # After a failed save Orbax's threads wait so many seconds, and Python for them at its end.
    monkeypatch.setattr("orbax.checkpoint._src.multihost.multihost.coordination_timeout", lambda: 20)
    monkeypatch.setattr(Glyphs, "IMAGES_PER_CLASS", {"train": 1, "test": 1})  # to be built quickly


@pytest.mark.parametrize("name", (*SAMPLES, *OTHERS))
def test_a_program_that_fails_or_dies_at_a_change_of_a_file_ends_the_same_when_run_again(
    name, all_programs, quick_and_silent, tmp_path, capsys
):
    program, draw = all_programs[name], random.Random(name)
    expected, changes = reference(program, tmp_path / "work")
    assert changes > 0
    if EVERY:
        faults = list(itertools.product(range(1, changes + 1, EVERY), KINDS))
        with capsys.disabled():
            print(f"{name}: {len(faults)} faults, {changes} changes", flush=True)
    else:
        faults = [(draw.randint(1, changes), draw.choice(KINDS)) for _ in range(SAMPLES[name])]
    for at, kind in faults:
        problem = attempt(program, expected, tmp_path / "work", at, kind)
        assert not problem, f"{name} {problem} after '{kind}' at change {at} of {changes}"
