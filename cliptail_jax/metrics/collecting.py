"""Which images to collect: the plan that a law of accuracy by class frequency prescribes, and simple rules to compare it with.

Each rule gives the number of further images of each class, at most as many as there are.
"""

import itertools

import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.bootstrap import Estimate, percentiles
from cliptail_jax.metrics.law import Counts, Posterior, mean_of_resamples
from cliptail_jax.metrics.odds import SMALLEST_SLOPE

MEAN_PER_CLASS, TOP1, TAIL = TARGETS = ("mean_per_class", "top1", "tail")
GRID = 300  # numbers of further images for which accuracies are predicted
RESAMPLES, BLOCK = 500, 20
CLASSES_AT_ONCE = 200_000  # in a block of resamples, whose memory is 15 times as many nodes
ROUNDING = 1e-12  # of a budget

ImageCounts = Int[np.ndarray, " class"]
ClassWeights = Float[np.ndarray, " class"]


def target_weights(target: str, tail: Int[np.ndarray, " tail"], examples: Counts) -> ClassWeights:
    """The weight of each class's accuracy in a measure: 'mean_per_class', 'top1' or that of the ids in `tail`. Their sum is 1.

    Classes without examples have none, as their accuracy is not measured.
    """
    weights = (examples > 0).astype(float)
    if target == TOP1:
        weights = examples.astype(float)
    if target == TAIL:
        weights *= np.isin(np.arange(len(weights)), tail)
    if not weights.any():
        raise UserError(
            f"no class of --target={target} has examples in the evaluation: choose another target, or evaluate on a set with its classes"
        )
    return weights / weights.sum()


def plan(
    posterior: Posterior, weights: ClassWeights, budget: float, available: ImageCounts, cost: ClassWeights
) -> ImageCounts:
    """The images that raise the weighted mean accuracy most, for a total cost of at most `budget`.

    The next images always go to the class with the largest gain for their cost. The gain is not concave: below about 50 %,
    the tenth image of a class brings more than the first. So images are added in steps, those of the upper concave hull of
    each class's gain: a step is as many images as have the largest mean gain. The choice is optimal for those budgets at
    which a step ends. The rest of a budget is spent in the same way on smaller steps, which loses at most the gain of one
    step. Accuracies are predicted for `GRID` numbers of images, which are all numbers up to about 50 and then differ by
    some percent, and interpolated in between.

    Raises:
        UserError: the images that are available cost less than the budget, or the law predicts that images do not help.
    """
    slack = ROUNDING * budget
    if available @ cost < budget - slack:
        raise UserError(
            f"--images={budget:,.0f} is more than the {available @ cost:,.0f} that are available: lower it, or list more images"
        )
    if not posterior.law.per_decade > SMALLEST_SLOPE:
        raise UserError(
            f"more images do not help by these results: log-odds of being right change by {posterior.law.per_decade:.2f} "
            "with ten times as many images of a class; a plan needs a run whose frequent classes are more accurate"
        )
    images = np.zeros(len(weights), np.int64)
    while True:
        remainder = budget - images @ cost
        limits = np.where(weights > 0, np.minimum(available - images, (remainder + slack) / cost), 0).astype(np.int64)
        classes, sizes, gains = hull_steps(posterior, weights / cost, images, limits)
        if not len(classes):
            return images
        order = np.argsort(-gains, kind="stable")
        classes, sizes = classes[order], sizes[order]
        is_affordable = np.cumsum(sizes * cost[classes]) <= remainder + slack
        number = len(classes) if is_affordable.all() else int(np.argmin(is_affordable))
        if not number:  # a first step of one image is affordable, but for rounding
            return images
        np.add.at(images, classes[:number], sizes[:number])


