"""Which recipe decides that all of them are equal."""

import pytest

from cliptail_jax.claims.verdicts import CONTRADICTED, INCONCLUSIVE, SUPPORTED, ClaimResult
from cliptail_jax.metrics.bootstrap import Estimate
from configs.study.analyses.main_claims import weakest_equality

NARROW = (0.0, -1.0, 1.0)


@pytest.mark.parametrize(
    ("differences", "deciding", "verdict"),
    [
        ([NARROW, (-1.1, -1.9, -0.3), (1.2, -0.9, 2.9)], 1.2, SUPPORTED),  # not the one farthest from 0 at its near end
        ([NARROW, (-1.1, -1.9, -0.3), (1.2, -0.9, 3.1)], 1.2, INCONCLUSIVE),
        ([NARROW, (-5.0, -6.0, -4.0), (0.0, -9.0, 9.0)], -5.0, CONTRADICTED),
        ([(4.0, 3.1, 4.9), *[NARROW] * 23], 4.0, INCONCLUSIVE),  # outside alone, but not at the level of all
        ([(4.0, 3.1, 4.9)], 4.0, CONTRADICTED),
    ],
)
def test_all_are_equal_if_each_is_and_not_if_one_is_outside_at_the_level_of_all(differences, deciding, verdict):
    results = [
        ClaimResult("", "tail", "a", "b", 3.0, equal=True, difference=Estimate(*numbers)) for numbers in differences
    ]
    result = weakest_equality(results)
    assert (result.difference.value, result.verdict) == (deciding, verdict)
