"""TensorBoard events of a run in TensorFlow's format: records with checksums, each with an `Event` protocol buffer.

Libraries that write events import TensorFlow, or torch if it is installed, which takes seconds and hundreds of megabytes.
"""

import ctypes
import platform
import re
import struct
import time
from collections.abc import Mapping
from pathlib import Path

from cliptail_jax.host.errors import reason_of
from cliptail_jax.host.files import append_bytes
from cliptail_jax.runs.console import log_line

WRITE_SECONDS = 30.0  # between two writes to the file
FILE_VERSION, SUMMARY, SESSION_LOG = 3, 5, 7  # fields of an Event
START = b"\x08\x01"  # of a SessionLog


class Events:
    """Writes scalars. If they cannot be written, the run continues.

    TensorBoard hides events of earlier sessions from `first_step` on.
    """

    def __init__(self, folder: Path, first_step: int):
        self._path: Path | None = folder / f"events.out.tfevents.{time.time():.6f}.{platform.node()}"
        self._buffer = record(event(FILE_VERSION, b"brain.Event:2")) + record(event(SESSION_LOG, START, first_step))
        self._write()

    def add(self, values: Mapping[str, float], step: int) -> None:
        self._buffer += record(event(SUMMARY, b"".join(field(1, scalar(*item)) for item in values.items()), step))
        if time.monotonic() - self._write_time > WRITE_SECONDS:
            self._write()

    def close(self) -> None:
        self._write()

    def _write(self) -> None:
        """Append the buffer to the file. After an error, nothing is written any more."""
        try:
            if self._path:
                append_bytes(self._path, self._buffer)
        except Exception as error:  # an error of the file system or the bucket
            note = f"no TensorBoard events in {self._path.parent} ({reason_of(error)}); metrics.jsonl has their values"
            log_line(f"note: {note}")
            self._path = None
        self._buffer, self._write_time = b"", time.monotonic()


def record(content: bytes) -> bytes:
    """A record of a TFRecord file."""
    length = struct.pack("<Q", len(content))
    return length + masked_crc32c(length) + content + masked_crc32c(content)


def event(number: int, content: bytes, step: int = 0) -> bytes:
    """An `Event` with the present time, a step, and a field of this number."""
    return b"\x09" + struct.pack("<d", time.time()) + b"\x10" + varint(step) + field(number, content)


def scalar(name: str, value: float) -> bytes:
    """A `Summary.Value`. As in TensorFlow, characters such as ':' in names are replaced."""
    return field(1, re.sub(r"[^-/\w.]", "_", name).encode()) + b"\x15" + bytes(ctypes.c_float(value))


def field(number: int, content: bytes) -> bytes:
    """A field of a protocol buffer that contains bytes, text or another protocol buffer."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(number: int) -> bytes:
    """A non-negative integer in groups of seven bits, the lowest first; all but the last have the eighth bit set."""
    groups = [number >> shift & 0x7F for shift in range(0, max(number.bit_length(), 1), 7)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def masked_crc32c(content: bytes) -> bytes:
    """The checksum of TFRecord files: CRC-32C, rotated and shifted by a constant."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = crc >> 8 ^ CRC32C[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def crc32c_of_byte(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (byte & 1) * 0x82F63B78
    return byte


CRC32C = [crc32c_of_byte(byte) for byte in range(256)]