def hull_steps(
    posterior: Posterior, weights: ClassWeights, images: ImageCounts, limits: ImageCounts
) -> tuple[Int[np.ndarray, " step"], Int[np.ndarray, " step"], Float[np.ndarray, " step"]]:
    """The steps of the concave hulls from `images` to at most `limits` more of each class.

    Returns:
        the class of each step, its number of images, and its weighted gain per image, which is positive.
    """
    largest = limits.max(initial=0)
    if largest <= GRID:
        additions = np.minimum(np.arange(largest + 1), limits[:, None])
    else:
        additions = np.round(np.geomspace(1, np.maximum(limits, 1), GRID, axis=1)).astype(np.int64)
        additions = np.concatenate([np.zeros((len(limits), 1), np.int64), additions], axis=1)
    accuracy = weights[:, None] * posterior.accuracy((posterior.frequency + images)[:, None] + additions)
    steps = []
    for c in np.flatnonzero(limits > 0):
        corners: list[tuple[int, float]] = []
        for x, y in zip(additions[c].tolist(), accuracy[c].tolist()):  # Andrew's monotone chain
            if corners and x == corners[-1][0]:
                continue
            while len(corners) > 1 and slope(corners[-2], corners[-1]) <= slope(corners[-1], (x, y)):
                corners.pop()
            corners.append((x, y))
        steps += [(c, end[0] - start[0], slope(start, end)) for start, end in itertools.pairwise(corners)]
    classes, sizes, gains = np.array([step for step in steps if step[2] > 0]).reshape(-1, 3).T
    return classes.astype(np.int64), sizes.astype(np.int64), gains


def slope(start: tuple[int, float], end: tuple[int, float]) -> float:
    return (end[1] - start[1]) / (end[0] - start[0])


def spread(shares: ClassWeights, images: int, available: ImageCounts) -> ImageCounts:
    """`images` in proportion to `shares`, the largest remainders rounded up. What a class lacks goes to the others.

    With the class frequency as shares, collection is in proportion to it; with ones, all classes get equally many.
    """
    is_empty = available <= 0
    exact = np.zeros(len(shares))
    while not is_empty.all():
        open_shares = np.where(is_empty, 0.0, shares)
        open_shares = open_shares if open_shares.any() else np.where(is_empty, 0.0, 1.0)
        exact = np.where(is_empty, available, (images - available[is_empty].sum()) * open_shares / open_shares.sum())
        excess = ~is_empty & (exact > available)
        if not excess.any():
            break
        is_empty |= excess
    counts = np.floor(exact + 1e-9).astype(np.int64)
    order = np.argsort(counts - exact, kind="stable")
    order = order[counts[order] < available[order]]
    counts[order[: max(images - counts.sum(), 0)]] += 1
    return counts


def rarest_first(frequency: ImageCounts, images: int, available: ImageCounts) -> ImageCounts:
    """Each image goes to the class that has the fewest so far, in label order."""
    level = lambda n: np.clip(n - frequency, 0, available)  # noqa: E731
    low, high = 0, int((frequency + available).max())
    while high - low > 1:  # the highest level that `images` reach
        middle = (low + high) // 2
        low, high = (middle, high) if level(middle).sum() <= images else (low, middle)
    counts = level(low)
    open_classes = np.flatnonzero((frequency + counts <= low) & (counts < available))
    counts[open_classes[: images - counts.sum()]] += 1
    return counts


def capped(pool: ImageCounts, images: int) -> ImageCounts:
    """The counts of a pool's classes, capped so that `images` remain, as by MetaCLIP (Xu et al., 2023, arXiv 2309.16671).

    Unlike MetaCLIP's cap, this one is exact and not the mean of a random choice.
    """
    return rarest_first(np.zeros_like(pool), images, pool)


def prediction(
    posterior: Posterior, correct: Counts, examples: Counts, weights: ClassWeights, images: ImageCounts
) -> tuple[Estimate, Estimate]:
    """The weighted mean accuracy in percent with so many `images` of each class, and its gain in points.

    Intervals are 95 % percentiles over resamples of the classes, with a law for each. They do not cover other trainings.
    """
    classes, rng, frequency = len(weights), np.random.default_rng(0), posterior.frequency
    sizes = np.diff([*range(0, RESAMPLES, min(max(CLASSES_AT_ONCE // classes, 1), BLOCK)), RESAMPLES])
    blocks = (rng.integers(0, classes, (size, classes)) for size in sizes)
    parts = [
        mean_of_resamples(posterior, correct, examples, weights, frequency, images, resamples) for resamples in blocks
    ]
    initial, final = 100 * np.concatenate(parts, axis=1)
    initial_mean, final_mean = (100 * float(weights @ posterior.accuracy(n)) for n in (frequency, images))
    gain = Estimate(final_mean - initial_mean, *percentiles(final - initial))
    return Estimate(final_mean, *percentiles(final)), gain
