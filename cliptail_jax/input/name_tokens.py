"""The tokens of class names: a tokenizer that splits rare names more than frequent ones is a factor of bias by itself."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.input.huggingface_tokenizer import HuggingFaceTokenizer
from cliptail_jax.input.tokenizer import Tokenizer, words
from cliptail_jax.metrics.correlation import rank_correlation
from cliptail_jax.metrics.groups import head_mid_tail

LARGE_CORRELATION = 0.2


def tokens_per_word(tokenizer: Tokenizer | HuggingFaceTokenizer, names: Sequence[str]) -> Float[np.ndarray, " class"]:
    """The mean number of tokens of the words of each name, without those that begin and end a text.

    Words are those of CLIP's encoding. A name that the tokenizer truncates has the tokens that are left.
    """
    ids = tokenizer([*names, ""])
    tokens = np.sum(ids != tokenizer.pad_id, axis=1)
    return (tokens[:-1] - tokens[-1]) / np.array([max(len(words(name)), 1) for name in names])


def splitting_note(
    name: str, tokens: Float[np.ndarray, " class"], frequency: Int[np.ndarray, " class"] | None
) -> list[str]:
    """A note if the tokens per word of the class names of a set go with class frequency; none if that is unknown."""
    if frequency is None or not abs(rank_correlation(tokens, frequency)) > LARGE_CORRELATION:  # nan if all are equal
        return []
    thirds = ", ".join(f"{tokens[classes].mean():.2f}" for classes in head_mid_tail(frequency))
    return [
        f"note: the tokenizer's number of tokens per word of the class names of {name} goes with class frequency: {thirds} in "
        "head, middle and tail. Rare names that are split are harder to learn, which counts as bias. A larger "
        "model.text.vocab_size, or a file as text.tokenizer, can avoid it"
    ]
