"""A run, read from its files."""

import copy
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.config.zero_shot import MODE
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import check_digests, is_remote, load_arrays, read_json, read_lines
from cliptail_jax.metrics.measures import ClassResults
from cliptail_jax.results.evaluation import (
    ClassEvaluation,
    RetrievalEvaluation,
    is_retrieval,
    read_course,
    read_evaluation,
)
from cliptail_jax.results.transfers import Transfer, predictions_path
from cliptail_jax.runs.evaluations import evaluation_directory, read_summaries
from cliptail_jax.runs.files import CONFIG, DATA, FREQUENCY, METRICS, SUMMARY, read_document, read_run_frequency
from cliptail_jax.runs.manifests import digest, manifest_of, steps_in
from cliptail_jax.runs.records import LogLine, Summary, TrainingData

# The fields that determine which classes a run has.
SELECTING = ("data.name", "data.seed", "data.classes.", "data.class_match.", "eval.random_classes")
PREDICTIONS = "predictions"  # the objective of a file of predictions, whose training is unknown
WITHOUT_PRIOR = "_without_prior"  # the end of the name of predictions without the effective log-prior of the loss
ADJUSTED = "_adjusted"  # the end of the name of predictions whose logits were adjusted
MIRRORED = "_mirrored"  # the end of the directory of the second runs of a mirrored pair
SEED = re.compile(rf"seed_\d+({MIRRORED})?")  # the directories of a study with several seeds


Value = TypeVar("Value")


def attempt(reader: Callable[[], Value], default: Value, problems: list[str] | None) -> Value:
    """The result of `reader`. If it fails, the default, and a line in `problems`; or an error, if `problems` is None."""
    try:
        return reader()
    except (UserError, OSError) as error:
        if problems is None:
            raise
        is_user_error = isinstance(error, UserError)
        problems.append(str(error) if is_user_error else f"{error.filename} cannot be read: {error.strerror}")
    return default


def unless_damaged(default: Any) -> Callable[[Callable[["Run"], Any]], Any]:
    """Decorate a method that reads a file as a cached property. If damaged files are left out, it is `default` for them."""

    def decorate(reader: Callable[["Run"], Any]) -> Any:
        @functools.wraps(reader)
        def part(run: "Run") -> Any:
            return attempt(lambda: reader(run), default, run._problems)

        return functools.cached_property(part)

    return decorate


