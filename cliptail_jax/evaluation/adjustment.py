"""Adjusts logits for class frequency after training (Menon et al. 2021, arXiv 2007.07314).

A class's prior π is its share of the training images, or is estimated from the model's predictions.
"""

import numpy as np
from jaxtyping import Float, Int
from ml_collections import ConfigDict

from cliptail_jax.errors import UserError
from cliptail_jax.metrics import imbalance


def log_prior(frequency: Int[np.ndarray, " class"]) -> Float[np.ndarray, " class"]:
    """log π of each class, its share of the training images.

    A class without training images counts as one with a single image: log 0 would place it above all others, for any τ.
    """
    return imbalance.log_prior(np.maximum(frequency, 1))


def check_adjustment(options: ConfigDict, name: str, frequency: Int[np.ndarray, " class"] | None, remedy: str) -> None:
    """Raise UserError if logits on the set `name` are to be adjusted for an unknown class frequency.

    Args:
        options: `config.eval`.
        frequency: the frequency of the set's classes.
        remedy: how to provide it, in the imperative.
    """
    if options.logit_adjustment and not options.estimate_prior and frequency is None:
        raise UserError(
            f"eval.logit_adjustment={options.logit_adjustment:g} needs the class frequency of '{name}', which is not known: "
            f"{remedy}, or set eval.estimate_prior"
        )
