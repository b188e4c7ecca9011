"""A study as its config states it: `study.json`, which reports read together with the files of the runs."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cliptail_jax.config.renamed import RENAMED_IN_CLAIM, RENAMED_IN_STUDY, with_new_names
from cliptail_jax.host.files import read_json, with_types, write_json
from cliptail_jax.results.claims import Change, Claim
from cliptail_jax.results.run import Run

Runs = Mapping[str, Run]  # by name
Replicate = Sequence[Runs]  # the runs of a seed, or those of a mirrored pair

FILE = "study.json"
BEST = "BEST"  # the word in `Study.next_command` that stands for the best run


@dataclasses.dataclass(frozen=True)
class Study:
    """A study as its config states it.

    Attributes:
        title: the title of the report.
        runs: the names of the runs.
        replicates: the directories of each seed or mirrored pair; "" is the directory of a study without seeds.
        claims: the claims by key.
        changes: the changes of claims since the first run, by key of the claim.
        command: the command that runs the study.
        commands: the commands that train a single run, by run, if they are known.
        failures: the reasons why parts of the study failed, at the last report.
        baseline: the run with which the report compares the others, if it begins with the best of them.
        next_command: the command that continues with the best run, if the report begins with it. Its word BEST stands for the run.
        max_replicates: if not 0, the study adds pairs or seeds until claims are decided, up to this number, and tests claims in looks.
        variances_from: the results whose variances between seeds claims on one seed or pair use, if the study's other runs do not
            show them; '' for none.
        names: names of runs for readers, where `cliptail_jax.experiments.kinds` has none or another one.
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
    next_command: str = ""
    max_replicates: int = 0
    variances_from: str = ""
    names: Mapping[str, str] = dataclasses.field(default_factory=dict)


def by_replicate(study: Study, runs: Iterable[Run]) -> list[list[Runs]]:
    """The finished runs of a study, by replicate and directory. Raises UserError for a damaged one."""
    runs_of = {(run.seed, run.name): run for run in runs if run.name in study.runs and run.is_finished}
    return [
        [{name: runs_of[seed, name] for name in study.runs if (seed, name) in runs_of} for seed in replicate or [""]]
        for replicate in study.replicates
    ]


def write_study(workdir: Path, study: Study) -> None:
    write_json(workdir / FILE, dataclasses.asdict(study))


def read_study(workdir: Path) -> Study | None:
    """The study in a directory; None if there is none. Raises UserError if study.json is damaged."""
    content = read_json(workdir / FILE)
    return None if content is None else with_types(of_this_version(content), Study, workdir / FILE)


def of_this_version(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a study.json of any version, with today's names."""
    content = with_new_names(content, RENAMED_IN_STUDY)
    if isinstance(content.get("claims"), dict):
        content["claims"] = {
            key: with_new_names(claim, RENAMED_IN_CLAIM) if isinstance(claim, dict) else claim
            for key, claim in content["claims"].items()
        }
    return content
