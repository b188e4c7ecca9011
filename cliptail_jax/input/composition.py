"""Rules for how often an epoch uses each image, and which classes are together in a batch.

Without a rule, an epoch is a shuffled pass over all rows, cut into batches. With a rule, an epoch has the same number
of steps and images, spread evenly over its batches. A whole epoch is composed at once from the seed and the epoch's
number, so a batch still depends only on its step, for any number of workers, processes or micro-batches.
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.config.training import DISTINCT, Data
from cliptail_jax.host.errors import UserError
from cliptail_jax.input.epochs import LastEpochs

ROUNDING = 1e-9  # a value as close as this to a whole number is that number

Frequency = Int[np.ndarray, " class"]


@dataclasses.dataclass(frozen=True)
class Composition:
    """A rule for N rows of C classes (those with rows), n_c of class c, and epochs of S batches of B images.

    How often an epoch uses the rows of class c:

    - `is_balanced`: N/C times in all, rounded up or down at random, so that classes differ by one use at most. A row is
      used N/(C n_c) times in expectation: rows of rare classes several times, each time with new augmentation, and only
      a part of the rows of frequent classes.
    - Otherwise each row once, or with `classes` at most once.

    The uses of any two rows of a class differ by one at most. Batches are in random order and have their images in
    random slots. An image of class c therefore has the same probability in every filled slot: 1/(C n_c) with
    `is_balanced`, and 1/N otherwise.

    Which classes are together in a batch:

    - `distinct`: as many as possible. A class is in as many batches as it has uses, or in all of them, as evenly as possible;
      no other composition of the same images has more classes in its batches on average.
    - `classes`: exactly k of them, drawn anew for each batch. A class is in a number of batches in proportion to its uses u_c,
      but at least in one and at most in min(u_c, S), and has about equally many images in each. So most classes have
      equally many images in a batch; the most frequent ones have more, and the rarest fewer. With `is_balanced`, all have
      B/k, as in sampling for metric learning.
    - Otherwise at random.

    The k classes of a batch may have fewer than B images left. Slots then stay empty, and the epoch leaves out the same
    number of images. With 100 classes of 500 to 5 rows and B = 128, these are nearly none for k ≥ 8, 0.2 % for k = 5, 2 % for 3
    and 9 % for 2. The probabilities above are then approximate.

    If the last, partial batch of an epoch is dropped, S B random rows are used in place of N: of each class its share,
    rounded at random. With `is_balanced`, read N as S B.
    """

    is_balanced: bool = False
    classes: int = 0
    distinct: bool = False


def composition_of(data: Data) -> Composition | None:
    """The rule that the section describes; None for a shuffled pass over all rows."""
    rule = Composition(data.balanced_sampling, data.batch_classes, data.batch_composition == DISTINCT)
    return None if rule == Composition() else rule


def check_composition(rule: Composition, frequency: Frequency, batch_size: int, steps: int) -> None:
    """Raises UserError if the batches of an epoch cannot have `rule.classes` classes each.

    Args:
        frequency: the number of rows of each class.
        steps: the number of batches of an epoch.
    """
    if not (k := rule.classes):
        return
    setting, sizes = f"data.batch_classes={k}", batch_sizes(frequency.sum(), batch_size, steps)
    frequency = frequency[frequency > 0]
    if k > len(frequency):
        raise UserError(f"{setting} is larger than the {len(frequency)} classes that have records")
    if k * steps < len(frequency):
        raise UserError(
            f"{setting} is too small: the {steps} batches of an epoch cannot be filled with {k} classes each and have all "
            f"{len(frequency)} classes that have records; set it to {-(-len(frequency) // steps)} or more"
        )
    uses = class_shares(frequency, rule.is_balanced) * sizes.sum()
    # A class that is in all batches needs no further images to be counted.
    excess = np.maximum(np.ceil(uses - ROUNDING) - steps, 0).sum()
    if k > (maximum := int(sizes.sum() - excess) // steps):
        raise UserError(
            f"{setting} is too large: the classes have enough images for {maximum} of them in every batch of {batch_size}; set it "
            f"to {maximum} or less, or data.batch_composition='{DISTINCT}' for as many as possible"
        )


@dataclasses.dataclass
class Composer:
    """Composes the batch of a step. An image is a number pass · N + row: one of N rows, and the pass over its class.

    Attributes:
        labels: the class of each row.
        seed: the seed of all epochs.
        batch_size: the largest number of images in a batch.
    """

    labels: Int[np.ndarray, " row"]
    rule: Composition
    seed: int
    batch_size: int
    steps_per_epoch: int

    def __post_init__(self):
        self._batches = LastEpochs(self.epoch)

    def __call__(self, step: int) -> Int[np.ndarray, " image"]:
        epoch, place = divmod(int(step), self.steps_per_epoch)
        return self._batches(epoch)[place]

    def epoch(self, epoch: int) -> list[Int[np.ndarray, " _"]]:
        """The images of each batch of an epoch."""
        rng, steps = np.random.default_rng([self.seed, epoch]), self.steps_per_epoch
        sizes = batch_sizes(len(self.labels), self.batch_size, steps)
        share = class_shares(np.bincount(self.labels), self.rule.is_balanced)
        uses = rounded(share * sizes.sum(), sizes.sum(), rng)
        if self.rule.classes:
            counts = batches_of_classes(uses, self.rule.classes, sizes, rng)
            images = class_by_class(self.labels, counts.sum(0), rng)
            batch = np.repeat(np.tile(np.arange(steps), len(uses)), counts.T.ravel())
        else:
            images = class_by_class(self.labels, uses, rng)
            images = [images[c] for c in rng.permutation(len(images))]
            batch = np.arange(sizes.sum()) % steps  # dealt like cards: neighbours get into different batches
            batch = batch if self.rule.distinct else rng.permutation(batch)
        batch = rng.permutation(steps)[batch]
        order = np.lexsort((rng.random(len(batch)), batch))
        ends = np.cumsum(np.bincount(batch, minlength=steps))
        return np.split(np.concatenate(images)[order], ends[:-1])


def batch_sizes(rows: int | np.integer, batch_size: int, steps: int) -> Int[np.ndarray, " step"]:
    """The number of images in each batch of an epoch: all rows, or as many as fit."""
    return np.diff(np.arange(steps + 1) * min(rows, steps * batch_size) // steps)


def class_shares(frequency: Frequency, is_balanced: bool) -> Float[np.ndarray, " class"]:
    """The share of each class in an epoch's images."""
    weights = frequency > 0 if is_balanced else frequency
    return weights / weights.sum()


