"""User errors: the exception, and how command lines report it."""

import argparse
import difflib
import errno
import functools
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence

from cliptail_jax.host.printing import checked_output, one_line

EMPTY = re.compile(r"--?[\w-]+=")  # a flag without a value
Failures = dict[str, str]  # reasons, by what failed


class UserError(Exception):
    """A mistake in a config, a path or the data. Its message is one line that names the thing and the remedy."""


def did_you_mean(name: str, names: Iterable[str], cutoff: float = 0.6) -> str:
    """' (did you mean A or B?)' with the names that are similar to `name`, or ''; to append to a message."""
    similar_names = difflib.get_close_matches(name, list(names), cutoff=cutoff)
    return f" (did you mean {' or '.join(similar_names)}?)" if similar_names else ""


def renaming_error(old_name: str, new_name: str) -> UserError:
    """The error for the earlier name of a flag or a config field."""
    return UserError(f"{old_name} is now {new_name}: use that name")


def refuse_renamed(parser: argparse.ArgumentParser, old_flag: str, new_flag: str) -> None:
    """Make a command line refuse the earlier name of a flag, with the new one."""

    class Refuse(argparse.Action):
        def __call__(self, *_: object) -> None:
            raise renaming_error(old_flag, new_flag)

    parser.add_argument(old_flag, action=Refuse, help=argparse.SUPPRESS)


# Errors of the file system that a user can fix.
STORAGE = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.ENAMETOOLONG,
)
OTHER_KIND = (errno.EISDIR, errno.ENOTDIR, errno.EEXIST)  # a folder in place of a file, or a file in place of a folder
# Errors of the network. They end a program that writes to a bucket after its libraries have retried for a while.
NETWORK = (errno.ECONNREFUSED, errno.ECONNRESET, errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH)
BUCKET = re.compile(r"Error (?:reading|writing|deleting|listing) \S*gs://|gs://.*HTTP response code")  # TensorStore's


def storage_problem(error: BaseException) -> str:
    """The error of the file system or bucket that caused `error`, or '' if none did.

    For example 'No space left on device: runs/clip/config.json'. Libraries raise their own exceptions from such an error,
    or quote its message.
    """
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        if isinstance(error, OSError) and error.errno in (*STORAGE, *OTHER_KIND):
            return error.strerror + (f": {error.filename}" if error.filename else "")
        if isinstance(error, OSError) and error.errno in NETWORK:
            return f"the bucket cannot be reached: {first_line(error)}"
        if type(error).__module__.startswith("gcsfs") or BUCKET.search(str(error)):
            return f"the bucket answers with an error: {first_line(error)}"
        error = error.__cause__ or error.__context__
    reasons = [os.strerror(number) for number in STORAGE if any(os.strerror(number) in str(e) for e in chain)]
    return reasons[0] if reasons else ""


def reason_of(error: Exception) -> str:
    """A user error's message, or the type of another error and the first line of its message."""
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}".splitlines()[0]


def first_line(error: BaseException) -> str:
    """The first 300 characters of the first line of an error's message, or the error's type without one."""
    return next(iter(str(error).splitlines()), type(error).__name__)[:300]


DEVICE_MEMORY = (
    "the devices' memory is exhausted: lower batch_size or eval.batch_size, or set accumulate_steps, model.remat='blocks' or "
    "mesh.fsdp (cliptail plan shows what fits)"
)


def memory_problem(error: BaseException, has_config: bool = True) -> str:
    """A line on exhausted memory or a killed worker, with the remedy, else ''.

    `has_config` is whether the program has a config, whose fields the remedy names.
    """
    if isinstance(error, MemoryError):
        if has_config:
            return "the machine's memory is exhausted: lower batch_size or data.workers, or set data.cache=False"
        return (
            f"the machine's memory is exhausted ({first_line(error)}): end other programs, or use a machine with more"
        )
    if "Worker process was terminated unexpectedly" in str(error):  # a message of Grain
        return "a process that loads images was killed, perhaps because memory is short: then lower data.workers"
    if is_shared_memory_gone(error):
        return "another program has removed the shared memory (/dev/shm) of the processes that load images"
    if "RESOURCE_EXHAUSTED" in str(error) or "Out of memory" in str(error):
        return DEVICE_MEMORY if has_config else "the devices' memory is exhausted: lower --batch_size, or use others"
    return ""


def is_shared_memory_gone(error: BaseException | None) -> bool:
    """Whether an error reports that a block of Python's shared memory no longer exists."""
    return isinstance(error, FileNotFoundError) and str(error.filename).startswith("/psm_")


def problem(error: BaseException, has_config: bool = True) -> str:
    """A line for an error of the machine that a user can fix, else ''. `has_config` is as for `memory_problem`."""
    return storage_problem(error) or memory_problem(error, has_config)


def exit_status(run: Callable[[], None], has_config: bool = True) -> int:
    """Runs a program, and returns its exit status.

    A `UserError`, or an error of the machine, is printed to stderr as one line, `error: ...`, and gives status 2. Ctrl-C gives
    status 130 and the line `interrupted`. `has_config` is as for `memory_problem`.
    """
    try:
        run()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if not (line := str(error) if isinstance(error, UserError) else problem(error, has_config)):
            raise
        print(f"error: {one_line(line)}", file=sys.stderr)
        return 2
    return 0


def command_line(main: Callable[[list[str]], None]) -> Callable[[list[str]], int]:
    """Decorates a program that takes command-line arguments so that it returns its `exit_status`."""

    @functools.wraps(main)
    @checked_output()
    def with_exit_status(arguments: list[str]) -> int:
        def run() -> None:
            check_not_empty(arguments)
            main(arguments)

        return exit_status(run, has_config=False)

    return with_exit_status


def check_not_empty(arguments: Sequence[str]) -> None:
    """Raises UserError if a flag's value is empty, except for fields of a config. Arguments after '--' are not checked."""
    own_arguments = arguments[: arguments.index("--")] if "--" in arguments else arguments
    for previous, argument in zip(["", *own_arguments], own_arguments):
        flag = argument.removesuffix("=") if EMPTY.fullmatch(argument) else previous
        if (flag != previous or not argument) and not flag.startswith("--config"):
            subject = flag if flag.startswith("-") and "=" not in flag else "an argument"
            raise UserError(f"{subject} is empty: is a variable of the shell empty? Give a value, or leave it out")
