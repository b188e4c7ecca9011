"""Cuts the padding after a run's longest caption, which has no effect, to save computation in the text tower."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Int32

from cliptail_jax.curation.variant import Variant, caption_chunks

TILE = 16  # a TPU stores, and computes with, this number of bfloat16 tokens together
AT_ONCE = 1024  # captions
Tokenize = Callable[[Sequence[str]], Int32[np.ndarray, "batch context"]]


@dataclasses.dataclass(frozen=True)
class CutTokenizer:
    """A tokenizer that returns only the first `length` ids of each text."""

    tokenizer: Tokenize
    length: int

    def __call__(self, texts: Sequence[str]) -> Int32[np.ndarray, "batch length"]:
        return self.tokenizer(texts)[:, : self.length]


def longest_caption(variant: Variant, tokenizer: Tokenize) -> int:
    """The number of ids of the longest caption, rounded up to a multiple of 16; at most the tokenizer's context.

    A caption ends at its highest id, as in text towers that may be cut. The search stops at a caption that fills the
    context, so it is short for captions from the web.
    """
    longest, context = 0, tokenizer([""]).shape[1]
    for captions in caption_chunks(variant):
        for start in range(0, len(captions), AT_ONCE):
            ids = tokenizer(list(dict.fromkeys(captions[start : start + AT_ONCE])))
            longest = max(longest, int(ids.argmax(-1).max()) + 1)
            if (cut := -(-longest // TILE) * TILE) >= context:
                return context
    return cut
