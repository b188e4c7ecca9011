"""Locks work directories, so that one program at a time writes to each."""

import contextlib
import errno
import fcntl
import os
import platform
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import is_remote, write_text
from cliptail_jax.runs.console import log_line

FILE, PROCESS = "lock", "process "  # the file's name, and the beginning of its content
NOT_EMPTY = (OSError, ValueError)  # what rmdir raises for such a folder, for paths of pathlib and of etils
BEAT = 10.0  # seconds between two signs of life of the holder of a bucket's lock


class InUseError(UserError):
    """Another program writes to a work directory. `holder` is its process, if known."""

    def __init__(self, message: str, holder: str):
        super().__init__(message)
        self.holder = holder


@contextlib.contextmanager
def sole_writer(workdir: Path) -> Iterator[None]:
    """Lock a work directory until the context or the process ends. All processes of a run share the lock.

    Raises InUseError with the owner's process if another program has the lock.
    """
    import jax  # here, since `sole_process` does not need it

    from cliptail_jax.parallel.distributed import broadcast_from_first

    refusal, holder = "", "another process"
    with contextlib.ExitStack() as stack:
        if jax.process_index() == 0:
            try:
                stack.enter_context(sole_process(workdir))
            except InUseError as error:
                refusal, holder = str(error), error.holder
        if broadcast_from_first(bool(refusal)):
            raise InUseError(refusal or f"{workdir} is refused by the first process", holder)
        yield


@contextlib.contextmanager
def sole_process(folder: Path, flag: str = "--workdir") -> Iterator[None]:
    """Lock the folder that a flag names, for a program of one process. After an error, new folders without results are removed.

    Raises InUseError as `sole_writer` does.
    """
    with (_bucket_lock if is_remote(folder) else _file_lock)(folder / FILE, flag):
        yield


@contextlib.contextmanager
def sole_process_of_file(output: Path) -> Iterator[None]:
    """Lock the file that --output names, by a folder beside it that is removed at the end.

    Raises UserError with the owner's process if another program has the lock.
    """
    folder = output.with_name(f"{output.name}.unfinished")
    try:
        with sole_process(folder, "--output"):
            yield
            (folder / FILE).unlink(missing_ok=True)
            with contextlib.suppress(*NOT_EMPTY):  # it has files of another program
                folder.rmdir()
    except InUseError as error:
        raise UserError(f"{error.holder} writes to {output}: wait until it ends, or choose another --output") from None


@contextlib.contextmanager
def _file_lock(path: Path, flag: str = "--workdir") -> Iterator[None]:
    new_folders = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    # The file stays, since another program may be about to lock it, but for a new folder without results.
    with open(path, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise _in_use_error(path, file.read(), flag) from None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise
            log_line(f"note: the file system of {path.parent} has no locks: see that no other program writes there")
        file.seek(0)
        if (content := file.read()) and not content.startswith(PROCESS):
            refusal = f"{path} exists, and this program did not write it: move it, or choose another {flag}"
            raise InUseError(refusal, "another program")
        file.truncate(0)
        file.write(_holder())
        file.flush()
        try:
            yield
        except BaseException:
            if new_folders and [child.name for child in path.parent.iterdir()] == [path.name]:
                path.unlink()
                with contextlib.suppress(*NOT_EMPTY):  # another program may have written to one of them meanwhile
                    for folder in new_folders:
                        folder.rmdir()
            raise


@contextlib.contextmanager
def _bucket_lock(path: Path, flag: str = "--workdir") -> Iterator[None]:
    """Lock an object of a bucket: its owner writes it again every `BEAT` seconds, so that others see it change."""
    if (old_content := _read(path)) is not None:
        log_line(f"{path} was left by {old_content.splitlines()[0]}: waiting {2.5 * BEAT:.0f} s for a sign of life")
        time.sleep(2.5 * BEAT)
        if _read(path) not in (old_content, None):
            raise _in_use_error(path, old_content, flag)
    end, holder = threading.Event(), _holder()

    def beat() -> None:
        number = 0
        while not end.wait(BEAT):
            number += 1
            with contextlib.suppress(Exception):  # the next beat comes soon
                write_text(path, f"{holder}\n{number}\n")

    write_text(path, f"{holder}\n0\n")
    beats = threading.Thread(target=beat, daemon=True)
    beats.start()
    try:
        yield
    finally:
        end.set()
        beats.join()
        with contextlib.suppress(Exception):  # the bucket may be out of reach
            path.unlink(missing_ok=True)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _holder() -> str:
    return f"{PROCESS}{os.getpid()} on {platform.node()}"


def _in_use_error(path: Path, holder: str, flag: str) -> InUseError:
    owner = holder.splitlines()[0] if holder.strip() else "another process"
    return InUseError(
        f"{path.parent} is in use by {owner}: wait until it ends or stop it, or choose another {flag}", owner
    )
