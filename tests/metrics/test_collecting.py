"""Plans and rules of collection, against all possible ones and stored plans."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.collecting import capped, hull_steps, plan, prediction, rarest_first, spread, target_weights
from cliptail_jax.metrics.groups import head_mid_tail
from cliptail_jax.metrics.law import fit_law

REFERENCE = Path(__file__).parents[3] / "shared" / "reference" / "collect_reference.json"
FREQUENCY = np.array([2, 3, 40, 8])  # the rare classes are below 50 %, where gains are not concave
CORRECT, EXAMPLES = np.array([1, 7, 19, 4]), np.full(4, 20)
EQUAL_COST = np.ones(4)


@pytest.fixture(scope="module")
def posterior():
    return fit_law(FREQUENCY, CORRECT, EXAMPLES)


def best(posterior, weights, budget, available, cost):
    """The largest weighted accuracy of all plans, by dynamic programming over the classes."""
    additions = np.arange(budget + 1)
    accuracy = weights[:, None] * posterior.accuracy(FREQUENCY[:, None] + additions)
    best_values = {0.0: 0.0}  # by the cost of the images of the classes so far
    for c in range(len(FREQUENCY)):
        next_values: dict[float, float] = {}
        for subtotal, value in best_values.items():
            for m in additions[: available[c] + 1]:
                if (total := subtotal + m * cost[c]) <= budget:
                    next_values[total] = max(next_values.get(total, 0.0), value + accuracy[c, m])
        best_values = next_values
    return max(best_values.values())


@pytest.mark.parametrize(
    ("target", "available", "cost"),
    [
        ("mean_per_class", [20, 20, 20, 20], EQUAL_COST),
        ("mean_per_class", [20, 3, 20, 2], EQUAL_COST),
        ("mean_per_class", [20, 20, 20, 20], np.array([2.0, 1, 1, 3])),
        ("top1", [20, 20, 20, 20], EQUAL_COST),
        ("tail", [20, 20, 20, 20], EQUAL_COST),
    ],
)
def test_a_plan_is_the_best_of_all_at_the_ends_of_steps_and_near_between(posterior, target, available, cost):
    weights, available = (
        target_weights(target, head_mid_tail(FREQUENCY)[2], np.array([20, 20, 60, 20])),
        np.array(available),
    )
    classes, sizes, gains = hull_steps(posterior, weights / cost, np.zeros(4, int), np.minimum(available, 18))
    order = np.argsort(-gains, kind="stable")
    ends = np.cumsum(sizes[order] * cost[classes[order]])
    for budget in range(1, 19, 2):
        images = plan(posterior, weights, budget, available, cost)
        assert images @ cost <= budget and (images <= available).all()
        loss = best(posterior, weights, budget, available, cost) - weights @ posterior.accuracy(FREQUENCY + images)
        step = int(np.searchsorted(ends, budget))  # the step that the budget may cut
        assert (
            loss <= 1e-12
            if budget in ends
            else step == len(ends) or loss <= (sizes * cost[classes] * gains)[order[step]]
        )


def test_more_images_than_there_are_and_images_that_do_not_help_are_one_line(posterior):
    with pytest.raises(UserError, match="^--images=30 is more than the 12 that are available"):
        plan(posterior, EQUAL_COST / 4, 30, np.full(4, 3), EQUAL_COST)
    worse = fit_law(FREQUENCY, 20 - CORRECT, EXAMPLES)
    with pytest.raises(UserError, match="^more images do not help by these results: log-odds .* change by -"):
        plan(worse, EQUAL_COST / 4, 5, np.full(4, 30), EQUAL_COST)


@pytest.mark.parametrize(("cost", "number"), [(1000.1, 100_000), (12345.1, 10_000), (99.9, 3)])
def test_costs_that_are_not_whole_numbers_are_spent(posterior, cost, number):
    images = plan(posterior, EQUAL_COST / 4, number * cost, np.full(4, number), np.full(4, cost))
    assert images.sum() in (number - 1, number)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 40)), min_size=1, max_size=8).filter(
        lambda c: sum(n for _, n in c)
    ),
    st.floats(0, 1),
)
def test_rules_give_all_images_and_no_class_more_than_there_are(classes, part):
    frequency, available = np.array(classes).T
    images = round(part * available.sum())
    for counts in (
        spread(frequency.astype(float), images, available),
        spread(np.ones(len(classes)), images, available),
        rarest_first(frequency, images, available),
    ):
        assert counts.sum() == images and (counts >= 0).all() and (counts <= available).all()


def test_rules_are_those_of_their_names():
    frequency, available = np.array([100, 50, 10, 2]), np.full(4, 1000)
    assert spread(frequency.astype(float), 16, available).tolist() == [10, 5, 1, 0]
    assert spread(np.ones(4), 10, np.array([1, 1000, 1000, 1000])).tolist() == [1, 3, 3, 3]
    assert rarest_first(frequency, 11, available).tolist() == [0, 0, 2, 9]  # image by image
    assert capped(frequency, 45).tolist() == [17, 16, 10, 2]


def test_a_prediction_has_the_interval_of_the_classes_and_the_gain_a_narrower_one():
    rng, frequency = np.random.default_rng(1), np.round(np.geomspace(4, 400, 40)).astype(int)
    correct = rng.binomial(50, 1 / (1 + np.exp(3.5 - 2.8 * np.log10(frequency) - rng.normal(0, 1, 40))))
    examples = np.full(40, 50)
    posterior, weights = fit_law(frequency, correct, examples), np.full(40, 1 / 40)
    mean, gain = prediction(posterior, correct, examples, weights, 2 * frequency)
    assert mean.low < mean.value < mean.high and gain.low < gain.value < gain.high
    assert 0 < gain.high - gain.low < mean.high - mean.low < 30
    assert mean.value - gain.value == pytest.approx(100 * correct.sum() / 2000, abs=0.5)


@pytest.mark.skipif(not REFERENCE.exists(), reason=f"needs {REFERENCE.name}, which is beside the clone")
def test_stored_plans_are_reproduced():
    reference = json.loads(REFERENCE.read_text())
    frequency, correct, examples = (np.array(reference[key]) for key in ("frequency", "correct", "examples"))
    posterior, available, ones = fit_law(frequency, correct, examples), 500 - frequency, np.ones(100)
    plans = {
        "prescribed": plan(posterior, ones / 100, 1085, available, ones),
        "uniform": spread(ones, 1085, available),
        "rarest": rarest_first(frequency, 1085, available),
    }
    for rule, images in plans.items():  # the stored plan is from another fit, and uniform is rounded up
        difference = np.abs(np.array(reference["trained"][rule]["images"]) - frequency - images).sum()
        assert difference <= {"prescribed": 40, "uniform": 4, "rarest": 0}[rule]
