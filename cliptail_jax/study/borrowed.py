"""The variance between seeds in published results, for studies of one seed or mirrored pair."""

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cliptail_jax.config.files import find_archive
from cliptail_jax.errors import UserError
from cliptail_jax.metrics.seeds import pooled_variance
from cliptail_jax.results.archive import unpack
from cliptail_jax.results.claims import Claim
from cliptail_jax.results.directory import read_directory
from cliptail_jax.results.study import Borrowed, by_replicate
from cliptail_jax.results.testing import variances_of_kinds


def borrow_variances(name: str, claims: Mapping[str, Claim]) -> Borrowed:
    """The variances of what the claims measure, in the published results `name`.

    They must have the data set and the recipe of the study, which no one checks: the study's config states it.

    Raises UserError if there are no such results, or none with two kinds of runs that have several seeds or pairs.
    """
    with tempfile.TemporaryDirectory() as folder:
        published = read_directory(unpack(find_archive(name), Path(folder)))
        replicates = by_replicate(published.study, published.runs)
        found = {}
        for claim in claims.values():
            if claim.measured not in found and not claim.at:
                kinds = variances_of_kinds(replicates, claim.statistic, claim.set)
                found[claim.measured] = pooled_variance(kinds, {"a run": 1})
    known = {measured: variance for measured, variance in found.items() if variance and math.isfinite(variance.degrees)}
    if not known:
        raise UserError(
            f"variances_from='{name}': these results have no two kinds of runs with several seeds or pairs: leave it out"
        )
    return Borrowed(name, known)
