"""The questions of a study: `study.json`, which the page reads together with the files of the runs."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cliptail_jax.host.files import read_json, write_json
from cliptail_jax.metrics.seeds import SeedVariance
from cliptail_jax.results.claims import Change, Claim
from cliptail_jax.results.run import Run

Runs = Mapping[str, Run]  # by name
Replicate = Sequence[Runs]  # the runs of a seed, or those of a mirrored pair

FILE = "study.json"


class Borrowed(NamedTuple):
    """The variances between seeds of a run, or mirrored pair, in published results: means over their kinds of runs.

    Attributes:
        study: the name of the results.
        variances: by what is measured, as `Claim.measured`.
    """

    study: str
    variances: Mapping[str, SeedVariance]


@dataclasses.dataclass(frozen=True)
class Study:
    """A study as its config states it.

    Attributes:
        runs: the names of its runs.
        replicates: the directories of each seed or mirrored pair; "" is the directory of a study without seeds.
        claims: by key.
        changes: of claims since the first run, by key.
        command: the study's command; `commands`: the commands that train a single run, if known.
        failures: the reasons why parts of it failed, at the last report.
        baseline: the run that the report compares the best run with; "" if it does not begin with the best run.
        then: a next command for the best run, if the report begins with it; the run's name replaces BEST in it.
        most: if not 0, pairs or seeds are added until claims are decided, at most so many, and claims are tested in looks.
        borrowed: the variances between seeds for claims on one seed or pair, if it is not known from other runs of the study.
        names: what people call its runs, where `cliptail_jax.experiments.kinds` has no or another name.
    """

    title: str
    runs: Sequence[str] = ()
    replicates: Sequence[Sequence[str]] = ((),)
    claims: Mapping[str, Claim] = dataclasses.field(default_factory=dict)
    changes: Mapping[str, Change] = dataclasses.field(default_factory=dict)
    command: str = ""
    commands: Mapping[str, str] = dataclasses.field(default_factory=dict)
    failures: Mapping[str, str] = dataclasses.field(default_factory=dict)
    baseline: str = ""
    then: str = ""
    most: int = 0
    borrowed: Borrowed | None = None
    names: Mapping[str, str] = dataclasses.field(default_factory=dict)


def by_replicate(study: Study, runs: Iterable[Run]) -> list[list[Runs]]:
    """The finished ones of a study's runs, by replicate and directory. Raises UserError for a damaged one."""
    finished = {(run.seed, run.name): run for run in runs if run.name in study.runs and run.is_finished}
    return [
        [{name: finished[seed, name] for name in study.runs if (seed, name) in finished} for seed in replicate or [""]]
        for replicate in study.replicates
    ]


def write_study(workdir: Path, study: Study) -> None:
    write_json(workdir / FILE, dataclasses.asdict(study))


def read_study(workdir: Path) -> Study | None:
    """The study in a directory; None if there is none. Raises UserError if study.json is damaged."""
    return read_json(workdir / FILE, Study)
