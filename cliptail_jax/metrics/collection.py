"""What a number of further images brings, by the plan and by simple rules; and the images that each class needs."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.bootstrap import Estimate
from cliptail_jax.metrics.collecting import ROUNDING, ImageCounts, plan, predicted, rarest_first, spread, target_weights
from cliptail_jax.metrics.groups import group_accuracy
from cliptail_jax.metrics.law import Posterior, fit_law

NEEDED = (50, 75, 90)  # percent
MOST = 10**12  # images of a class, more than there ever are
NOBODY, PROPORTIONAL, PLAN = "nobody", "all in proportion", "the plan"


class RightByClass(NamedTuple):
    """A model's results by class, over which means of several runs may be taken.

    Attributes:
        frequency: the number of training images of each class.
        correct: of the `examples` of an evaluation.
        groups: the class ids of head, mid and tail.
    """

    names: tuple[str, ...]
    frequency: ImageCounts
    correct: Float[np.ndarray, " class"]
    examples: Float[np.ndarray, " class"]
    groups: Mapping[str, Int[np.ndarray, " group"]]


@dataclasses.dataclass(frozen=True)
class Collection:
    """A plan, compared with rules.

    Attributes:
        counts, target, budget: the question.
        cost: of an image of each class, in which `budget` is counted; None for a number of images.
        fitted: the law of accuracy by class frequency.
        weights: of the classes in the target.
        rules: the further images of each class, by rule; the last is the plan.
        mean: the target in percent after the plan, and `gain`: what it gains in points, with 95 % intervals.
        left: of the budget, if it is not spent.
    """

    counts: RightByClass
    target: str
    budget: float
    cost: Float[np.ndarray, " class"] | None
    fitted: Posterior
    weights: Float[np.ndarray, " class"]
    rules: Mapping[str, ImageCounts]
    mean: Estimate
    gain: Estimate
    left: float

    @property
    def plan(self) -> ImageCounts:
        return self.rules[PLAN]

    def accuracy(self, rule: str) -> Float[np.ndarray, " class"]:
        """The predicted accuracy of each class in 0..1."""
        return self.fitted.accuracy(self.counts.frequency + self.rules[rule])

    def needed(self, percent: float) -> Float[np.ndarray, " class"]:
        """The images of each class for an accuracy in percent; ±inf more than a decade outside of the data."""
        return self.fitted.images_for(percent / 100)

    def means(self, rule: str) -> dict[str, float]:
        """The predicted accuracies in percent: the target, and the means over head, mid and tail of classes with examples."""
        accuracy = self.accuracy(rule)
        tested = np.where(self.counts.examples > 0, accuracy, np.nan)
        groups = {name: group_accuracy(tested, ids) for name, ids in self.counts.groups.items()}
        return {self.target: 100 * float(self.weights @ accuracy)} | groups  # a target 'tail' is the mean of its group


def collection(
    counts: RightByClass,
    budget: float,
    target: str = "mean_per_class",
    available: ImageCounts | None = None,
    cost: Float[np.ndarray, " class"] | None = None,
) -> Collection:
    """The plan for a budget.

    Args:
        budget: the number of further images or, with `cost`, their total cost.
        target: a key of `collecting.TARGETS`: the accuracy that the plan raises.
        available: the number of further images of each class that there are; by default any.
        cost: of an image of each class; by default 1.

    Raises:
        UserError: the counts or the budget allow no plan.
    """
    frequency, examples, given_cost = counts.frequency, counts.examples, cost
    if not examples.any():
        raise UserError("no class has examples in the evaluation: evaluate the run on a set with its classes")
    cost = np.ones(len(frequency)) if cost is None else cost
    if budget < cost.min():
        raise UserError(
            f"--images={budget:,.0f} is less than the cost of any image, {cost.min():,.6g} or more: raise it"
        )
    most = np.minimum(budget / cost, MOST).astype(np.int64)
    available = most if available is None else available
    fitted = fit_law(frequency, counts.correct, examples)
    weights = target_weights(target, counts.groups["tail"], examples)
    best = plan(fitted, weights, budget, available, cost)  # first, as it checks the budget

    def afford(rule: Callable[[int], ImageCounts]) -> ImageCounts:
        """What a rule gives for the largest number of images that cost no more."""
        low, high = 0, int(min(available.sum(), budget / cost.min())) + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if rule(middle) @ cost <= budget * (1 + ROUNDING) else (low, middle)
        return rule(low)

    rules = {
        NOBODY: np.zeros_like(frequency),
        PROPORTIONAL: afford(lambda images: spread(frequency.astype(float), images, available)),
        "all equally": afford(lambda images: spread(np.ones(len(frequency)), images, available)),
        "the rarest first": afford(lambda images: rarest_first(frequency, images, available)),
        PLAN: best,
    }
    mean, gain = predicted(fitted, counts.correct, examples, weights, frequency + best)
    left = float(budget - best @ cost)
    left = left if left >= cost[available > best].min(initial=np.inf) else 0.0  # less than an image
    return Collection(counts, target, budget, given_cost, fitted, weights, rules, mean, gain, left)
