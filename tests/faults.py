"""A disk that fails, or a program that dies, at the k-th change of a file below a folder.

Python's own calls are counted: opening for writing, each write, rename, unlink, mkdir and fsync. The native writes of
TensorStore and ArrayRecord are not, but those around them are.
"""

import builtins
import contextlib
import errno
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path

KINDS = ("kill", "full", "error")


class Killed(BaseException):
    """Stands for SIGKILL: from the k-th change on, every further one raises it again, in every thread."""


class Disk:
    """Counts changes below `root`; the one of number `at` fails as `kind` says, and with it all later ones but for "error".

    A write that fails has written half of its data.
    """

    def __init__(self, root: Path, at: int = 0, kind: str = "error"):
        self.root, self.at, self.kind = str(root), at, kind
        self.changes = 0
        self._lock = threading.Lock()

    def touches(self, path) -> bool:
        return isinstance(path, str | os.PathLike) and os.path.abspath(os.fspath(path)).startswith(self.root)

    def fault(self, frees: bool = False) -> BaseException | None:
        """The fault of the next change. `frees` says that it needs no space."""
        with self._lock:
            self.changes += 1
            due = self.at and self.changes == self.at
            later = self.at and self.changes > self.at
        if self.kind == "kill" and (due or later):
            return Killed()
        if self.kind == "full" and (due or later) and not frees:
            return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.kind == "error" and due:
            return OSError(errno.EIO, os.strerror(errno.EIO))
        return None

    def check(self, frees: bool = False) -> None:
        if fault := self.fault(frees):
            raise fault

    @contextlib.contextmanager
    def installed(self) -> Iterator["Disk"]:
        """Python's calls go through this disk."""
        originals = {name: getattr(os, name) for name in ("replace", "rename", "unlink", "remove", "mkdir", "fsync")}
        open_file = builtins.open

        def opened(file, mode="r", *args, **kwargs):
            if not (set("wax+") & set(mode) and self.touches(file)):
                return open_file(file, mode, *args, **kwargs)
            self.check()
            return _File(self, open_file(file, mode, *args, **kwargs))

        def counted(name):
            def call(path, *args, **kwargs):
                if name == "fsync" or self.touches(path):
                    self.check(frees=name in ("unlink", "remove", "replace", "rename"))
                return originals[name](path, *args, **kwargs)

            return call

        for name in originals:
            setattr(os, name, counted(name))
        builtins.open = io.open = opened
        try:
            yield self
        finally:
            for name, original in originals.items():
                setattr(os, name, original)
            builtins.open = io.open = open_file


class _File:
    """A file whose writes are counted."""

    def __init__(self, disk: Disk, file):
        self._disk, self._file = disk, file

    def __getattr__(self, name: str):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self._file.close()

    def __iter__(self):
        return iter(self._file)

    def write(self, data) -> int:
        if fault := self._disk.fault():
            self._file.write(data[: len(data) // 2])
            self._file.flush()
            raise fault
        return self._file.write(data)

    def writelines(self, lines) -> None:
        for line in lines:
            self.write(line)
