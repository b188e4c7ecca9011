"""Names the compared runs that differ in more than one controlled factor, whose difference has no single cause."""

from collections.abc import Iterable, Mapping, Sequence

from cliptail_jax.host.text import shortened_list
from cliptail_jax.report.findings import listed
from cliptail_jax.results.group import RunGroup
from cliptail_jax.results.run import Run
from cliptail_jax.results.study import Study

SHOWN = 3  # lines, and pairs in each
Pair = tuple[str, str]  # of names of kinds of runs


def confounded(groups: Sequence[RunGroup], pairs: Iterable[Pair]) -> list[str]:
    """A line for those of the pairs that differ in the same factors, if these are several."""
    found: dict[str, list[str]] = {}
    for (a, b), factors in several_factors(groups, pairs).items():
        found.setdefault(factors, []).append(f"{a} and {b}")
    lines = [f"confounded: {shortened_list(of, SHOWN, 'pairs')} differ in {factors}" for factors, of in found.items()]
    more = sum(map(len, list(found.values())[SHOWN:]))
    return [*lines[:SHOWN], *([f"confounded: {more} more pairs, as the configs of their runs show"] if more else [])]


def several_factors(groups: Sequence[RunGroup], pairs: Iterable[Pair]) -> dict[Pair, str]:
    """The factors in words, by pair, of those of the pairs that differ in several.

    Pairs of which one has no run, or no known recipe, as published models and predictions have none, are left out.
    """
    runs = {group.name: group.runs for group in groups if group.runs and has_recipe(group.runs[0])}
    known = {frozenset(pair): pair for pair in pairs if runs.keys() >= {*pair}}.values()
    factors = {(a, b): factors_of(runs[a], runs[b]) for a, b in known}
    return {pair: listed(named(found)) for pair, found in factors.items() if len(found) > 1}


def has_recipe(run: Run) -> bool:
    return not run.is_published and "total_epochs" in run.config and isinstance(run.config.get("objective"), str)


def factors_of(one: Sequence[Run], other: Sequence[Run]) -> dict[str, list[str]]:
    """The factors in which two kinds differ: their runs of a seed that both have, or else their first ones."""
    from cliptail_jax.objectives.factors import factors_between  # imports JAX, which pages on predictions do not need

    seeds = {run.seed: run for run in reversed(other)}  # the first ones, where runs have no seed
    a, b = next(((run, seeds[run.seed]) for run in one if run.seed in seeds), (one[0], other[0]))
    return factors_between(a.config, b.config, as_many_records=bool(a.images) and a.images == b.images)


def named(factors: Mapping[str, Sequence[str]]) -> list[str]:
    """The fields of the factors; the objective, which has many, without them."""
    from cliptail_jax.objectives.factors import OBJECTIVE

    return [name for factor, fields in factors.items() for name in ([factor] if factor == OBJECTIVE else fields)]


def compared_pairs(study: Study) -> list[Pair]:
    """The pairs of runs that a study compares: with its baseline, if it has one, and in its claims."""
    pairs: list[Pair] = [(name, study.baseline) for name in study.runs if study.baseline not in ("", name)]
    for claim in study.claims.values():
        pairs += [(claim.higher, claim.lower), *([tuple(claim.minus)] if claim.minus and not claim.study else [])]
    return [pair for pair in pairs if all(isinstance(name, str) for name in pair)]