class Run:
    """A run, or the evaluations of a published model. A file is read when it is first needed.

    Attributes:
        workdir: the directory.
        name: by default the name of the directory. The runs of a `RunGroup` have the same name.
        seed: the name of the seed's directory, such as 'seed_0_mirrored'; '' without one.
        transfers: the results of its transfer to other sets.

    Properties raise UserError if a file is damaged, until `leave_out_damaged` is called.

    Example:
        accuracy = Run(Path("runs/clip")).evaluation.accuracy
    """

    def __init__(
        self,
        workdir: Path,
        name: str = "",
        seed: str = "",
        eval_sets: Sequence[str] | None = None,
        transfers: Sequence[Transfer] = (),
    ):
        """`eval_sets` are the sets of its evaluations, by default those in its config."""
        self.workdir, self.name, self.seed, self.transfers = workdir, name or workdir.name, seed, transfers
        self._eval_sets, self._evaluations = eval_sets, {}
        self._problems: list[str] | None = None

    def replace(self, name: str = "", transfers: Sequence[Transfer] | None = None) -> "Run":
        """The same run, with what was read of its files, under another name or with the results of its transfer."""
        run = copy.copy(self)
        run.name = name or self.name
        run.transfers = self.transfers if transfers is None else transfers
        return run

    def check(self) -> None:
        """Raise UserError if a file of a finished run is missing or was changed."""
        check_digests(self.workdir)

    def leave_out_damaged(self) -> list[str]:
        """Read the files, leave out damaged ones, and return a line for each of these."""
        self._problems = []
        _ = self.data, self._table, self.log, self.checkpoint, self.sets, self.latest, self.course, self.retrieval
        if not self._problems:
            attempt(self.check, None, self._problems)
        return list(dict.fromkeys(self._problems))  # several properties may need the same file

    @functools.cached_property
    def document(self) -> Mapping[str, Any]:
        """The content of config.json: the config, and the software and hardware of the run."""
        document = read_document(self.workdir)
        if document is None:
            raise UserError(f"there is no run in {self.workdir}")
        if "config" not in document:
            raise UserError(f"{self.workdir / CONFIG} is damaged (it has no config): restore it from a copy")
        return document

    @property
    def config(self) -> Mapping[str, Any]:
        """The config, by dotted key."""
        return self.document["config"]

    @property
    def eval_sets(self) -> Sequence[str]:
        return self.config.get("eval.sets", ()) if self._eval_sets is None else self._eval_sets

    @property
    def is_published(self) -> bool:
        """Whether these are evaluations of a published model."""
        return self.config.get("objective") == MODE

    @property
    def is_prediction(self) -> bool:
        """Whether these are predictions from a file, whose training is unknown."""
        return self.config.get("objective") == PREDICTIONS

    @property
    def is_finished(self) -> bool:
        return self.is_published or "finished" in self.document

    @property
    def seconds(self) -> float | None:
        """The duration of the training; None before its end."""
        return self.document.get("finished", {}).get("seconds")

    @unless_damaged({})
    def data(self) -> Mapping[str, Any]:
        """Number of records and fingerprint of the training data."""
        return read_json(self.workdir / DATA, TrainingData) or {}

    def check_data(self, fingerprint: str) -> None:
        """Raise UserError unless the run was trained on the data with this fingerprint."""
        run_fingerprint = self.data.get("fingerprint", "unknown")
        if fingerprint != run_fingerprint:
            raise UserError(
                f"the current data are not those of the training (fingerprint {fingerprint[:12]}, not {run_fingerprint[:12]})"
            )

    @unless_damaged(((), None))
    def _table(self) -> tuple[tuple[str, ...], Int[np.ndarray, " class"] | None]:
        return read_run_frequency(self.workdir) if (self.workdir / FREQUENCY).exists() else ((), None)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The class names of the training data, in label order; empty for a published model."""
        return self._table[0]

    @property
    def class_frequency(self) -> Int[np.ndarray, " class"] | None:
        """The numbers of training images of the classes, in label order; None for a published model."""
        return self._table[1]

    @property
    def is_mirrored(self) -> bool:
        """Whether it is the second run of a mirrored pair."""
        return self.seed.endswith(MIRRORED)

    @property
    def replicate(self) -> str:
        """The name of its seed or mirrored pair, such as 'seed_0'; '' without one."""
        return self.seed.removesuffix(MIRRORED)

    @property
    def images(self) -> int | None:
        """The number of training images; None for a published model."""
        return self.data.get("records")

    @unless_damaged(())
    def log(self) -> Sequence[Mapping[str, Any]]:
        """The lines of metrics.jsonl."""
        return read_lines(self.workdir / METRICS, LogLine)

    @property
    def warnings(self) -> list[str]:
        """The warnings of the training."""
        return [line["warning"] for line in self.log if "warning" in line]

    @unless_damaged("")
    def checkpoint(self) -> str:
        """Step and digest of the last complete checkpoint; '' without one."""
        folder = self.workdir / "checkpoints"
        steps = steps_in(folder) if folder.exists() else []
        complete = [step for step in steps if manifest_of(folder / str(step)).exists()]
        return f"step {max(complete)}, {digest(folder / str(max(complete)))[:16]}" if complete else ""

    @unless_damaged({})
    def sets(self) -> Mapping[str, Sequence[Summary]]:
        """The summaries of all evaluations, in order, by set: first the sets of the config, then others."""
        sets = {name: read_summaries(self.workdir, name) for name in dict.fromkeys(self.eval_sets)}
        if self._eval_sets is None:
            config_folders = {evaluation_directory(self.workdir, name) for name in sets}
            for folder in sorted(self.workdir.glob("eval/*")):
                lines = read_lines(folder / SUMMARY, Summary) if folder not in config_folders else ()
                if lines and "set" in lines[-1]:
                    sets[lines[-1]["set"]] = lines
        return {name: summaries for name, summaries in sets.items() if summaries}

    @property
    def main_set(self) -> str:
        """The first set with an evaluation by classes, or else the first set; '' without one."""
        class_sets = (name for name, summaries in self.sets.items() if not is_retrieval(summaries[-1]))
        return next(class_sets, next(iter(self.sets), ""))

    @property
    def summary(self) -> Summary:
        """The summary of the latest evaluation on the main set; empty without one."""
        return self.summaries[-1] if self.summaries else {}

    def summary_of(self, key: str) -> Summary:
        """The summary, which has the measure `key` if it is known."""
        return self.summary

    @property
    def summaries(self) -> Sequence[Summary]:
        """The summaries of all evaluations on the main set."""
        return self.sets.get(self.main_set, ())

    def last_evaluations(self, set_name: str = "") -> dict[str, Summary]:
        """The summaries of the last evaluation on a set, by default the main one, by their class frequency."""
        return last_pass(self.sets.get(set_name, ()) if set_name else self.summaries)

    @unless_damaged(None)
    def latest(self) -> ClassEvaluation | RetrievalEvaluation | None:
        """The latest evaluation on the main set; None without one."""
        return self.evaluated_on(self.main_set) if self.sets else None

    @property
    def evaluation(self) -> ClassEvaluation | None:
        """The latest evaluation on the main set; None unless it is by classes."""
        return self.latest if isinstance(self.latest, ClassEvaluation) else None

    @unless_damaged(None)
    def retrieval(self) -> RetrievalEvaluation | None:
        """The latest evaluation by retrieval on the first such set; None without one."""
        retrieval_sets = (name for name, summaries in self.sets.items() if is_retrieval(summaries[-1]))
        return next(map(self.evaluated_on, retrieval_sets), None)

    def evaluated_on(self, set_name: str) -> ClassEvaluation | RetrievalEvaluation:
        """The latest evaluation on a set. Raises UserError if there is none."""
        if set_name not in self._evaluations:
            self._evaluations[set_name] = read_evaluation(self.workdir, set_name)
        return self._evaluations[set_name]

    @unless_damaged({})
    def course(self) -> Mapping[int, ClassResults]:
        """The results by class of all evaluations on the main set, by step; {} for earlier versions, or without labels."""
        return read_course(self.workdir, self.evaluation) if self.evaluation else {}

    def names_and_selection(self) -> tuple[str, dict[str, Any]]:
        """The list of its class names, and the other fields that determine its classes.

        Runs with equal other fields have the same classes by label, whatever the names of these.
        """
        selection = {key: value for key, value in self.config.items() if key.startswith(SELECTING)}
        return self.config.get("data.class_names", ""), selection

    def probe_accuracies(self) -> dict[str, Float[np.ndarray, " _"]]:
        """The accuracy of the linear probe on each class, in 0..1, for each set with one class per image."""
        accuracies = {}
        for result in self.transfers:
            if result["method"] == "probe":
                arrays = load_arrays(predictions_path(self.workdir.parent / "transfer", result))
                if "predictions" in arrays:  # else the images of the set show several classes
                    labels, classes = arrays["labels"], result["sizes"]["classes"]
                    examples = np.bincount(labels, minlength=classes)
                    correct = np.bincount(labels[arrays["predictions"] == labels], minlength=classes)
                    accuracies[result["set"]] = ClassResults(correct, examples, predictions=examples).accuracy
        return accuracies


def last_pass(lines: Sequence[Summary]) -> dict[str, Summary]:
    """The summaries of the last evaluation on a set, by class frequency, in order.

    One pass over the set may compare a published model with the class frequencies of several corpora.
    """

    def pass_of(line: Summary) -> tuple:
        settings = line.get("settings", {})
        return line.get("weights"), {key: value for key, value in settings.items() if "frequency" not in key}

    summaries: dict[str, Summary] = {}
    for line in reversed(lines):
        frequency = line.get("settings", {}).get("class_frequency", "")
        if frequency in summaries or pass_of(line) != pass_of(lines[-1]):
            break
        summaries[frequency] = line
    return dict(reversed(summaries.items()))


def find_runs(workdir: Path) -> list[Run]:
    """The runs in a directory, which may be a run itself."""
    if (workdir / CONFIG).exists():
        return [Run(workdir, directory_name(workdir))]
    runs = []
    for child in sorted(workdir.iterdir()):
        if (child / CONFIG).exists():
            runs.append(Run(child))
        elif SEED.fullmatch(child.name) and child.is_dir():
            runs += [Run(run, seed=child.name) for run in sorted(child.iterdir()) if (run / CONFIG).exists()]
    return runs


def directory_name(path: Path) -> str:
    """The name of a directory, also for '.' and '..'."""
    return path.name if is_remote(path) else Path(path).resolve().name
