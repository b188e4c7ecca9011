"""What a directory holds: a run, the runs and the report of a study, transfer results. Damaged files are named."""

import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.config.zero_shot import MODE
from cliptail_jax.errors import UserError
from cliptail_jax.files import is_remote, read_json, read_lines
from cliptail_jax.runs import evaluation_directory, read_arrays, read_run_frequency
from cliptail_jax.runs.checkpoints import digest, manifest_of, steps_in
from cliptail_jax.runs.directory import CONFIG, DATA, FREQUENCY, METRICS, SUMMARY

SEED = re.compile(r"seed_\d+(_mirrored)?")  # the directories of a study with several seeds
REPORT, RESULTS = "report.json", "results.jsonl"  # of a study, and of a transfer
LOCAL = ("/", ".", "~", "gs://")  # a published model whose name begins so is a folder
Problems = list[str]
Value = TypeVar("Value")


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The last evaluation of a run on a set.

    Attributes:
        frequency: None if it is unknown, as of a published model without eval.class_frequency.
        accuracy: in 0..1, nan for a class without examples.
        share: of all predictions, in 0..1.
        confusion: counts of predictions, rows by true class, in the smallest type that holds them.
        calibration: sums over the examples of all classes by bin of confidence: their number, confidence, correct ones.
        predicted: of each record of the set, -1 where it is unknown; None of an evaluation by an earlier version.
    """

    on: str
    class_names: tuple[str, ...]
    frequency: Int[np.ndarray, " class"] | None
    accuracy: Float[np.ndarray, " class"]
    share: Float[np.ndarray, " class"]
    confusion: Int[np.ndarray, "class label"]
    calibration: Float[np.ndarray, "3 bin"] | None
    predicted: Int[np.ndarray, " record"] | None = None


@dataclasses.dataclass(frozen=True)
class Run:
    """What the files of a run say.

    Attributes:
        kind: its name, which it shares with the runs of other seeds.
        seed: the name of the seed's directory; '' without one.
        noted: the content of config.json.
        data: that of variant.json.
        sets: by evaluation set, the summaries of all evaluations on it, in order.
        evaluation: the arrays of the last evaluation on the first set.
        log: the lines of metrics.jsonl.
        checkpoint: step and digest of the last checkpoint; '' if there is none.
    """

    kind: str
    seed: str
    workdir: Path
    noted: Mapping[str, Any]
    data: Mapping[str, Any]
    class_names: tuple[str, ...]
    images: int | None
    sets: Mapping[str, Sequence[Mapping[str, Any]]]
    evaluation: Evaluation | None
    log: Sequence[Mapping[str, Any]]
    checkpoint: str

    @property
    def config(self) -> Mapping[str, Any]:
        return self.noted["config"]

    @property
    def is_published(self) -> bool:
        """Whether it is the evaluation of a published model."""
        return self.config.get("objective") == MODE

    @property
    def is_finished(self) -> bool:
        return self.is_published or "finished" in self.noted

    @property
    def summaries(self) -> Sequence[Mapping[str, Any]]:
        """The numbers of the evaluations on the first set."""
        return next(iter(self.sets.values()), ())

    def last_evaluations(self, on: str = "") -> Mapping[str, Mapping[str, Any]]:
        """The numbers of the last evaluation on a set, by default the first, by the class frequency of each."""
        return last_pass(self.sets.get(on, ()) if on else self.summaries)

    @property
    def summary(self) -> Mapping[str, Any]:
        """The numbers of the last evaluation on the first set; empty without one."""
        return self.summaries[-1] if self.summaries else {}


@dataclasses.dataclass(frozen=True)
class Contents:
    """What a directory holds.

    Attributes:
        report: the content of report.json, and `report_text` its text; None without one.
        transfer: results of transfer, of a directory of cliptail_jax.transfer.
        problems: a line for each file that cannot be read.
    """

    workdir: Path
    runs: Sequence[Run]
    report: Mapping[str, Any] | None
    report_text: str | None
    transfer: Sequence[Mapping[str, Any]]
    problems: Sequence[str]

    @property
    def names(self) -> list[str]:
        """The kinds of the runs and the models of the transfer."""
        return [run.kind for run in self.runs] + [result["model"] for result in self.transfer]


def read_directory(workdir: Path, kinds: Sequence[str] = ()) -> Contents:
    """Everything in a run's, a study's or a transfer's directory.

    Runs are in the order of `kinds`, or else in that of the study's report, if there is one.

    Raises:
        UserError: there is no such directory.
    """
    if not workdir.is_dir():
        raise UserError(f"{workdir} is no directory: name that of a run, a study or a transfer")
    problems: Problems = []
    report, report_text = read_report(workdir / REPORT, problems)
    transfer = attempt(lambda: list(read_lines(workdir / RESULTS)), [], problems)
    last = {(result.get("model"), result.get("set"), result.get("method")): result for result in transfer}
    directories = run_directories(workdir)
    rank = {kind: place for place, kind in enumerate(kinds or (report or {}).get("bias", ()))}
    directories.sort(key=lambda found: rank.get(found[0], len(rank)))
    runs = [run for found in directories if (run := read_run(*found, problems))]
    short = short_names(run.kind for run in runs if run.is_published and run.kind.startswith(LOCAL))
    runs = [dataclasses.replace(run, kind=short.get(run.kind, run.kind)) for run in runs]
    return Contents(workdir, runs, report, report_text, list(last.values()), problems)


def short_names(paths: Iterable[str]) -> dict[str, str]:
    """By each path, as much of its end as tells it from the others."""
    parts = {path: path.strip("/").split("/") for path in paths}
    short = {}
    for path, of_path in parts.items():
        others = [other for name, other in parts.items() if name != path]
        lengths = range(1, len(of_path) + 1)
        length = next((n for n in lengths if all(other[-n:] != of_path[-n:] for other in others)), len(of_path))
        short[path] = "/".join(of_path[-length:])
    return short


def last_pass(lines: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The summaries of the last evaluation on a set, by the class frequency that each is compared with, in order."""

    def about(line: Mapping[str, Any]) -> tuple:
        settings = line.get("settings", {})
        return line.get("weights"), {key: value for key, value in settings.items() if "frequency" not in key}

    found: dict[str, Mapping[str, Any]] = {}
    for line in reversed(lines):
        frequency = line.get("settings", {}).get("class_frequency", "")
        if frequency in found or about(line) != about(lines[-1]):
            break
        found[frequency] = line
    return dict(reversed(found.items()))


