"""Damage to files, a sample of what scripts/benchmark/damage.py tries on every one.

The sample is that of the day; DAMAGE_SEED repeats another one.
"""

import datetime
import os
import random

import pytest

from configs import clip, dino, sup
from tests.damage import KINDS, attempt, damage, files_of, subjects

SEED = os.environ.get("DAMAGE_SEED") or datetime.date.today().isoformat()
SAMPLES = {"run clip": 10, "training data": 10, "export": 10, "head": 5, "parts of a count": 5}


@pytest.fixture(scope="module")
def all_subjects(small_config, tmp_path_factory):
    families = {"sup": sup, "clip": clip, "dino": dino}
    return subjects(lambda name: small_config(families[name]), {}, tmp_path_factory.mktemp("damage"))


@pytest.mark.parametrize("name", SAMPLES)
def test_damage_to_a_file_is_named_or_changes_nothing(name, all_subjects, tmp_path):
    subject, draw = all_subjects[name](), random.Random(f"{SEED} {name}")
    expected = subject.expected(tmp_path / "work")
    for _ in range(SAMPLES[name]):
        file, kind = draw.choice(files_of(subject)), draw.choice(KINDS)
        outcome = attempt(subject, expected, tmp_path / "work", file, kind, draw)
        assert outcome in ("named", "same", "unchanged"), f"{kind} of {file}: {outcome}; DAMAGE_SEED={SEED}"


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_done(kind, tmp_path):
    path, other = tmp_path / "a.txt", tmp_path / "b.txt"
    path.write_text("whole")
    other.write_text("other")
    assert damage(path, kind, other, random.Random(0))
    assert not path.exists() if kind == "delete" else path.read_text(errors="replace") != "whole"
