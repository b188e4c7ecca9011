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
    """The variances in report.json, which earlier versions did not write."""

    variances: Mapping[str, tuple[float, float, float]]


def borrow_variances(name: str, claims: Iterable[Claim]) -> Borrowed:
    """The variances of what the claims measure, in the results `name`: published ones, or a report.json.

    The config of a study names results with its data set and recipe; this is not checked.

    Raises UserError if there are no such results, or none with two kinds of runs that have several seeds or pairs.
    """
    measured = {claim.measured for claim in claims}
    stored = read_json(find_results(name), StoredVariances).get("variances", {})
    if not (known := {key: SeedVariance(*of) for key, of in stored.items() if key in measured}):
        raise UserError(
            f"variances_from='{name}': these results have no two kinds of runs with several seeds or pairs: leave it out"
        )
    return Borrowed(name, known)
