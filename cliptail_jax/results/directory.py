"""The contents of a directory: a run, the runs and the report of a study, results of a transfer."""

import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

from cliptail_jax.errors import UserError
from cliptail_jax.files import is_remote
from cliptail_jax.results.run import Run
from cliptail_jax.results.transfers import Transfer, read_transfers
from cliptail_jax.runs.directory import CONFIG

SEED = re.compile(r"seed_\d+(_mirrored)?")  # the directories of a study with several seeds
REPORT = "report.json"
LOCAL = ("/", ".", "~", "gs://")  # a published model whose name begins so is a folder
# What a run has in place of files that are damaged.
WITHOUT = {"data": {}, "_table": ((), None), "log": (), "checkpoint": "", "sets": {}, "evaluation": None}
Problems = list[str]
Value = TypeVar("Value")


@dataclasses.dataclass(frozen=True)
class Contents:
    """The contents of a directory.

    Attributes:
        report: the content of report.json, and `report_text` its text; None without one.
        transfers: results of a directory of cliptail_jax.transfer.
        problems: a line for each file that cannot be read.
    """

    workdir: Path
    runs: Sequence[Run]
    report: Mapping[str, Any] | None
    report_text: str | None
    transfers: Sequence[Transfer]
    problems: Sequence[str]

    @property
    def names(self) -> list[str]:
        """Those of the runs and of the transfer's models."""
        return [run.name for run in self.runs] + [result["model"] for result in self.transfers]


def read_directory(workdir: Path, order: Sequence[str] = ()) -> Contents:
    """The contents of a run's, a study's or a transfer's directory. Damaged files are problems, and left out.

    Runs are in the `order` of their names, or else in that of the study's report, if there is one.

    Raises:
        UserError: there is no such directory.
    """
    if not workdir.is_dir():
        raise UserError(f"{workdir} is no directory: name that of a run, a study or a transfer")
    problems: Problems = []
    report, report_text = read_report(workdir / REPORT, problems)
    transfers = attempt(lambda: read_transfers(workdir), [], problems)
    rank = {name: place for place, name in enumerate(order or (report or {}).get("bias", ()))}
    found = sorted(find_runs(workdir), key=lambda run: rank.get(run.name, len(rank)))
    runs = [run for run in found if is_readable(run, problems)]
    short = short_names(run.name for run in runs if run.is_published and run.name.startswith(LOCAL))
    for run in runs:
        run.name = short.get(run.name, run.name)
    return Contents(workdir, runs, report, report_text, transfers, problems)


def find_runs(workdir: Path) -> list[Run]:
    """The runs in a directory, which may be a run itself."""
    if (workdir / CONFIG).exists():
        return [Run(workdir, directory_name(workdir))]
    found = []
    for child in sorted(workdir.iterdir()):
        if (child / CONFIG).exists():
            found.append(Run(child))
        elif SEED.fullmatch(child.name) and child.is_dir():
            found += [Run(run, seed=child.name) for run in sorted(child.iterdir()) if (run / CONFIG).exists()]
    return found


def is_readable(run: Run, problems: Problems) -> bool:
    """Whether the config of a run can be read; its other files are read, too, and damaged ones left out of it."""
    if attempt(lambda: run.noted, None, problems) is None:
        return False
    found: Problems = []
    for name, default in WITHOUT.items():
        run.__dict__[name] = attempt(lambda name=name: getattr(run, name), default, found)
    if not found:
        attempt(run.check, None, found)
    problems += dict.fromkeys(found)  # several parts may need a damaged file
    if run.is_published:  # its directory is named by a slug
        run.name = run.summary.get("model") or run.name
    return True


def short_names(paths: Iterable[str]) -> dict[str, str]:
    """By each path, as much of its end as distinguishes it from the others."""
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
    report = contents.report
    if report:
        kept = {}
        for name, value in report["runs"].items():
            if SEED.fullmatch(name):
                kept[name] = {run: numbers for run, numbers in value.items() if matches(run, patterns)}
            elif matches(name, patterns):
                kept[name] = value
        report = report | {"runs": kept}
    runs = [run for run in contents.runs if matches(run.name, patterns)]
    transfers = [result for result in contents.transfers if matches(result["model"], patterns)]
    return dataclasses.replace(contents, runs=runs, report=report, transfers=transfers)


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether the name of a run matches one of the patterns, which are those of shells."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def attempt(read: Callable[[], Value], default: Value, problems: Problems) -> Value:
    """What `read` returns; the default, and a problem, if it cannot."""
    try:
        return read()
    except UserError as error:
        problems.append(str(error))
    except OSError as error:
        problems.append(f"{error.filename} cannot be read: {error.strerror}")
    return default


def read_report(path: Path, problems: Problems) -> tuple[dict[str, Any] | None, str | None]:
    """The content and the text of a study's report.json; None if there is none, or it is damaged."""
    if not path.exists():
        return None, None
    try:
        text = path.read_bytes().decode()
        content = json.loads(text)
        if not all(isinstance(content[key], dict) for key in ("runs", "bias", "failures")):
            raise ValueError("it lacks parts of a study's report")
        return content, text
    except (ValueError, KeyError, TypeError, OSError, RecursionError) as error:
        problems.append(f"{path} is damaged ({error}): run the study again, which writes it")
        return None, None


def directory_name(path: Path) -> str:
    """The name of a directory, also of one that is given as '.' or '..'."""
    return path.name if is_remote(path) else Path(path).resolve().name
