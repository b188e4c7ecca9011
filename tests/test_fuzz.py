"""Random input of every kind, the same 100 examples each time, or with FUZZ_EXAMPLES=10000 as many others:

    FUZZ_EXAMPLES=10000 python -m pytest -n 0 tests/test_fuzz.py [-k captions] [--hypothesis-seed=3]

An example is read, or refused with one line.
"""

import os

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz_cases import CASES, read

EXAMPLES = os.environ.get("FUZZ_EXAMPLES")
NUMBER = {"max_examples": int(EXAMPLES)} if EXAMPLES else {"max_examples": 100, "derandomize": True}


@pytest.mark.filterwarnings("ignore:Palette images")  # Pillow's advice about transparency
@pytest.mark.parametrize("name", CASES)
def test_synthetic_input_is_read_or_refused_in_a_line(name, tmp_path_factory):
    folder, outcomes = tmp_path_factory.mktemp("fuzz") / "x", set()

    @settings(database=None, deadline=None, suppress_health_check=list(HealthCheck), **NUMBER)
    @given(CASES[name].examples)
    def try_one(example):
        outcomes.add(read(CASES[name], example, folder))

    try_one()
    assert False in outcomes  # some are refused