def chosen(contents: Contents, patterns: Sequence[str]) -> Contents:
    """The contents with those runs and transfer results alone whose kinds match one of the patterns."""
    report = contents.report
    if report:
        of_runs = {}
        for name, value in report["runs"].items():
            if SEED.fullmatch(name):
                of_runs[name] = {kind: numbers for kind, numbers in value.items() if matches(kind, patterns)}
            elif matches(name, patterns):
                of_runs[name] = value
        report = report | {"runs": of_runs}
    runs = [run for run in contents.runs if matches(run.kind, patterns)]
    transfer = [result for result in contents.transfer if matches(result["model"], patterns)]
    return dataclasses.replace(contents, runs=runs, report=report, transfer=transfer)


def matches(kind: str, patterns: Sequence[str]) -> bool:
    """Whether the name of a kind of runs matches one of the patterns, which are those of shells."""
    return any(fnmatchcase(kind, pattern) for pattern in patterns)


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
            raise ValueError("it has not the parts of a study's report")
        return content, text
    except (ValueError, KeyError, TypeError, OSError, RecursionError) as error:
        problems.append(f"{path} is damaged ({error}): run the study again, which writes it")
        return None, None


def run_directories(workdir: Path) -> list[tuple[str, str, Path]]:
    """Kind, seed and directory of the runs in a directory, which may be a run itself."""
    if (workdir / CONFIG).exists():
        return [(directory_name(workdir), "", workdir)]
    found = []
    for child in sorted(workdir.iterdir()):
        if (child / CONFIG).exists():
            found.append((child.name, "", child))
        elif SEED.fullmatch(child.name) and child.is_dir():
            of_seed = sorted(run for run in child.iterdir() if (run / CONFIG).exists())
            found += [(run.name, child.name, run) for run in of_seed]
    return found


