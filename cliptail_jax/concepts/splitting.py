"""Splits captions into words, a batch at a time: NumPy on Arrow's buffers, without a Python object per word."""

import dataclasses
import string

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int

from cliptail_jax.formats.batches import offsets_of

LETTERS = string.ascii_letters.encode()
LOWER_CASE = bytes.maketrans(string.ascii_uppercase.encode(), string.ascii_lowercase.encode())
IS_LETTER = bytes(byte in LETTERS for byte in range(256))
OTHER_BYTES = bytes(byte for byte in range(256) if byte not in LETTERS)

# The two characters outside ASCII whose lower case has a letter of a–z: İ becomes i and a combining dot, the Kelvin sign
# k. The bytes of all other characters become spaces.
DOTTED_I, KELVIN = "\u0130".encode(), "\u212a".encode()


@dataclasses.dataclass(frozen=True)
class Words:
    """The words of a batch of captions, cleaned but not yet split at contractions, in order."""

    words: pa.StringArray  # of a–z
    captions: Int[np.ndarray, " word"]  # the row of each word's caption, ascending
    num_captions: int


def split_captions(captions: pa.LargeBinaryArray) -> Words:
    """Splits captions in UTF-8 into words. A null has none, and invalid bytes count as spaces."""
    offsets, text = offsets_and_text(captions)
    if not text.isascii():
        if KELVIN in text:  # rare; it is two bytes longer than a k
            offsets, text = offsets_and_text(pc.replace_substring(captions, KELVIN, b"k"))
        text = text.replace(DOTTED_I, b"i ")

    is_letter = np.frombuffer(text.translate(IS_LETTER), bool)
    is_start, is_end = is_letter.copy(), is_letter.copy()
    np.greater(is_letter[1:], is_letter[:-1], out=is_start[1:])
    np.greater(is_letter[:-1], is_letter[1:], out=is_end[:-1])
    has_text = offsets[1:] > offsets[:-1]
    first, last = offsets[:-1][has_text], offsets[1:][has_text] - 1  # no word continues in the next caption
    is_start[first], is_end[last] = is_letter[first], is_letter[last]
    starts = np.flatnonzero(is_start)
    lengths = np.flatnonzero(is_end) + 1 - starts

    letters = text.translate(LOWER_CASE, OTHER_BYTES)  # all words, with nothing between them
    word_offsets = np.zeros(len(starts) + 1, np.int32)
    np.cumsum(lengths, out=word_offsets[1:])
    words = pa.StringArray.from_buffers(len(starts), pa.py_buffer(word_offsets), pa.py_buffer(letters))
    words_per_caption = np.diff(np.searchsorted(starts, offsets))
    return Words(words, np.repeat(np.arange(len(captions), dtype=np.int32), words_per_caption), len(captions))


def offsets_and_text(captions: pa.LargeBinaryArray) -> tuple[Int[np.ndarray, " {len(captions)+1}"], bytes]:
    """The offsets of captions in the batch's text, and the text. A null is empty."""
    if captions.null_count:
        captions = captions.fill_null(b"")  # a null may have bytes in the buffer
    offsets = offsets_of(captions)
    text = captions.buffers()[2] or b""
    return offsets - offsets[0], bytes(memoryview(text)[offsets[0] : offsets[-1]])


def count_undecodable(captions: pa.LargeBinaryArray) -> int:
    """The number of captions that are not UTF-8."""
    try:
        captions.cast(pa.large_string())
        return 0
    except pa.ArrowInvalid:
        return sum(caption != caption.decode(errors="ignore").encode() for caption in captions.drop_null().to_pylist())
