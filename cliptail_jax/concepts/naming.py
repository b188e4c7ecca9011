"""Counts the captions that name each class, and those that name one, several or no classes."""

import dataclasses

import numpy as np
from jaxtyping import Int


@dataclasses.dataclass(frozen=True)
class Naming:
    """The numbers of captions that name each class (`counts`), and that name one, several or none of the classes."""

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

    def __add__(self, other: "Naming") -> "Naming":
        numbers = (self.one + other.one, self.several + other.several, self.none + other.none)
        return Naming(self.counts + other.counts, *numbers)


def naming(
    captions: Int[np.ndarray, " pair"], classes: Int[np.ndarray, " pair"], num_captions: int, num_classes: int
) -> Naming:
    """Counts the pairs that `ConceptCounter.matches` returns."""
    named = np.bincount(np.bincount(captions, minlength=num_captions), minlength=2)
    counts = np.bincount(classes, minlength=num_classes)
    return Naming(counts, int(named[1]), int(named[2:].sum()), int(named[0]))