def directory_name(path: Path) -> str:
    """The name of a directory, also of one that is given as '.' or '..'."""
    return path.name if is_remote(path) else Path(path).resolve().name


def read_run(kind: str, seed: str, workdir: Path, problems: Problems) -> Run | None:
    """A run; None, and a problem, if its config.json is damaged. Without other damaged files."""
    noted = attempt(lambda: read_json(workdir / CONFIG), None, problems)
    if noted is None:
        return None
    if not isinstance(noted.get("config"), dict):
        problems.append(f"{workdir / CONFIG} is damaged (it has no config): restore it from a copy")
        return None
    names, frequency = (), None
    if (workdir / FREQUENCY).exists():
        names, frequency = attempt(lambda: read_run_frequency(workdir), (names, frequency), problems)
    sets = {}
    for on in dict.fromkeys(noted["config"].get("eval.sets", ())):
        if found := attempt(lambda on=on: read_lines(evaluation_directory(workdir, on) / SUMMARY), [], problems):
            sets[on] = found
    evaluation = None
    if sets:
        evaluation = attempt(lambda: read_evaluation(workdir, next(iter(sets)), names, frequency), None, problems)
    if noted["config"].get("objective") == MODE:  # its directory is named by a slug
        kind = next((found[-1].get("model") for found in sets.values()), None) or kind
    return Run(
        kind,
        seed,
        workdir,
        noted,
        attempt(lambda: read_json(workdir / DATA), None, problems) or {},
        names,
        None if frequency is None else int(frequency.sum()),
        sets,
        evaluation,
        attempt(lambda: read_lines(workdir / METRICS), [], problems),
        attempt(lambda: last_checkpoint(workdir / "checkpoints"), "", problems),
    )


def read_evaluation(
    workdir: Path, on: str, class_names: tuple[str, ...], frequency: Int[np.ndarray, " class"] | None
) -> Evaluation:
    """The arrays of the last evaluation on a set; classes and frequency are the run's unless the set has its own.

    Raises:
        UserError: its files are damaged.
    """
    directory = evaluation_directory(workdir, on)
    arrays = read_arrays(workdir, on)
    if (directory / FREQUENCY).exists():
        class_names, frequency = read_run_frequency(directory)
    try:
        confusion, accuracy = arrays["confusion"], arrays["per_class_accuracy"]
    except KeyError as missing:
        raise UserError(f"{directory} is incomplete: its arrays lack {missing}; evaluate the run again") from None
    if "class_names" in arrays:  # of a set without a frequency that is known
        class_names, frequency = tuple(arrays["class_names"].tolist()), None
    if len(class_names) != len(accuracy):  # the same, of an earlier version
        class_names, frequency = tuple(f"class {label}" for label in range(len(accuracy))), None
    calibration = None
    if "calibration_examples" in arrays:
        sums = (arrays[f"calibration_{part}"] for part in ("examples", "confidence", "correct"))
        calibration = np.stack([of_class.sum(axis=0, dtype=float) for of_class in sums])
    share = confusion.sum(axis=0) / max(confusion.sum(), 1)
    compact = confusion.astype(np.min_scalar_type(confusion.max(initial=0)))
    predicted = arrays.get("predicted")
    return Evaluation(on, class_names, frequency, accuracy, share, compact, calibration, predicted)


def last_checkpoint(folder: Path) -> str:
    """Step and digest of the last complete checkpoint; '' if there is none."""
    steps = steps_in(folder) if folder.exists() else []
    complete = [step for step in steps if manifest_of(folder / str(step)).exists()]
    return f"step {max(complete)}, {digest(folder / str(max(complete)))[:16]}" if complete else ""
