"""Trained models: opening them, reading and writing open_clip's format, and the Hugging Face Hub.

`open_model` opens a run, a published model or a folder. Nothing here depends on training or on evaluation sets.
"""

__all__ = ["load", "open_model"]


def __getattr__(name: str):
    """Imports `model` on first use, so that programs that only print their help start faster."""
    if name not in __all__:
        raise AttributeError(name)
    from cliptail_jax.pretrained import model

    return getattr(model, name)
