"""Arrays from what users give."""

from typing import Any

import numpy as np

from cliptail_jax.host.errors import UserError, first_line


def as_array(name: str, values: Any) -> np.ndarray:
    """The values as an array. Raises UserError for lists of different lengths, and for tensors that NumPy cannot read."""
    try:
        return np.asarray(values)
    except ValueError:
        raise UserError(f"{name} have different numbers of values by example: give one of each") from None
    except (TypeError, RuntimeError) as error:  # of PyTorch, for tensors of bfloat16, with gradients or on GPUs
        remedy = "give an array of NumPy, as tensor.detach().float().cpu().numpy()"
        raise UserError(f"{name} cannot be read as an array ({first_line(error)}): {remedy}") from None