def batches_of_classes(
    uses: Frequency, k: int, sizes: Int[np.ndarray, " step"], rng: np.random.Generator
) -> Int[np.ndarray, "step class"]:
    """The number of images of each class in each batch: k classes per batch, and no class more often than its uses.

    Args:
        uses: the number of images of each class in the epoch.
        sizes: the number of images in each batch.
    """
    steps, images_left = len(sizes), uses.copy()
    batches_left = rounded(numbers_of_batches(uses, k, steps), k * steps, rng)  # later batches with each class
    counts = np.zeros((steps, len(uses)), int)
    for step, size in enumerate(sizes):
        # Systematic sampling in a new order: a class has probability batches_left / steps_left, so none is left at the end.
        order, steps_left = rng.permutation(len(uses)), steps - step
        marks = (np.cumsum(batches_left[order]) + rng.integers(steps_left)) // steps_left
        classes = order[np.diff(marks, prepend=0) > 0]
        image_counts = rounded(images_in_batch(images_left[classes], batches_left[classes], size), size, rng)
        limits = images_left[classes] - batches_left[classes] + 1  # leaves one for each later batch
        counts[step, classes] = np.minimum(image_counts, limits)
        batches_left[classes] -= 1
        images_left -= counts[step]
    return counts


def numbers_of_batches(uses: Frequency, k: int, steps: int) -> Float[np.ndarray, " class"]:
    """The number of batches with each class: in proportion to its uses, within 1 ... min(uses, steps); k · steps in all."""
    lower, upper = np.minimum(uses, 1), np.minimum(uses, steps)
    low, high = 0.0, float(steps)
    for _ in range(100):
        middle = (low + high) / 2
        is_enough = np.clip(middle * uses, lower, upper).sum() >= k * steps
        low, high = (low, middle) if is_enough else (middle, high)
    return np.clip(high * uses, lower, upper)


def images_in_batch(
    images_left: Int[np.ndarray, " k"], batches_left: Int[np.ndarray, " k"], size: int | np.integer
) -> Float[np.ndarray, " k"]:
    """The number of images of each class of a batch: at least 1, and `size` in all.

    A class has its images left, divided by its batches left. Classes that also occur in later batches have more or fewer, so
    that the sum is `size`.
    """
    excess = np.maximum(images_left / batches_left, 1.0) - 1
    is_recurring = batches_left > 1
    room = size - len(batches_left) - excess[~is_recurring].sum()
    if not is_recurring.any() or room < 0:
        is_recurring, room = np.ones_like(is_recurring), size - len(batches_left)
    weights = excess * is_recurring if (excess * is_recurring).any() else is_recurring.astype(float)
    return 1 + np.where(is_recurring, weights * room / weights.sum(), excess)


def rounded(
    values: Float[np.ndarray, " value"], total: int | np.integer, rng: np.random.Generator
) -> Int[np.ndarray, " value"]:
    """Rounds each value up or down at random, such that its expectation is the value and the sum is `total`, the values' sum.

    This is systematic sampling of the values' fractions.
    """
    floors = np.floor(values + ROUNDING).astype(int)
    remainder = total - floors.sum()
    if not remainder:
        return floors
    cuts = np.cumsum(np.maximum(values - floors, 0.0))
    cuts *= remainder / cuts[-1]
    cuts[-1] = remainder
    return floors + np.diff(np.floor(cuts + rng.random()), prepend=0).astype(int)


def class_by_class(
    labels: Int[np.ndarray, " row"], uses: Int[np.ndarray, " class"], rng: np.random.Generator
) -> list[Int[np.ndarray, " _"]]:
    """The rows that each class uses, as pass · N + row. Every pass over a class has another order."""
    frequency = np.bincount(labels, minlength=len(uses))
    rows = np.split(np.argsort(labels, kind="stable"), np.cumsum(frequency)[:-1])
    images = []
    for class_rows, number in zip(rows, uses):
        passes = -(-number // max(len(class_rows), 1))
        orders = rng.permuted(np.tile(class_rows, (passes, 1)), axis=1) + len(labels) * np.arange(passes)[:, None]
        images.append(orders.ravel()[:number])
    return images
