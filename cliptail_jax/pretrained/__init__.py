"""Trained models: one door to a model that exists, open_clip's format in and out, and the Hugging Face Hub.

`open_model` opens a run, a published model or a folder. Nothing here knows of training or of evaluation sets.
"""

__all__ = ["load", "open_model"]


def __getattr__(name: str):
    """Imports the door when it is first used: programs that only print their help do not wait for it."""
    if name not in __all__:
        raise AttributeError(name)
    from cliptail_jax.pretrained import model

    return getattr(model, name)
