"""The contents of a directory: a run, a study and its runs, results of a transfer."""

import dataclasses
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from cliptail_jax.host.errors import UserError
from cliptail_jax.results.run import Run, attempt, find_runs
from cliptail_jax.results.study import Study, read_study
from cliptail_jax.results.transfers import Transfer, read_transfers

LOCAL = ("/", ".", "~", "gs://")  # a published model whose name begins so is a folder


@dataclasses.dataclass(frozen=True)
class Contents:
    """The contents of a directory.

    Attributes:
        study: the content of study.json; None without one.
        transfers: results of a directory of cliptail_jax.transfer.
        problems: a line for each file that cannot be read.
    """

    workdir: Path
    runs: Sequence[Run]
    study: Study | None
    transfers: Sequence[Transfer]
    problems: Sequence[str]

    @property
    def names(self) -> list[str]:
        """The names of the runs and of the transfer's models."""
        return [run.name for run in self.runs] + [result["model"] for result in self.transfers]


def read_directory(workdir: Path) -> Contents:
    """The contents of a run's, a study's or a transfer's directory. Damaged files are reported as problems.

    Runs are in the order of the study, if there is one.

    Raises:
        UserError: there is no such directory.
    """
    if not workdir.is_dir():
        raise UserError(f"{workdir} is not a directory: give the directory of a run, a study or a transfer")
    problems: list[str] = []
    study = attempt(lambda: read_study(workdir), None, problems)
    transfers = attempt(lambda: read_transfers(workdir), [], problems)
    rank = {name: place for place, name in enumerate(study.runs if study else ())}
    found = sorted(find_runs(workdir), key=lambda run: rank.get(run.name, len(rank)))
    runs = [run for run in found if is_readable(run, problems)]
    short = short_names(run.name for run in runs if run.is_published and run.name.startswith(LOCAL))
    for run in runs:
        run.name = short.get(run.name, run.name)
    for folder in dict.fromkeys(run.workdir.parent for run in runs) if study else ():  # their transfer is beside them
        results = attempt(lambda folder=folder: read_transfers(folder / "transfer"), [], problems)
        for run in (run for run in runs if run.workdir.parent == folder):
            run.transfers = [result for result in results if Path(result["model"]).name == run.workdir.name]
    return Contents(workdir, runs, study, transfers, problems)


def is_readable(run: Run, problems: list[str]) -> bool:
    """Reads a run's files and returns whether its config can be read. Other damaged files are left out."""
    if attempt(lambda: run.noted, None, problems) is None:
        return False
    problems += run.leave_out_damaged()
    if run.is_published:  # its directory is named by a slug
        run.name = run.summary.get("model") or run.name
    return True


def short_names(paths: Iterable[str]) -> dict[str, str]:
    """The shortest end of each path that distinguishes it from the others."""
    parts = {path: path.strip("/").split("/") for path in paths}
    short = {}
    for path, own in parts.items():
        others = [other for name, other in parts.items() if name != path]
        lengths = range(1, len(own) + 1)
        length = next((n for n in lengths if all(other[-n:] != own[-n:] for other in others)), len(own))
        short[path] = "/".join(own[-length:])
    return short


def select(contents: Contents, patterns: Sequence[str]) -> Contents:
    """The contents with only those runs and transfer results whose names match one of the patterns."""
    runs = [run for run in contents.runs if matches(run.name, patterns)]
    transfers = [result for result in contents.transfers if matches(result["model"], patterns)]
    return dataclasses.replace(contents, runs=runs, transfers=transfers)


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether the name of a run matches one of the shell patterns."""
    return name in patterns or any(fnmatchcase(name, pattern) for pattern in patterns)
