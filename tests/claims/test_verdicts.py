"""Verdicts on claims by their intervals, alone and corrected for their number."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptail_jax.claims.verdicts import (
    ClaimResult,
    claim_numbers,
    correct_for_number,
    read_claims,
)
from cliptail_jax.host.files import write_json
from cliptail_jax.metrics.bootstrap import Estimate
from cliptail_jax.report.forest import ClaimRow, ends_of


def result(value, half, margin=0.0, equal=False):
    estimate = Estimate(value, value - half, value + half)
    return ClaimResult("", "corr_acc", "a", "b", margin, equal=equal, difference=estimate)


@pytest.mark.parametrize(
    ("value", "half", "margin", "equal", "verdict"),
    [
        (2.0, 1.0, 0.0, False, "supported"),
        (-2.0, 1.0, 0.0, False, "contradicted"),
        (0.5, 1.0, 0.0, False, "inconclusive"),
        (0.0, 0.0, 0.0, False, "inconclusive"),  # a run and itself
        (0.5, 1.0, 1.6, False, "no effect"),
        (2.0, 1.0, 1.6, False, "supported"),
        (0.5, 1.0, 1.6, True, "supported"),
        (-3.0, 1.0, 1.6, True, "contradicted"),
        (3.0, 1.0, 1.6, True, "contradicted"),
        (1.6, 1.0, 1.6, True, "inconclusive"),
    ],
)
def test_the_verdict_is_where_the_interval_lies(value, half, margin, equal, verdict):
    assert result(value, half, margin, equal).verdict == verdict


@settings(deadline=None)
@given(st.floats(-3, 3), st.floats(0.01, 3), st.floats(0, 3), st.booleans())
def test_the_p_value_is_the_level_up_to_which_the_verdict_holds(value, half, margin, equal):
    claimed = result(value, half, margin, equal)
    level = 1 - claimed.p_value
    if claimed.verdict == "inconclusive":
        assert level <= 0.95
    else:
        assert claimed.verdict_at(max(level - 1e-6, 0.95)) == claimed.verdict
        assert level > 1 - 1e-5 or claimed.verdict_at(level + 1e-6) != claimed.verdict


def test_verdicts_are_corrected_by_holms_procedure():
    """Against the adjusted p-values of the definition: max over the smaller ones of (m − rank) p, at most 1."""
    halves = [0.5, 1.5, 0.8, 0.9, 0.6, 0.95, 5.0]
    results = [result(1.0, half) for half in halves]
    p = np.sort([claimed.p_value for claimed in results])
    adjusted = np.minimum(np.maximum.accumulate(p * np.arange(len(p), 0, -1)), 1)
    corrected = [claimed.corrected for claimed in correct_for_number(results)]
    decided = np.argsort([claimed.p_value for claimed in results])[: np.sum(adjusted < 0.05)]
    assert 0 < len(decided) < sum(claimed.verdict == "supported" for claimed in results)
    assert {i for i, verdict in enumerate(corrected) if verdict == "supported"} == set(decided)


def test_a_correction_never_turns_no_effect_into_an_effect():
    """The interval of level 1 − 0.05 / 2 lies above 0 like that of 95 %, but no longer within the margin."""
    small, clear = result(2.0, 0.9, margin=3.0), result(9.0, 0.1)
    assert (small.verdict, small.verdict_at(0.975)) == ("no effect", "supported")
    assert [claimed.corrected for claimed in correct_for_number([clear, small])] == ["supported", "no effect"]
    assert [claimed.corrected for claimed in correct_for_number([small, small])] == 2 * ["inconclusive"]


def test_claims_without_an_interval_are_undecided_in_any_order_and_when_read_again(tmp_path):
    nan, inf = float("nan"), float("inf")
    estimates = (Estimate(1.0, 0.05, 1.95), Estimate(1.0, nan, nan), Estimate(1.0, 0.4, 1.6), Estimate(1.0, -inf, 3.0))
    claims = [ClaimResult("", "f50", "a", "b", difference=of) for of in estimates]
    first = correct_for_number(claims)
    assert [of.corrected for of in first] == ["inconclusive", "inconclusive", "supported", "inconclusive"]
    for order in itertools.permutations(range(4)):
        again = correct_for_number([claims[place] for place in order])
        assert [of.corrected for of in again] == [first[place].corrected for place in order]
    write_json(
        tmp_path / "report.json", {"claims": [claim_numbers(of) | {"key": str(i)} for i, of in enumerate(first)]}
    )
    assert [of.verdict for of in read_claims(tmp_path / "report.json").values()] == [of.verdict for of in first]
    assert all(map(math.isfinite, ends_of([ClaimRow(1, of, "") for of in claims])))
