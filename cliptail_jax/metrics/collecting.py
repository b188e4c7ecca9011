"""Which images to collect: the plan that a law of accuracy by class frequency prescribes, and simple rules to compare it with.

Each rule gives the number of further images of each class, and no class more than there are.
"""

import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.bootstrap import Estimate, percentiles
from cliptail_jax.metrics.law import Counts, Posterior, mean_of_resamples
from cliptail_jax.metrics.odds import SMALLEST_SLOPE

MEAN_PER_CLASS, TOP1, TAIL = TARGETS = ("mean_per_class", "top1", "tail")
GRID = 300  # numbers of further images for which the accuracy of a class is predicted
RESAMPLES, AT_ONCE = 500, 20
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
    fitted: Posterior, weights: ClassWeights, budget: float, available: ImageCounts, cost: ClassWeights
) -> ImageCounts:
    """The images that raise the weighted mean accuracy most, for a total cost of at most `budget`.

    The next images always go to the class with the largest gain for their cost. The gain is not concave: below about 50 %,
    the tenth image of a class brings more than the first. So the images that are compared are the steps of the upper
    concave hull of each class's gain: as many at once as have the largest mean gain. The choice is optimal for those
    budgets at which a step ends. What is left at the last step is spent in the same way on smaller steps, which loses at
    most the gain of one step. Accuracies are predicted for `GRID` numbers of images, which are all numbers up to about 50
    and then differ by some percent, and interpolated in between.

    Raises:
        UserError: the images that are available cost less, or images do not help by the law.
    """
    slack = ROUNDING * budget
    if available @ cost < budget - slack:
        raise UserError(
            f"--images={budget:,.0f} is more than the {available @ cost:,.0f} that are available: lower it, or list more images"
        )
    if not fitted.law.per_decade > SMALLEST_SLOPE:
        raise UserError(
            f"more images do not help by these results: log-odds of being right change by {fitted.law.per_decade:.2f} with ten "
            "times as many images of a class; a plan needs a run whose frequent classes are more accurate"
        )
    images = np.zeros(len(weights), np.int64)
    while True:
        rest = budget - images @ cost
        most = np.where(weights > 0, np.minimum(available - images, (rest + slack) / cost), 0).astype(np.int64)
        of, size, gain = hull_steps(fitted, weights / cost, images, most)
        if not len(of):
            return images
        order = np.argsort(-gain, kind="stable")
        of, size = of[order], size[order]
        fits = np.cumsum(size * cost[of]) <= rest + slack
        number = len(fits) if fits.all() else int(np.argmin(fits))
        if not number:  # the first step of all has one image, which fits but for rounding
            return images
        np.add.at(images, of[:number], size[:number])


def hull_steps(
    fitted: Posterior, weights: ClassWeights, images: ImageCounts, most: ImageCounts
) -> tuple[Int[np.ndarray, " step"], Int[np.ndarray, " step"], Float[np.ndarray, " step"]]:
    """The steps of the concave hulls: the class, the number of images, and the weighted gain per image, which is positive."""
    if most.max(initial=0) <= GRID:
        further = np.minimum(np.arange(most.max(initial=0) + 1), most[:, None])
    else:
        further = np.round(np.geomspace(1, np.maximum(most, 1), GRID, axis=1)).astype(np.int64)
        further = np.concatenate([np.zeros((len(most), 1), np.int64), further], axis=1)
    accuracy = weights[:, None] * fitted.accuracy((fitted.frequency + images)[:, None] + further)
    steps = []
    for c in np.flatnonzero(most > 0):
        corners: list[tuple[int, float]] = []
        for x, y in zip(further[c].tolist(), accuracy[c].tolist()):  # Andrew's monotone chain
            if corners and x == corners[-1][0]:
                continue
            while len(corners) > 1 and slope(corners[-2], corners[-1]) <= slope(corners[-1], (x, y)):
                corners.pop()
            corners.append((x, y))
        steps += [(c, after[0] - before[0], slope(before, after)) for before, after in zip(corners, corners[1:])]
    of, size, gain = np.array([step for step in steps if step[2] > 0]).reshape(-1, 3).T
    return of.astype(np.int64), size.astype(np.int64), gain


def slope(before: tuple[int, float], after: tuple[int, float]) -> float:
    return (after[1] - before[1]) / (after[0] - before[0])


def spread(shares: ClassWeights, images: int, available: ImageCounts) -> ImageCounts:
    """`images` in proportion to `shares`, the largest remainders rounded up. What a class lacks, the others get.

    With the class frequency as shares, collection is in proportion; with ones, all classes get as many.
    """
    full = available <= 0
    exact = np.zeros(len(shares))
    while not full.all():
        of_open = np.where(full, 0.0, shares)
        of_open = of_open if of_open.any() else np.where(full, 0.0, 1.0)
        exact = np.where(full, available, (images - available[full].sum()) * of_open / of_open.sum())
        if not (over := ~full & (exact > available)).any():
            break
        full |= over
    found = np.floor(exact + 1e-9).astype(np.int64)
    order = np.argsort(found - exact, kind="stable")
    order = order[found[order] < available[order]]
    found[order[: max(images - found.sum(), 0)]] += 1
    return found


def rarest_first(frequency: ImageCounts, images: int, available: ImageCounts) -> ImageCounts:
    """Always the next image for the class that has fewest, in label order."""
    level = lambda n: np.clip(n - frequency, 0, available)  # noqa: E731
    low, high = 0, int((frequency + available).max())
    while high - low > 1:  # the highest level that `images` reach
        middle = (low + high) // 2
        low, high = (middle, high) if level(middle).sum() <= images else (low, middle)
    found = level(low)
    open_classes = np.flatnonzero((frequency + found <= low) & (found < available))
    found[open_classes[: images - found.sum()]] += 1
    return found


def capped(pool: ImageCounts, images: int) -> ImageCounts:
    """At most so many of each class of a pool that `images` are left, as with MetaCLIP's cap (Xu et al., 2023, arXiv 2309.16671).

    Unlike there, the cap is exact and not the mean of a random choice.
    """
    return rarest_first(np.zeros_like(pool), images, pool)


def predicted(
    fitted: Posterior, correct: Counts, examples: Counts, weights: ClassWeights, images: ImageCounts
) -> tuple[Estimate, Estimate]:
    """The weighted mean accuracy in percent with so many `images` of each class, and its gain in points.

    Intervals are 95 % percentiles over resamples of the classes, with a law for each. They do not cover other trainings.
    """
    classes, rng, before = len(weights), np.random.default_rng(0), fitted.frequency
    parts = [
        mean_of_resamples(
            fitted, correct, examples, weights, before, images, rng.integers(0, classes, (AT_ONCE, classes))
        )
        for _ in range(RESAMPLES // AT_ONCE)
    ]
    now, then = 100 * np.concatenate(parts, axis=1)
    values = [100 * float(weights @ fitted.accuracy(of)) for of in (before, images)]
    gain = values[1] - values[0]
    return Estimate(values[1], *percentiles(then)), Estimate(gain, *percentiles(then - now))
