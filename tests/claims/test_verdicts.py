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
from cliptail_jax.host.files import read_json, write_json
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
def test_the_verdict_is_that_of_the_intervals_place(value, half, margin, equal, verdict):
    assert result(value, half, margin, equal).verdict == verdict


@settings(deadline=None)
@given(st.floats(-3, 3), st.floats(0.01, 3), st.floats(0, 3), st.booleans())
def test_the_p_value_is_one_minus_the_highest_level_of_the_same_verdict(value, half, margin, equal):
    claim = result(value, half, margin, equal)
    level = 1 - claim.p_value
    if claim.verdict == "inconclusive":
        assert level <= 0.95
    else:
        assert claim.verdict_at(max(level - 1e-6, 0.95)) == claim.verdict
        assert level > 1 - 1e-5 or claim.verdict_at(level + 1e-6) != claim.verdict


def test_verdicts_are_corrected_by_holms_procedure():
    """Against the adjusted p-values of the definition: the maximum over smaller p-values of (m − rank) p, at most 1."""
    halves = [0.5, 1.5, 0.8, 0.9, 0.6, 0.95, 5.0]
    results = [result(1.0, half) for half in halves]
    p = np.sort([claim.p_value for claim in results])
    adjusted = np.minimum(np.maximum.accumulate(p * np.arange(len(p), 0, -1)), 1)
    corrected = [claim.corrected for claim in correct_for_number(results)]
    expected = np.argsort([claim.p_value for claim in results])[: np.sum(adjusted < 0.05)]
    assert 0 < len(expected) < sum(claim.verdict == "supported" for claim in results)
    assert {i for i, verdict in enumerate(corrected) if verdict == "supported"} == set(expected)


def test_a_correction_never_turns_no_effect_into_an_effect():
    """The interval of level 1 − 0.05 / 2 lies above 0 like that of 95 %, but no longer within the margin."""
    small, clear = result(2.0, 0.9, margin=3.0), result(9.0, 0.1)
    assert (small.verdict, small.verdict_at(0.975)) == ("no effect", "supported")
    assert [claim.corrected for claim in correct_for_number([clear, small])] == ["supported", "no effect"]
    assert [claim.corrected for claim in correct_for_number([small, small])] == 2 * ["inconclusive"]


def test_claims_without_an_interval_are_undecided_in_any_order_and_when_read_again(tmp_path):
    nan, inf = float("nan"), float("inf")
    estimates = (Estimate(1.0, 0.05, 1.95), Estimate(1.0, nan, nan), Estimate(1.0, 0.4, 1.6), Estimate(1.0, -inf, 3.0))
    claims = [ClaimResult("", "f50", "a", "b", difference=estimate) for estimate in estimates]
    results = correct_for_number(claims)
    assert [result.corrected for result in results] == ["inconclusive", "inconclusive", "supported", "inconclusive"]
    for order in itertools.permutations(range(4)):
        reordered = correct_for_number([claims[i] for i in order])
        assert [result.corrected for result in reordered] == [results[i].corrected for i in order]
    report = tmp_path / "report.json"
    write_json(report, {"claims": [claim_numbers(result) | {"key": str(i)} for i, result in enumerate(results)]})
    assert [result.verdict for result in read_claims(report).values()] == [result.verdict for result in results]
    assert all(map(math.isfinite, ends_of([ClaimRow(1, claim, "") for claim in claims])))


def test_claims_of_earlier_versions_are_read(tmp_path):
    fields = dict(threshold=2.0, condition="equal accuracy", reference=["c", "d"], by_seed=[])
    claim = ClaimResult("", "odds_acc", "a", "b", **fields)
    new, old = tmp_path / "new.json", tmp_path / "old.json"
    write_json(new, {"claims": [claim_numbers(claim) | {"key": "c"}]})
    (fields,) = read_json(new)["claims"]
    old_names = {"threshold": "by", "condition": "at", "reference": "minus"}
    write_json(old, {"claims": [{old_names.get(name, name): value for name, value in fields.items()}]})
    assert read_claims(new) == read_claims(old) == {"c": claim}
