"""The gain of a number of further images, by the plan and by simple rules; and the images that each class needs."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.bootstrap import Estimate
from cliptail_jax.metrics.collecting import (
    ROUNDING,
    ImageCounts,
    plan,
    prediction,
    rarest_first,
    spread,
    target_weights,
)
from cliptail_jax.metrics.groups import group_accuracy
from cliptail_jax.metrics.law import Posterior, fit_law

PERCENTS = (50, 75, 90)  # percent
UNLIMITED = 10**12  # images of a class: more than there ever are
NOBODY, PROPORTIONAL, PLAN = "nobody", "all in proportion", "the plan"


class RightByClass(NamedTuple):
    """A model's results by class. Means over several runs are valid, too.

    Attributes:
        names: the classes.
        frequency: the number of training images of each class.
        correct: how many of the `examples` of an evaluation are predicted correctly.
        examples: the number of examples of each class.
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
        counts, target, budget: the arguments of `collection`.
        cost: the cost of an image of each class, whose sum `budget` limits; None if it limits the number of images.
        posterior: the law of accuracy by class frequency.
        weights: the weights of the classes in the target.
        rules: the further images of each class, by rule; the last is the plan.
        mean: the target in percent after the plan, with its 95 % interval.
        gain: the gain of the target in points, with its 95 % interval.
        remainder: the part of the budget that is not spent.
    """

    counts: RightByClass
    target: str
    budget: float
    cost: Float[np.ndarray, " class"] | None
    posterior: Posterior
    weights: Float[np.ndarray, " class"]
    rules: Mapping[str, ImageCounts]
    mean: Estimate
    gain: Estimate
    remainder: float

    @property
    def plan(self) -> ImageCounts:
        return self.rules[PLAN]

    def accuracy(self, rule: str) -> Float[np.ndarray, " class"]:
        """The predicted accuracy of each class in 0..1."""
        return self.posterior.accuracy(self.counts.frequency + self.rules[rule])

    def needed(self, percent: float) -> Float[np.ndarray, " class"]:
        """The images that each class needs for an accuracy in percent; ±inf for more than a decade outside of the data."""
        return self.posterior.images_for(percent / 100)

    def means(self, rule: str) -> dict[str, float]:
        """The predicted accuracies in percent: the target, and the means over head, mid and tail (classes with examples)."""
        accuracy = self.accuracy(rule)
        with_examples = np.where(self.counts.examples > 0, accuracy, np.nan)
        groups = {name: group_accuracy(with_examples, ids) for name, ids in self.counts.groups.items()}
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
        cost: the cost of an image of each class; by default 1.

    Raises:
        UserError: the counts or the budget allow no plan.

    Example:
        result = collection(counts, budget=1000)
        further_images = dict(zip(counts.names, result.plan))
    """
    frequency, examples, given_cost = counts.frequency, counts.examples, cost
    if not examples.any():
        raise UserError("no class has examples in the evaluation: evaluate the run on a set with its classes")
    cost = np.ones(len(frequency)) if cost is None else cost
    if budget < cost.min():
        raise UserError(
            f"--images={budget:,.0f} is less than the cost of any image, {cost.min():,.6g} or more: raise it"
        )
    if available is None:
        available = np.minimum(budget / cost, UNLIMITED).astype(np.int64)
    posterior = fit_law(frequency, counts.correct, examples)
    weights = target_weights(target, counts.groups["tail"], examples)
    best = plan(posterior, weights, budget, available, cost)  # first, as it checks the budget

    def afford(rule: Callable[[int], ImageCounts]) -> ImageCounts:
        """The images of a rule for the largest number of images that the budget affords."""
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
    mean, gain = prediction(posterior, counts.correct, examples, weights, frequency + best)
    remainder = float(budget - best @ cost)
    if remainder < cost[available > best].min(initial=np.inf):
        remainder = 0.0  # less than an image
    return Collection(counts, target, budget, given_cost, posterior, weights, rules, mean, gain, remainder)
