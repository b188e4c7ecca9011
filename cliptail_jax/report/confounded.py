"""Lines on compared runs that differ in several controlled factors, so that their difference has no single cause."""

from collections.abc import Iterable, Mapping, Sequence

from cliptail_jax.host.text import shortened_list
from cliptail_jax.report.findings import and_list
from cliptail_jax.results.group import RunGroup
from cliptail_jax.results.run import Run
from cliptail_jax.results.study import Study

MAX_LINES = MAX_PAIRS = 3  # pairs of each line
Pair = tuple[str, str]  # of names of kinds of runs


def confounded(groups: Sequence[RunGroup], pairs: Iterable[Pair]) -> list[str]:
    """A line for each set of several factors, with the pairs that differ in them."""
    by_factors: dict[str, list[str]] = {}
    for (a, b), factors in several_factors(groups, pairs).items():
        by_factors.setdefault(factors, []).append(f"{a} and {b}")
    lines = [
        f"confounded: {shortened_list(names, MAX_PAIRS, 'pairs')} differ in {factors}"
        for factors, names in by_factors.items()
    ]
    number = sum(map(len, list(by_factors.values())[MAX_LINES:]))
    rest = [f"confounded: {number} more pairs, as the configs of their runs show"] if number else []
    return [*lines[:MAX_LINES], *rest]


def several_factors(groups: Sequence[RunGroup], pairs: Iterable[Pair]) -> dict[Pair, str]:
    """The factors of each pair that differs in several, in words.

    Pairs with a kind that has no run, or no known recipe, such as published models and predictions, are left out.
    """
    runs = {group.name: group.runs for group in groups if group.runs and has_recipe(group.runs[0])}
    pairs = {frozenset(pair): pair for pair in pairs if runs.keys() >= {*pair}}.values()
    factors = {(a, b): factors_of(runs[a], runs[b]) for a, b in pairs}
    return {pair: and_list(names_of(fields)) for pair, fields in factors.items() if len(fields) > 1}


def has_recipe(run: Run) -> bool:
    return not run.is_published and "total_epochs" in run.config and isinstance(run.config.get("objective"), str)


def factors_of(runs: Sequence[Run], other_runs: Sequence[Run]) -> dict[str, list[str]]:
    """The factors in which two kinds differ, in their runs of a seed that both have, or else in their first runs."""
    from cliptail_jax.objectives.factors import factors_between  # imports JAX, which pages on predictions do not need

    by_seed = {run.seed: run for run in reversed(other_runs)}  # the first one, where runs have no seed
    a, b = next(((run, by_seed[run.seed]) for run in runs if run.seed in by_seed), (runs[0], other_runs[0]))
    return factors_between(a.config, b.config, equal_records=bool(a.images) and a.images == b.images)


def names_of(factors: Mapping[str, Sequence[str]]) -> list[str]:
    """The names of the factors' fields; the objective, which has many fields, has its own name."""
    from cliptail_jax.objectives.factors import OBJECTIVE

    return [name for factor, fields in factors.items() for name in ([factor] if factor == OBJECTIVE else fields)]


def compared_pairs(study: Study) -> list[Pair]:
    """The pairs of runs that a study compares: with its baseline, if it has one, and in its claims."""
    pairs: list[Pair] = [(name, study.baseline) for name in study.runs if study.baseline not in ("", name)]
    for claim in study.claims.values():
        pairs += [
            (claim.higher, claim.lower),
            *([tuple(claim.reference)] if claim.reference and not claim.study else []),
        ]
    return [pair for pair in pairs if all(isinstance(name, str) for name in pair)]
