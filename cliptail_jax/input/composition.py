"""Rules for which images an epoch uses, and which of them come together in a batch, by their classes.

Without any, an epoch is a shuffled pass over all rows, cut into batches. With one, an epoch has as many steps and as many
images, spread evenly over its batches. A whole epoch is composed at once, from the seed and its number alone: a batch is
still a function of its step, whatever the number of workers, processes or micro-batches.
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Int
from ml_collections import ConfigDict

DISTINCT = "distinct"
ROUNDING = 1e-9  # a value as close as this to a whole number is that number

Frequency = Int[np.ndarray, "class"]
Share = Float[np.ndarray, "class"]


@dataclasses.dataclass(frozen=True)
class Composition:
    """A rule, for N rows of C classes (those that have any), n_c of class c, and epochs of S batches of B images.

    How often an epoch uses a class and its rows, in the sum over its batches:

    - `balanced`: each class N/C times, rounded up or down at random: as often as any other, but for one image. A row of
      class c is used N/(C n_c) times in expectation; those of rare classes several times, each time augmented otherwise, and
      only a part of those of frequent classes.
    - Otherwise each row is used once. With `classes`, this holds in expectation alone; see there.

    Any two rows of a class are used equally often in an epoch, but for one time. Which of them is used more often, with which
    others in a batch, and in which of its slots, is random. Hence in every slot an image of class c has probability 1/(C n_c)
    with `balanced`, and 1/N otherwise, before an epoch is drawn.

    Which classes come together in a batch:

    - `distinct`: as many as possible. A class is in as many batches as it has uses, or in all of them, as evenly as possible;
      no other composition of the same images has more classes in its batches on average.
    - `classes`: exactly k of them. With p_c the probability that an image has class c, that class is in a batch with
      probability v_c = min(1, λ p_c), with the λ for which the v_c add up to k, and then has B p_c / v_c of its images: most
      classes as many as each other, and classes too frequent for that more. An epoch has class c in S v_c of its batches. Both
      numbers are rounded at random to a neighbouring whole number, without a change of their expectations, so an epoch may use
      more or fewer images of a class than it has rows, in most cases by less than its share of a batch. A class with fewer
      rows than B p_c / v_c is used several times in a batch that has it, and has no image in some epochs.

    If the last, partial batch of an epoch is dropped, S B images are used in place of N: each row with probability S B / N.
    """

    balanced: bool = False
    classes: int = 0
    distinct: bool = False


def composition_of(data: ConfigDict) -> Composition | None:
    """The rule that the section `data` of a config describes; None if there is none."""
    rule = Composition(data.balanced_sampling)
    return None if rule == Composition() else rule


@dataclasses.dataclass
class Composer:
    """The images of a step's batch, each as pass · N + row: its row, of N, and the number of earlier passes over the class.

    Attributes:
        labels: the class of each row.
        seed: of all epochs.
        batch_size: the largest number of images in a batch.
    """

    labels: Int[np.ndarray, "row"]
    rule: Composition
    seed: int
    batch_size: int
    steps_per_epoch: int
    _last: dict[int, list[Int[np.ndarray, "image"]]] = dataclasses.field(default_factory=dict)

    def __call__(self, step: int) -> Int[np.ndarray, "image"]:
        epoch, place = divmod(int(step), self.steps_per_epoch)
        batches = self._last.get(epoch)
        if batches is None:
            batches = self.epoch(epoch)
            before = {e: b for e, b in self._last.items() if e == epoch - 1}  # in use by another thread
            self._last = before | {epoch: batches}
        return batches[place]

    def epoch(self, epoch: int) -> list[Int[np.ndarray, "image"]]:
        """The images of each batch of an epoch."""
        rng = np.random.default_rng([self.seed, epoch])
        sizes = batch_sizes(len(self.labels), self.batch_size, self.steps_per_epoch)
        weights = class_weights(np.bincount(self.labels), self.rule.balanced)
        uses = rounded(weights * sizes.sum() / weights.sum(), sizes.sum(), rng)
        images = class_by_class(self.labels, uses, rng)
        batch = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
        in_batches = np.lexsort((rng.random(len(batch)), batch))
        return np.split(np.concatenate(images)[in_batches], np.cumsum(sizes)[:-1])


def batch_sizes(rows: int, batch_size: int, steps: int) -> Int[np.ndarray, "step"]:
    """The number of images in each batch of an epoch: of all rows, or as many as fit."""
    return np.diff(np.arange(steps + 1) * min(rows, steps * batch_size) // steps)


def class_weights(frequency: Frequency, balanced: bool) -> Int[np.ndarray, "class"]:
    """What the number of images of each class is proportional to."""
    return (frequency > 0).astype(int) if balanced else frequency


def rounded(values: Float[np.ndarray, "value"], total: int, rng: np.random.Generator) -> Int[np.ndarray, "value"]:
    """Whole numbers that add up to `total`, as the values do: each the floor or the ceiling of its value.

    The expectation of each is its value: this is systematic sampling of the values' fractions.
    """
    whole = np.floor(values + ROUNDING).astype(int)
    missing = total - whole.sum()
    if not missing:
        return whole
    cuts = np.cumsum(np.maximum(values - whole, 0.0))
    cuts *= missing / cuts[-1]
    cuts[-1] = missing
    return whole + np.diff(np.floor(cuts + rng.random()), prepend=0).astype(int)


def class_by_class(
    labels: Int[np.ndarray, "row"], uses: Int[np.ndarray, "class"], rng: np.random.Generator
) -> list[Int[np.ndarray, "use"]]:
    """For each class as many of its rows as it has uses, as pass · N + row; every pass has them in another order."""
    frequency = np.bincount(labels, minlength=len(uses))
    rows = np.split(np.argsort(labels, kind="stable"), np.cumsum(frequency)[:-1])
    images = []
    for of_class, number in zip(rows, uses):
        passes = -(-number // max(len(of_class), 1))
        orders = rng.permuted(np.tile(of_class, (passes, 1)), axis=1) + len(labels) * np.arange(passes)[:, None]
        images.append(orders.ravel()[:number])
    return images
