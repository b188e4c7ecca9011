"""A laboratory to find out why CLIP is robust to long-tailed pre-training data."""

import sys
from typing import Any


def __getattr__(name: str) -> Any:
    if name == "load_results":
        from cliptail_jax.results.frames import load_results  # slow to import

        return load_results
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version  # slow to import

    return version("cliptail_jax")


def prepare_program() -> None:
    """Prepare the process of a program, before its slow imports."""
    from cliptail_jax.host.memory import keep_freed_memory
    from cliptail_jax.interrupts import exit_on_signal

    exit_on_signal()
    keep_freed_memory()
    if sys.stdout is not None:
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr, for characters that the encoding lacks


if sys.argv[:1] == ["-m"]:  # as it is while Python looks for the program `cliptail_jax.NAME`
    prepare_program()
