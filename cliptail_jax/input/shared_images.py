"""Decoded images in memory that worker processes share."""

import functools
import os
from collections.abc import Iterable

import numpy as np
from jaxtyping import UInt8

from cliptail_jax.images.decoding import RgbImage

_UNKNOWN, _DECODED, _UNREADABLE = range(3)


class SharedImages:
    """A mapping, shared by all processes, from records to decoded images; None for an unreadable image.

    A pickled copy refers to the memory of the process that made it. The memory is freed when the last process ends, however
    it ends. Each process keeps images of another shape than `shape` for itself. Linux only.
    """

    def __init__(self, records: int, shape: tuple[int, int, int]):
        self._records, self._shape = records, shape
        self._own: dict[int, RgbImage] = {}
        self._file = os.memfd_create("decoded images")
        os.ftruncate(self._file, records * (1 + int(np.prod(shape))))
        self._path = f"/proc/{os.getpid()}/fd/{self._file}"

    def __getstate__(self) -> dict:
        return {"_records": self._records, "_shape": self._shape, "_own": {}, "_path": self._path}

    @functools.cached_property
    def _memory(self) -> tuple[UInt8[np.ndarray, " record"], UInt8[np.ndarray, "record height width 3"]]:
        """The states of the records, and their images."""
        memory = np.memmap(self._path, np.uint8, "r+")
        return memory[: self._records], memory[self._records :].reshape(self._records, *self._shape)

    def __contains__(self, record: int) -> bool:
        return self._memory[0][record] != _UNKNOWN or record in self._own

    def __getitem__(self, record: int) -> RgbImage | None:
        states, images = self._memory
        if states[record] == _DECODED:
            return images[record]
        return self._own.get(record)

    def update(self, images: Iterable[tuple[int, UInt8[np.ndarray, "_ _ 3"] | None]]) -> None:
        states, shared = self._memory
        for record, image in images:
            if image is None:
                states[record] = _UNREADABLE
            elif image.shape == self._shape:
                shared[record] = image
                states[record] = _DECODED  # from now on, other processes take it
            else:
                self._own[record] = image
