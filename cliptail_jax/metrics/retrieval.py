"""Retrieval between images and captions: recalls, also by the frequency of a caption's rarest word."""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.metrics.bootstrap import mean_over_classes
from cliptail_jax.metrics.correlation import mean_ranks

CUTOFFS = (1, 5, 10)  # k of recall at k
DECILES = 10


@dataclasses.dataclass(frozen=True)
class RetrievalResults:
    """The ranks of one evaluation by retrieval, the input of measures.

    Attributes:
        image_to_text: for each image, the number of captions that are ranked before the first of its captions.
        text_to_image: for each caption, the number of images that are ranked before its image.
        images: the record of each image; the first one, if several records have the same image.
        captions: the record of each caption.
        word_frequency: the number of training captions with each caption's rarest word; -1 for a caption without words.
            None if the training captions are unknown.
        num_excluded: the number of records without a caption or a readable image.
    """

    image_to_text: Int[np.ndarray, " image"]
    text_to_image: Int[np.ndarray, " caption"]
    images: Int[np.ndarray, " image"]
    captions: Int[np.ndarray, " caption"]
    word_frequency: Int[np.ndarray, " caption"] | None = None
    num_excluded: int = 0

    # There are no classes.
    groups: ClassVar[Mapping] = {}
    values: ClassVar[Mapping] = {}

    @property
    def sizes(self) -> dict[str, int]:
        return {"images": len(self.images), "captions": len(self.captions), "left_out": self.num_excluded}


def hits(ranks: Int[np.ndarray, " query"], k: int) -> Float[np.ndarray, " query"]:
    """100 for each query whose answer is among the first k, else 0: their mean is recall at k in percent."""
    return 100.0 * (ranks < k)


def deciles(frequency: Int[np.ndarray, " caption"]) -> Int[np.ndarray, " caption"]:
    """The decile of each caption by frequency, from 0 for the rarest words; -1 for captions without words.

    Captions of the same frequency are in the same decile, that of their mean rank. So deciles may differ in size, and some
    may be empty.
    """
    has_word = frequency >= 0
    ranks = mean_ranks(frequency[has_word]) - 0.5
    decile = np.full(len(frequency), -1)
    decile[has_word] = np.minimum(ranks * DECILES / max(has_word.sum(), 1), DECILES - 1)
    return decile


def by_decile(results: RetrievalResults) -> dict[str, np.ndarray]:
    """The recalls, sizes and frequencies of each decile of captions by the frequency of their rarest words.

    Keys: `decile_captions` [decile], the number of captions; `decile_frequency` [decile, 2], the lowest and highest
    frequency; and `decile_r1`, `decile_r5` and `decile_r10` [decile], the text-to-image recalls in percent. Recalls and
    frequencies of an empty decile are nan.
    """
    decile = deciles(results.word_frequency)
    members = [decile == number for number in range(DECILES)]
    frequencies = [results.word_frequency[rows] for rows in members]
    ranks = [results.text_to_image[rows] for rows in members]
    return {
        "decile_captions": np.array([len(r) for r in ranks]),
        "decile_frequency": np.array([(f.min(), f.max()) if len(f) else (np.nan, np.nan) for f in frequencies]),
        **{f"decile_r{k}": np.array([mean_over_classes(hits(r, k)[None]) for r in ranks]) for k in CUTOFFS},
    }
