"""Errors of the machine that become a line."""

import errno
import os

import pytest

from cliptail_jax.host.errors import UserError, check_not_empty, problem

HAS_NO_CONFIG = "the machine's memory is exhausted (Unable to allocate 80 GB): end other programs"


class HttpError(Exception):
    """As gcsfs raises it."""

    __module__ = "gcsfs.retry"


@pytest.mark.parametrize(
    ("has_config", "line"), [(True, "the machine's memory is exhausted: lower batch_size"), (False, HAS_NO_CONFIG)]
)
def test_the_remedy_for_exhausted_memory_is_one_that_the_program_has(has_config, line):
    assert problem(MemoryError("Unable to allocate 80 GB"), has_config).startswith(line)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["a.csv", "--output="], "--output"),
        (["--output", "", "a.csv"], "--output"),
        (["-workdir="], "-workdir"),
        (["--output=o", ""], "an argument"),
        (["--config.data.class_names="], None),
        (["--config.data.class_names", ""], None),
        (["--workdir=o", "--", "--val-data=", ""], None),
    ],
)
def test_an_empty_argument_is_a_mistake_unless_it_is_a_field_or_another_programs(arguments, name):
    if name is None:
        check_not_empty(arguments)
        return
    with pytest.raises(UserError, match=f"^{name} is empty: is a variable of the shell empty"):
        check_not_empty(arguments)


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a.npy"), "No space left on device: a.npy"),
        (caused(ValueError("a save failed"), OSError(errno.EIO, os.strerror(errno.EIO))), "Input/output error"),
        (IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), "run/lock"), "Is a directory: run/lock"),
        (NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), "run/checkpoints"), "Not a directory: run/ch"),
        (FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), "run/eval"), "File exists: run/eval"),
        (FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "run/lock"), ""),
        (FileNotFoundError(errno.ENOENT, "No such file", "/psm_1f"), "another program has removed the shared memory"),
        (RuntimeError("tensorstore: Error: No space left on device [x]"), "No space left on device"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed"), "the bucket cannot be reached: "),
        (HttpError("Service unavailable, 503\nand more"), "the bucket answers with an error: Service unavailable, 503"),
        (ValueError("Error writing gs://bucket/x: CURL error"), "the bucket answers with an error: Error writing gs"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory"), "the devices' memory is exhausted"),
        (ValueError("a bug"), ""),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), ""),
    ],
)
def test_an_error_of_the_machine_is_a_line_and_one_of_the_program_is_not(error, line):
    found = problem(error)
    assert found.startswith(line) and "\n" not in found and bool(found) == bool(line)
