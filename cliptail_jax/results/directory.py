"""The contents of a directory: a run, a study with its runs, or results of a transfer."""

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
        transfers: the results in a directory of `cliptail transfer`.
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

    Example:
        top1 = {run.name: run.summary["top1"] for run in read_directory(Path("runs/quickstart")).runs}
    """
    if not workdir.is_dir():
        raise UserError(f"{workdir} is not a directory: give the directory of a run, a study or a transfer")
    problems: list[str] = []
    study = attempt(lambda: read_study(workdir), None, problems)
    transfers = attempt(lambda: read_transfers(workdir), [], problems)
    rank = {name: number for number, name in enumerate(study.runs if study else ())}
    runs = sorted(find_runs(workdir), key=lambda run: rank.get(run.name, len(rank)))
    runs = [run for run in runs if is_readable(run, problems)]
    results_beside: dict[Path, list[Transfer]] = {}  # the transfer of a study's runs is beside them
    for folder in dict.fromkeys(run.workdir.parent for run in runs) if study else ():
        results_beside[folder] = attempt(lambda folder=folder: read_transfers(folder / "transfer"), [], problems)
    runs = [
        run.replace(name, [r for r in results_beside.get(run.workdir.parent, ()) if is_of_run(r, run)])
        for run, name in zip(runs, names_of(runs))
    ]
    return Contents(workdir, runs, study, transfers, problems)


def is_readable(run: Run, problems: list[str]) -> bool:
    """Read a run's files, and return whether its config can be read. Other damaged files are left out."""
    if attempt(lambda: run.document, None, problems) is None:
        return False
    problems += run.leave_out_damaged()
    return True


def is_of_run(result: Transfer, run: Run) -> bool:
    """Whether the result of a transfer beside runs is that of this run."""
    return Path(result["model"]).name == run.workdir.name


def names_of(runs: Sequence[Run]) -> list[str]:
    """The names of runs. A published model has its own, since its directory is named by a slug; that of a folder is shortened."""
    names = [(run.summary.get("model") if run.is_published else "") or run.name for run in runs]
    folders = short_names(name for run, name in zip(runs, names) if run.is_published and name.startswith(LOCAL))
    return [folders.get(name, name) for name in names]


def short_names(paths: Iterable[str]) -> dict[str, str]:
    """The shortest end of each path that distinguishes it from the others."""
    parts = {path: path.strip("/").split("/") for path in paths}
    names = {}
    for path, words in parts.items():
        other_parts = [other for name, other in parts.items() if name != path]
        lengths = range(1, len(words) + 1)
        length = next((n for n in lengths if all(other[-n:] != words[-n:] for other in other_parts)), len(words))
        names[path] = "/".join(words[-length:])
    return names


def select(contents: Contents, patterns: Sequence[str]) -> Contents:
    """The contents with only those runs and transfer results whose names match one of the patterns."""
    runs = [run for run in contents.runs if matches(run.name, patterns)]
    transfers = [result for result in contents.transfers if matches(result["model"], patterns)]
    return dataclasses.replace(contents, runs=runs, transfers=transfers)


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether the name of a run matches one of the shell patterns."""
    return name in patterns or any(fnmatchcase(name, pattern) for pattern in patterns)
