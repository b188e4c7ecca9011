"""A laboratory to find out why CLIP is robust to long-tailed pre-training data.

`measure` gives the bias of predictions, `open_model` opens a run or a published model, `load_results` reads the results of runs and
studies, and `load_config` gives the config of a run or a study.
"""

import importlib
import sys
from typing import Any

from cliptail_jax.host.compiler import turn_off_faulty_fusions

turn_off_faulty_fusions()

# Public functions by name, with their modules; imported on first use, so that programs that print their help start fast.
_MODULES = {
    "load_config": "config.files",
    "load_results": "results.frames",
    "measure": "predictions.measured",
    "open_model": "pretrained.model",
}
__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    if name == "__version__":
        from importlib.metadata import version  # slow to import

        return version("cliptail_jax")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]


def prepare_program() -> None:
    """Prepare the process of a program, before its slow imports."""
    from cliptail_jax.host.interrupts import exit_on_signal
    from cliptail_jax.host.memory import keep_freed_memory
    from cliptail_jax.host.tpus import leave_out_libtpu

    exit_on_signal()
    keep_freed_memory()
    leave_out_libtpu()
    if sys.stdout is not None:
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr, for characters that the encoding lacks


if sys.argv[:1] == ["-m"]:  # as it is while Python looks for the program `cliptail_jax.NAME`
    prepare_program()
