"""The questions of a study: `study.json` in its directory, from which its page is made together with the files of its runs."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from cliptail_jax.files import read_json, write_json
from cliptail_jax.results.claims import Change, Claim

FILE = "study.json"


@dataclasses.dataclass(frozen=True)
class Study:
    """A study as its config states it.

    Attributes:
        runs: the names of its runs.
        replicates: the directories of each seed or mirrored pair; "" is the directory of a study without seeds.
        claims: by key.
        changes: of claims since the first run, by key.
        command: that of the study; and `commands`, those that train a run alone, where they are known.
        failures: why parts of it failed, at the last report.
    """

    title: str
    runs: Sequence[str] = ()
    replicates: Sequence[Sequence[str]] = ((),)
    claims: Mapping[str, Claim] = dataclasses.field(default_factory=dict)
    changes: Mapping[str, Change] = dataclasses.field(default_factory=dict)
    command: str = ""
    commands: Mapping[str, str] = dataclasses.field(default_factory=dict)
    failures: Mapping[str, str] = dataclasses.field(default_factory=dict)


def write_study(workdir: Path, study: Study) -> None:
    write_json(workdir / FILE, dataclasses.asdict(study))


def read_study(workdir: Path) -> Study | None:
    """The study in a directory; None if there is none. Raises UserError if study.json is damaged."""
    return read_json(workdir / FILE, Study)
