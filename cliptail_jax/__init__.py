"""A laboratory to find out why CLIP is robust to long-tailed pre-training data."""

import importlib
import sys
from typing import Any

# Public functions by name, with their modules; imported on first use, so that programs that print their help start fast.
_MODULES = {"load_results": "results.frames", "measure": "predictions.measured"}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    if name == "__version__":
        from importlib.metadata import version  # slow to import

        return version("cliptail_jax")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


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
