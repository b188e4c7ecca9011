"""The results by class of the runs in a directory, for plans of collection."""

from collections.abc import Container, Sequence
from pathlib import Path

import numpy as np

from cliptail_jax.host.errors import UserError, did_you_mean
from cliptail_jax.metrics.collection import RightByClass
from cliptail_jax.metrics.groups import head_mid_tail
from cliptail_jax.metrics.measures import GROUPS
from cliptail_jax.results.directory import read_directory
from cliptail_jax.results.group import RunGroup
from cliptail_jax.results.run import ADJUSTED, WITHOUT_PRIOR, Run
from cliptail_jax.runs.console import log_line


def counts_of(workdir: Path, name: str | None) -> tuple[str, RightByClass]:
    """The name of the runs in a directory, and the means over seeds of their results by class.

    Raises UserError like `runs_of_name`, and if the class frequencies of seeds differ or the runs are at chance.
    """
    name, runs = runs_of_name(workdir, name)
    return name, class_counts(name, runs)


def runs_of_name(workdir: Path, name: str | None) -> tuple[str, list[Run]]:
    """The name of the runs in a directory, and those that have ended; all of them, if none has.

    Predictions that `measure` adjusted are used only if `name` names them, because they are of the same model as the others.

    Raises UserError if there is no such run, or if there are several kinds and `name` is None.
    """
    contents = read_directory(workdir)
    kinds: dict[str, list[Run]] = {}
    for run in contents.runs:
        kinds.setdefault(run.name, []).append(run)
    if contents.problems:
        raise UserError(contents.problems[0])
    if not kinds:
        raise UserError(f"{workdir} contains no run: give the directory of a run or a study as --workdir")
    if name and name not in kinds:
        raise UserError(f"no run is called --runs={name}{did_you_mean(name, kinds)}: there are {', '.join(kinds)}")
    models = [kind for kind, runs in kinds.items() if not (runs[0].is_prediction and is_adjusted(kind, kinds))]
    if not name and len(models) > 1:
        raise UserError(f"{workdir} contains several runs: choose one by --runs=NAME: {', '.join(kinds)}")
    name = name or models[0]
    runs = kinds[name]
    finished_runs = [run for run in runs if run.is_finished]
    if num_running := len(runs) - len(finished_runs):
        consequence = "and are left out" if finished_runs else "so more training can change the plan"
        log_line(f"note: {num_running} of {len(runs)} runs called {name} have not ended, {consequence}")
    return name, finished_runs or runs


def is_adjusted(name: str, names: Container[str]) -> bool:
    return any(name.endswith(end) and name.removesuffix(end) in names for end in (ADJUSTED, WITHOUT_PRIOR))


def class_counts(name: str, runs: Sequence[Run]) -> RightByClass:
    """The mean results by class of runs that differ only in their seed. Raises UserError like `counts_of`."""
    evaluations = [run.evaluation for run in runs]
    if any(evaluation is None or evaluation.frequency is None for evaluation in evaluations):
        raise UserError(
            f"{name} has no evaluation by classes of known frequency: evaluate it with cliptail evaluate on a "
            "set with its classes"
        )
    first = evaluations[0]
    if any(e.class_names != first.class_names or (e.frequency != first.frequency).any() for e in evaluations):
        raise UserError(
            f"the {len(runs)} runs called {name} have different class frequencies: give the directory of one of them, such as "
            f"--workdir={runs[0].workdir}"
        )
    if note := next(filter(None, (RunGroup(name, [[run]]).chance_note() for run in runs)), ""):
        raise UserError(f"{name} is at chance, so its results do not show which images help: {note}; train it longer")
    correct, examples = (
        np.mean([getattr(e.results, part) for e in evaluations], axis=0) for part in ("correct", "examples")
    )
    groups = first.results.groups or dict(zip(GROUPS, head_mid_tail(first.frequency)))
    return RightByClass(tuple(first.class_names), first.frequency, correct, examples, groups)
