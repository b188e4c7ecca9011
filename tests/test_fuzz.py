"""Random input of every kind, the same 100 examples each time; scripts/benchmark/fuzz.py tries thousands."""

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz_cases import CASES, read


@pytest.mark.parametrize("name", CASES)
def test_synthetic_input_is_read_or_refused_in_a_line(name, tmp_path_factory):
    folder, outcomes = tmp_path_factory.mktemp("fuzz") / "x", set()

    @settings(max_examples=100, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(CASES[name].examples)
    def try_one(example):
        outcomes.add(read(CASES[name], example, folder))

    try_one()
    assert False in outcomes  # some are refused
