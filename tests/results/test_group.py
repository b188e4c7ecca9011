"""Groups of runs that differ only in their seed or in the order of class frequencies."""

import numpy as np
import pytest

from cliptail_jax.metrics.measures import MEASURES
from tests.synthetic_studies import a_group_with_courses


def test_a_path_has_the_evaluations_that_all_runs_have_and_that_are_above_chance():
    """Its last point is the end of the runs."""
    group = a_group_with_courses()
    start, last = group.path("odds_acc")
    assert last == pytest.approx((group.mean("top1"), group.value("odds_acc")))
    halves = [run.course[4] for run in group.runs]
    of_each = [100 * half.correct.sum() / half.examples.sum() for half in halves]
    assert start == pytest.approx((np.mean(of_each), MEASURES["odds_acc"].point(halves)))
