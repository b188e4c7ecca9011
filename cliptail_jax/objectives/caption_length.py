"""Captions without the padding that a run's longest caption leaves empty: a text tower need not compute what has no effect."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int32

from cliptail_jax.curation.variant import Variant, caption_chunks
from cliptail_jax.pretrained.tokenizers import TextTokenizer

TILE = 16  # a TPU stores as many bfloat16 tokens together, and so computes with them
AT_ONCE = 1024  # captions


@dataclasses.dataclass(frozen=True)
class CutTokenizer:
    """A tokenizer of which only the first `length` ids are kept."""

    tokenizer: TextTokenizer
    length: int

    def __call__(self, texts: Sequence[str]) -> Int32[np.ndarray, "batch length"]:
        return self.tokenizer(texts)[:, : self.length]


def longest_caption(variant: Variant, tokenizer: TextTokenizer) -> int:
    """The number of ids up to the last end of a caption, in multiples of 16; at most the tokenizer's context.

    The end is the highest id, as for a text tower that may be cut. A caption that fills the context ends the search, so that
    it is short for captions from the web.
    """
    longest, context = 0, tokenizer([""]).shape[1]
    for captions in caption_chunks(variant):
        for start in range(0, len(captions), AT_ONCE):
            ids = tokenizer(list(dict.fromkeys(captions[start : start + AT_ONCE])))
            longest = max(longest, int(ids.argmax(-1).max()) + 1)
            if (cut := -(-longest // TILE) * TILE) >= context:
                return context
    return cut
