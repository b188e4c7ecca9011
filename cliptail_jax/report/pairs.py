"""The paired differences of any two kinds of runs, with intervals as of claims."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

from cliptail_jax.claims.testing import compare, scaled, variances_of_kinds
from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.bootstrap import Bootstrapped, Estimate, difference
from cliptail_jax.metrics.measures import Measure, main_measures
from cliptail_jax.metrics.seeds import mean_over_seeds, pooled_variance
from cliptail_jax.report.comparison import ComparedGroup
from cliptail_jax.report.layout import cell
from cliptail_jax.results.claims import Claim
from cliptail_jax.results.run import Run
from cliptail_jax.runs.console import with_bar

MAX_KINDS = 30  # 435 pairs, which are computed in seconds and take 0.4 MB
HEADER = ["a", "b", "measure", "difference", "low", "high"]


def pair_measures() -> list[Measure]:
    """The measures in which two kinds are compared."""
    return [measure for measure in main_measures() if measure.statistic]


def differences(kinds: Sequence[ComparedGroup]) -> list[list[Any]]:
    """The difference a − b of each two kinds in each measure with its 95 % interval, as rows of HEADER.

    A measure that cannot be compared between two kinds has no row. Beyond MAX_KINDS kinds there are none.
    """
    if len(kinds) > MAX_KINDS:
        return []
    replicates = finished_replicates(kinds)
    variances = {measure.key: variances_of_kinds(replicates, measure.key) for measure in pair_measures()}
    at_chance = {kind.name for kind in kinds if kind.chance_note()}
    rows = []
    for first, other in with_bar([*itertools.combinations(kinds, 2)], "comparing", "pairs of runs"):
        a, b, study = first.name, other.name, {peer.name for peer in first.peers}
        study = study if b in study else set()
        for measure in pair_measures():
            if by_replicate := paired(measure, a, b, replicates, max(first.size, other.size)):
                study_variances = {name: variance for name, variance in variances[measure.key].items() if name in study}
                variance = None
                if not at_chance & {a, b}:
                    variance = pooled_variance(study_variances, {a: 1, b: -1})
                    if not variance and len(by_replicate) == 1 and study and measure.key in first.borrowed:
                        variance = scaled(first.borrowed[measure.key], 2)
                rows.append([a, b, measure.title, *mean_over_seeds(by_replicate, variance)[:3]])
    return rows


def texts_of(rows: Sequence[Sequence[Any]]) -> dict[str, dict[str, list[str]]]:
    """The differences a − b and b − a of `differences` with their intervals, as texts by a and b, in the order of `pair_measures`."""
    estimates: dict[tuple[str, str], dict[str, Estimate]] = {}
    for a, b, title, value, low, high in rows:
        estimates.setdefault((a, b), {})[title] = Estimate(value, low, high)
        estimates.setdefault((b, a), {})[title] = Estimate(-value, -high, -low)
    texts: dict[str, dict[str, list[str]]] = {}
    for (a, b), by_title in estimates.items():
        cells = [
            cell(estimate.value, measure.format, estimate[1:3]).text
            for measure in pair_measures()
            for estimate in [by_title.get(measure.title, Estimate(math.nan))]
        ]
        texts.setdefault(a, {})[b] = cells
    return texts


def finished_replicates(kinds: Sequence[ComparedGroup]) -> list[list[dict[str, Run]]]:
    """The finished runs of each seed or mirrored pair: for each of its directories, by the name of their kind."""
    replicates: dict[str, dict[str, dict[str, Run]]] = {}
    for kind in kinds:
        for run in filter(lambda run: run.is_finished, kind.runs):
            directories = replicates.setdefault(run.replicate, {})
            directories.setdefault(run.seed, {})[kind.name] = run
    return [list(directories.values()) for directories in replicates.values()]


def paired(
    measure: Measure, a: str, b: str, replicates: Sequence[Sequence[dict[str, Run]]], size: int
) -> list[Bootstrapped]:
    """The difference of each seed, or mirrored pair of `size` 2, that is complete and for which it is defined."""
    claim, differences = Claim("", measure.key, a, b), []
    for replicate in replicates:
        directories = [runs for runs in replicate if a in runs or b in runs]
        if len(directories) == size:
            try:
                differences.append(difference(*compare(claim, directories)))
            except UserError:  # a run of it is missing, or the measure is undefined
                continue
    return differences
