"""Lines on how much losses favour frequent classes: that of a single run, and kinds that favour them almost equally."""

import contextlib
import itertools
from collections.abc import Sequence

import numpy as np

from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.effective_prior import SL_PER_DECADE, per_decade
from cliptail_jax.report.confounded import has_recipe
from cliptail_jax.results.group import RunGroup
from cliptail_jax.results.run import Run

CLOSE = 0.05  # of SL's slope
MAX_LINES = 3
# Frequencies over seven decades. Kinds that favour classes equally also on these, such as SL with two optimizers, have one loss.
OTHER_DATA = 10 ** np.arange(7)


def own_prior(group: RunGroup) -> list[str]:
    """A sentence on how much the loss of a single run favours frequent classes, and how to subtract that; none if it is unknown."""
    run = group.runs[0]
    if not has_recipe(run) or run.class_frequency is None or np.count_nonzero(run.class_frequency) < 2:
        return []
    from cliptail_jax.objectives import prior_of_run  # imports JAX, which pages on predictions do not need

    frequency = run.class_frequency[run.class_frequency > 0]
    try:
        slope = per_decade(prior_of_run(run)(frequency), frequency)
    except UserError:
        return []
    if is_without_prior(run):
        return [
            f"Its logits are evaluated minus the effective log-prior of its loss, {slope:.2f} per decade (SL: {SL_PER_DECADE:.2f})."
        ]
    if not slope >= CLOSE * SL_PER_DECADE:
        return ["Its loss favours no class: bias that remains is that of few images."] if slope > -CLOSE else []
    return [
        f"Its loss favours frequent classes by {slope:.2f} per decade (effective log-prior; SL: {SL_PER_DECADE:.2f}): "
        f"cliptail evaluate --workdir={run.workdir} --config.eval.without_prior subtracts that, without training."
    ]


def is_without_prior(run: Run) -> bool:
    """Whether the latest evaluation on the main set subtracted the effective log-prior of the run's loss."""
    return bool(run.summary.get("settings", {}).get("without_prior"))


def partly_without_prior(groups: Sequence[RunGroup]) -> list[str]:
    """A line on the kinds that subtract the log-prior of the loss in the evaluation of some of their runs only."""
    names = [group.name for group in groups if len({is_without_prior(run) for run in group.runs if run.summary}) > 1]
    if not names:
        return []
    verb = "is" if len(names) == 1 else "are"
    return [
        f"evaluated differently: {', '.join(names)} {verb} evaluated minus the log-prior of the loss in some runs, and not in others: evaluate "
        "all in the same way (cliptail evaluate, with or without --config.eval.without_prior)"
    ]


def close_priors(groups: Sequence[RunGroup]) -> list[str]:
    """A line for each pair of kinds whose effective log-priors differ in general, but hardly on the data of their first runs."""
    first_runs = {group.name: group.runs[0] for group in groups if group.runs}
    runs = {name: run for name, run in first_runs.items() if has_recipe(run) and run.class_frequency is not None}
    if len(runs) < 2:
        return []
    from cliptail_jax.objectives import prior_of_run  # imports JAX, which pages on predictions do not need

    slopes, priors_elsewhere = {}, {}
    for name, run in runs.items():
        frequency = run.class_frequency[run.class_frequency > 0]
        with contextlib.suppress(UserError):  # it is not known
            psi, elsewhere = map(prior_of_run(run), (frequency, OTHER_DATA))
            slopes[name], priors_elsewhere[name] = per_decade(psi, frequency), elsewhere - elsewhere.mean()
    pairs = [
        (a, b)
        for a, b in itertools.combinations(slopes, 2)
        if abs(slopes[a] - slopes[b]) < CLOSE * SL_PER_DECADE
        and not np.allclose(priors_elsewhere[a], priors_elsewhere[b])
    ]
    lines = [
        f"nearly the same loss: on these data, {a} and {b} favour frequent classes almost equally, by {slopes[a]:.2f} and "
        f"{slopes[b]:.2f} per decade (effective log-prior), so their biases can hardly differ"
        for a, b in pairs[:MAX_LINES]
    ]
    number = len(pairs) - MAX_LINES
    return [*lines, *([f"nearly the same loss: {number} more pairs of kinds"] if number > 0 else [])]
