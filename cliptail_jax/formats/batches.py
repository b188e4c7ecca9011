"""Captions of any kind as Arrow arrays of bounded size."""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from cliptail_jax.host.errors import UserError

MAX_CAPTIONS = 1 << 16
MAX_BYTES = 1 << 23  # unless a single caption has more

CaptionColumn = Iterable[str | bytes | None] | pa.Array | pa.ChunkedArray


def batches_of(captions: CaptionColumn) -> Iterator[pa.LargeBinaryArray]:
    """Splits captions into batches in UTF-8, in order.

    Args:
        captions: a list, an Arrow array or chunked array, or a NumPy, Pandas or Polars column; None, null and nan are
            missing captions.

    Raises:
        UserError: The captions are not text.
    """
    for chunk in arrow_chunks(captions):
        yield from bounded(as_bytes(chunk))


def arrow_chunks(captions: CaptionColumn) -> list[pa.Array]:
    if isinstance(captions, str | bytes):
        raise UserError("captions must be a column of texts, not one text")
    if isinstance(captions, pa.Array):
        return [captions]
    captions = captions if hasattr(captions, "__len__") else list(captions)
    try:
        if hasattr(captions, "__arrow_c_stream__"):  # a chunked array, Pandas or Polars
            return pa.chunked_array(captions).chunks
        return [pa.array(captions, pa.large_binary(), from_pandas=True)]
    except UnicodeEncodeError:
        contents = [encode(text) if isinstance(text, str) else text for text in captions]
        return [pa.array(contents, pa.large_binary(), from_pandas=True)]
    except (pa.ArrowTypeError, pa.ArrowInvalid) as error:
        raise UserError(f"captions must be texts: {error}") from error


def encode(text: str) -> bytes:
    """Encodes a text in UTF-8. Bytes that were not UTF-8 are restored; other surrogates become any bytes."""
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return text.encode(errors="surrogatepass")


def is_text(type: pa.DataType) -> bool:
    kinds = "null", "string", "large_string", "string_view", "binary", "large_binary", "binary_view"
    return is_text(type.value_type) if pa.types.is_dictionary(type) else str(type) in kinds


def as_bytes(texts: pa.Array) -> pa.LargeBinaryArray:
    """Casts an array of any text type to large_binary. Raises UserError for other types."""
    if not is_text(texts.type):
        raise UserError(f"captions must be texts, not {texts.type}")
    if pa.types.is_dictionary(texts.type):
        texts = texts.dictionary.cast(pa.large_binary()).take(texts.indices)
    return texts.cast(pa.large_binary())


def bounded(captions: pa.LargeBinaryArray) -> Iterator[pa.LargeBinaryArray]:
    """Cuts an array into slices of at most `MAX_CAPTIONS` captions and, if possible, `MAX_BYTES` bytes."""
    ends = offsets_of(captions)[1:]
    begin = 0
    while begin < len(captions):
        limit = offsets_of(captions)[begin] + MAX_BYTES
        end = min(begin + MAX_CAPTIONS, int(np.searchsorted(ends, limit, side="right")))
        end = max(end, begin + 1)
        yield captions.slice(begin, end - begin)
        begin = end


def offsets_of(captions: pa.LargeBinaryArray) -> Int[np.ndarray, " {len(captions)+1}"]:
    """The positions in the buffer of a non-empty array at which its captions begin, and the end of the last one."""
    return np.frombuffer(captions.buffers()[1], np.int64, len(captions) + 1, 8 * captions.offset)
