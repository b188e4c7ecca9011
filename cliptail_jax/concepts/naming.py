"""How many captions name classes: one, several or none, and each class."""

import dataclasses
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from cliptail_jax.concepts.batches import Captions
from cliptail_jax.concepts.counter import ConceptCounter


@dataclasses.dataclass(frozen=True)
class Naming:
    """The numbers of captions that name each class, in `counts`, and that name one, several or none of the classes."""

    counts: Int[np.ndarray, " class"]
    one: int
    several: int
    none: int

    def __str__(self) -> str:
        captions = self.one + self.several + self.none
        return (
            f"{self.one:,} of {captions:,} captions name one of {len(self.counts):,} classes, {self.several:,} several, "
            f"{self.none:,} none"
        )


def naming(
    captions: Int[np.ndarray, " pair"], classes: Int[np.ndarray, " pair"], num_captions: int, num_classes: int
) -> Naming:
    """The numbers of the pairs of a caption and a class that it names, as `ConceptCounter.matches` finds them."""
    named = np.bincount(np.bincount(captions, minlength=num_captions), minlength=2)
    counts = np.bincount(classes, minlength=num_classes)
    return Naming(counts, int(named[1]), int(named[2:].sum()), int(named[0]))


def count_named(counter: ConceptCounter, chunks: Iterable[Captions]) -> Naming:
    """The numbers over all captions of some chunks."""
    total = Naming(np.zeros(len(counter.names), np.int64), 0, 0, 0)
    for chunk in chunks:
        of = naming(*counter.matches(pa.array(chunk, pa.large_string())), len(chunk), len(counter.names))
        total = Naming(total.counts + of.counts, total.one + of.one, total.several + of.several, total.none + of.none)
    return total
