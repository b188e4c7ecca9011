"""The variance between seeds in published results, for studies of one seed or mirrored pair."""

from collections.abc import Iterable, Mapping
from typing import TypedDict

from cliptail_jax.config.files import find_results
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import read_json
from cliptail_jax.metrics.seeds import SeedVariance
from cliptail_jax.results.claims import Claim
from cliptail_jax.results.study import Borrowed


class StoredVariances(TypedDict, total=False):
    """The part of report.json with the variances. Earlier versions did not write it."""

    variances: Mapping[str, tuple[float, float, float]]


def borrow_variances(name: str, claims: Iterable[Claim]) -> Borrowed:
    """The variances between seeds of the claims' measures, from the results `name`: published ones, or a report.json.

    A study's config should name results on the same data set and with the same recipe; this is not checked.

    Raises UserError if there are no such results, or if they lack two kinds of runs that have several seeds or pairs.
    """
    measures = {claim.quantity for claim in claims}
    numbers = read_json(find_results(name), StoredVariances).get("variances", {})
    variances = {key: SeedVariance(*variance) for key, variance in numbers.items() if key in measures}
    if not variances:
        raise UserError(
            f"variances_from='{name}': these results have no two kinds of runs with several seeds or pairs: leave it out"
        )
    return Borrowed(name, variances)
