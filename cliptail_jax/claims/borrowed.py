"""The variance between seeds in published results, for studies of one seed or mirrored pair."""

from collections.abc import Mapping
from typing import NamedTuple, TypedDict

from cliptail_jax.config.files import find_results
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import read_json
from cliptail_jax.metrics.seeds import SeedVariance


class StoredVariances(TypedDict, total=False):
    """The part of report.json with the variances. Earlier versions did not write it."""

    variances: Mapping[str, tuple[float, float, float]]


class Borrowed(NamedTuple):
    """The variances between seeds of a run, or mirrored pair, in published results: means over their kinds of runs.

    Attributes:
        study: the name of the results.
        variances: the variances by `Claim.quantity`.
    """

    study: str
    variances: Mapping[str, SeedVariance]


def borrow_variances(name: str) -> Borrowed:
    """The variances between seeds from the results `name`: published ones, or a report.json.

    A study states the name only, so that its claims are tested with the variances that these results have now. Its config should
    name results on the same data set and with the same recipe; this is not checked.

    Raises UserError if there are no such results, or if they lack two kinds of runs that have several seeds or pairs.
    """
    numbers = read_json(find_results(name), StoredVariances).get("variances", {})
    if not numbers:
        raise UserError(
            f"variances_from='{name}': these results have no two kinds of runs with several seeds or pairs: leave it out"
        )
    return Borrowed(name, {key: SeedVariance(*variance) for key, variance in numbers.items()})
