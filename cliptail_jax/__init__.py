"""A laboratory to find out why CLIP is robust to long-tailed pre-training data.

`measure` gives the bias of predictions, `adjust` removes that of logits, `forecast` gives that of other losses, by their
`effective_log_prior`. `open_model` opens a run or a published model, `load_results` reads the results of runs and studies, and
`load_config` gives the config of a run or a study. The module `losses` has the losses as functions of JAX.
"""

import importlib
from typing import Any

from cliptail_jax.host.compiler import turn_off_faulty_fusions

turn_off_faulty_fusions()

# Public functions by name, with their modules; imported on first use, so that programs that print their help start fast.
_MODULES = {
    "adjust": "metrics.imbalance",
    "effective_log_prior": "metrics.recipes",
    "forecast": "predictions.forecasts",
    "load_config": "config.files",
    "load_results": "jobs.frames",
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
