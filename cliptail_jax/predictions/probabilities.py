"""Whether the numbers that a model gives to classes are probabilities or logits, by their sums and how they are rounded."""

import math
from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float

from cliptail_jax.host.errors import UserError

NUMBERS_AT_ONCE = 1 << 22  # that are checked
BFLOAT16, FLOAT16 = 8, 11  # significant bits
LARGEST_ROUNDING = 0.05  # of the sum of rounded probabilities: a larger one would change calibration
NEARLY_ONE = 0.5  # numbers from 0 to 1 whose sums differ from 1 by less are hardly logits


def checked_logits(
    path: str, values: Float[np.ndarray, "example class"], must_be_probabilities: bool = False
) -> tuple[Float[np.ndarray, "example class"], bool]:
    """The logits, which are the logarithms of the numbers if these are probabilities, and whether they are.

    Numbers are probabilities if they are not negative and their sums are 1 within rounding. A softmax normalizes them later.

    Raises:
        UserError: there are nan or infinity, or the numbers are no probabilities, but must be or may be meant as such: numbers
            from 0 to 1 that add up to 0.5 to 1.5 may be.
    """
    sums, lowest, highest = np.zeros((3, len(values)))
    for rows in blocks(values):
        block = values[rows]
        highest[rows] = block.max(axis=1)  # nan if any number is nan
        if not np.isfinite(highest[rows]).all():
            row = rows.start + int(np.flatnonzero(~np.isfinite(highest[rows]))[0])
            content = (
                "NaN" if np.isnan(values[row]).any() else "no finite value" if (values[row] < 0).all() else "infinity"
            )
            raise UserError(
                f"{path} has {content} in the logits of example {row:,} (from 0): find out why the model computes it"
            )
        sums[rows], lowest[rows] = block.sum(axis=1, dtype=np.float64), block.min(axis=1)
    errors = np.where(lowest < 0, np.inf, np.abs(sums - 1))
    row = int(errors.argmax())
    if is_rounding(errors[row], values):
        with np.errstate(divide="ignore"):
            return np.log(values.astype(np.result_type(values.dtype, np.float32), copy=False)), True
    if must_be_probabilities:
        raise UserError(
            f"the probabilities of example {row:,} (from 0) of {path} have the sum {sums[row]:.6g} or lie outside of 0 to 1: give "
            "those of a softmax, with enough decimals, or save logits as 'logits'"
        )
    if errors[row] <= NEARLY_ONE and highest.max() <= 1:
        raise UserError(
            f"{path} has numbers from 0 to 1 that add up to {sums.min():.6g} to {sums.max():.6g} by example: divide probabilities by "
            "their sum, or subtract 1 from logits, which changes no softmax"
        )
    return values, False


def is_rounding(error: float, values: Float[np.ndarray, "example class"]) -> bool:
    """Whether sums of probabilities can differ from 1 by `error` because their numbers are rounded.

    Floats explain 2ε, where 1 + ε is the next float after 1, and their sum in 32 bits explains 2⁻²⁴ for each class.
    Numbers with d decimals explain 10⁻ᵈ / 2 for each class, but no more than LARGEST_ROUNDING.
    """
    classes = values.shape[1]
    sum_error, precision = classes * 2.0**-24, max(np.finfo(values.dtype).eps, 2.0**-23)
    if error <= 2 * precision + sum_error:
        return True
    if error > LARGEST_ROUNDING:
        return False
    for bits in (BFLOAT16, FLOAT16):  # the numbers may be saved with more bits than they were computed with
        if error <= 2 * 2.0 ** (1 - bits) + sum_error and are_whole(
            values, lambda block: np.frexp(block)[0] * 2.0**bits, 0
        ):
            return True
    decimals = math.floor(math.log10(classes / (2 * error)) + 1e-6)  # the largest number that explains the error
    return decimals > 0 and are_whole(values, lambda block: block * 10.0**decimals, precision)


def are_whole(
    values: Float[np.ndarray, "example class"], scale: Callable[[np.ndarray], np.ndarray], tolerance: float
) -> bool:
    """Whether `scale` makes all values whole numbers, within a relative error."""
    for rows in blocks(values):
        block = scale(values[rows].astype(np.float64))
        if (np.abs(block - np.rint(block)) > tolerance * block).any():
            return False
    return True


def blocks(values: np.ndarray) -> Iterator[slice]:
    """The rows of an array in blocks of about NUMBERS_AT_ONCE numbers."""
    rows = max(NUMBERS_AT_ONCE // max(values.shape[1], 1), 1)
    return (slice(start, start + rows) for start in range(0, len(values), rows))
