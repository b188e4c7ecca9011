"""Opens trained models, reads and writes open_clip's format, and accesses the Hugging Face Hub.

`open_model` opens a run, a published model or a folder. This package must not depend on training or on evaluation sets.
"""

import importlib

# Imported on first use, so that programs that only print their help start faster.
_MODULES = {
    "OpenedModel": "opened_model",
    "describe_run": "runs",
    "load": "published_clip",
    "open_model": "model",
    "open_run": "model",
}
__all__ = list(_MODULES)


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(name)
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
