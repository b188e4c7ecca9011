"""Encodes the images of a data set again while it is built."""

import concurrent.futures
import itertools
from collections.abc import Iterable, Iterator

from cliptail_jax.formats.reencoding import Reencoding
from cliptail_jax.host.cores import usable_cores
from cliptail_jax.host.errors import UserError

CHUNK = 256  # images that are encoded again together


def read_reencoding(short_side: str | int, quality: str | int) -> Reencoding | None:
    """Reads the options of the command line; None if images stay as they are. Raises UserError for impossible values."""
    if not short_side:
        if quality:
            raise UserError("--quality is that of the JPEGs that --short_side writes: give --short_side, too")
        return None
    for name, value, maximum in (("short_side", short_side, 1 << 16), ("quality", quality or 90, 100)):
        if not str(value).isdecimal() or not 1 <= int(value) <= maximum:
            raise UserError(f"--{name}={value} is not a whole number from 1 to {maximum:,}")
    return Reencoding(int(short_side), int(quality or 90))


def reencoded(examples: Iterable[dict], reencoding: Reencoding) -> Iterator[dict]:
    """The examples, in order, with smaller images, encoded on all cores in chunks."""
    examples = iter(examples)
    with concurrent.futures.ThreadPoolExecutor(usable_cores()) as pool:
        while chunk := list(itertools.islice(examples, CHUNK)):
            for example, image in zip(chunk, pool.map(reencoding, [example["image"] for example in chunk])):
                yield example | {"image": image}
