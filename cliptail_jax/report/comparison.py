"""The runs of one or several directories side by side: their kinds, the classes that they share, and their numbers."""

import dataclasses
import functools
import itertools
import operator
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from cliptail_jax.claims.borrowed import borrow_variances
from cliptail_jax.experiments.kinds import kind_name, look_numbers
from cliptail_jax.metrics.calibration import Calibration
from cliptail_jax.metrics.measures import ClassResults
from cliptail_jax.metrics.seeds import SeedVariance
from cliptail_jax.report.kind_looks import KindLook, look
from cliptail_jax.results.directory import Contents
from cliptail_jax.results.evaluation import ClassEvaluation
from cliptail_jax.results.group import RunGroup
from cliptail_jax.results.run import Run, directory_name
from cliptail_jax.results.study import Study

MAX_WRONG_PREDICTIONS = 6  # of each class
MAX_FREQUENCY_COLUMNS = 4
Owner = tuple[str, str]  # a run, by its kind and seed


class ComparedGroup(RunGroup):
    """A group of runs that is compared with others.

    Attributes:
        look: its colour and marker.
        by_seed: by seed, the evaluations of its runs on the classes that all groups share.
        borrowed: the variances between seeds that its study takes from published results, by measure.
    """

    def __init__(
        self,
        group: RunGroup,
        look: KindLook,
        by_seed: Mapping[str, ClassEvaluation],
        peers: Sequence[RunGroup],
        borrowed: Mapping[str, SeedVariance],
    ):
        super().__init__(group.name, group.replicates, group.size, group.label, peers)
        self.look, self.by_seed, self.borrowed = look, by_seed, borrowed

    @functools.cached_property
    def confusion(self) -> csr_array:
        """The sum over runs."""
        return functools.reduce(operator.add, (evaluation.confusion for evaluation in self.by_seed.values()))

    def of_direction(self, seed: str) -> tuple[csr_array, Float[np.ndarray, " class"]] | None:
        """The confusion and the accuracy of its run of a seed, or for '' those of all its runs; None without such a run."""
        if not seed:
            return self.confusion, self.accuracy
        evaluation = self.by_seed.get(seed)
        return evaluation and (evaluation.confusion, evaluation.accuracy)

    @functools.cached_property
    def accuracy(self) -> Float[np.ndarray, " class"]:
        """The mean accuracy over runs, in 0..1; nan for a class without examples."""
        accuracies = np.stack([evaluation.accuracy for evaluation in self.by_seed.values()])
        is_known = ~np.isnan(accuracies)
        counts = is_known.sum(axis=0)
        return np.where(counts, np.where(is_known, accuracies, 0).sum(axis=0) / np.maximum(counts, 1), np.nan)


@dataclasses.dataclass(frozen=True)
class ComparedRuns:
    """Kinds of runs, and the names of the classes that all of them share.

    Attributes:
        labels: names of what is predicted, the shared classes first; all different.
        classes: the number of shared classes.
        notes: what a reader must know of the comparison.
    """

    kinds: Sequence[ComparedGroup]
    labels: Sequence[str]
    classes: int
    notes: Sequence[str]

    @property
    def evaluated_kinds(self) -> list[ComparedGroup]:
        """The kinds that have an evaluation on the shared classes."""
        return [kind for kind in self.kinds if kind.by_seed]

    @property
    def runs(self) -> list[tuple[Owner, Run]]:
        return [((kind.name, run.seed), run) for kind in self.kinds for run in kind.runs]

    @property
    def directions(self) -> list[str]:
        """The seeds of mirrored pairs, in each of which a class has another frequency; [''] for runs that are not mirrored."""
        if not any(kind.size > 1 for kind in self.evaluated_kinds):
            return [""]
        return [*dict.fromkeys(seed for kind in self.evaluated_kinds for seed in kind.by_seed)]

    def frequencies_by_direction(self) -> dict[str, Int[np.ndarray, " row"]]:
        """As `frequencies`, of all classes in the first direction, then in the next one, and so on."""
        if self.directions == [""]:
            return self.frequencies()
        smallest_counts, largest_counts = [], []
        for seed in self.directions:
            evaluations = [kind.by_seed[seed] for kind in self.evaluated_kinds if seed in kind.by_seed]
            vectors = [evaluation.frequency for evaluation in evaluations if evaluation.frequency is not None]
            if not vectors:
                return {}
            smallest_counts.append(np.min(vectors, 0))
            largest_counts.append(np.max(vectors, 0))
        if np.array_equal(smallest_counts, largest_counts):
            return {"images": np.concatenate(smallest_counts)}
        return {"fewest images": np.concatenate(smallest_counts), "most images": np.concatenate(largest_counts)}

    def frequencies(self) -> dict[str, Int[np.ndarray, " class"]]:
        """The different class frequencies, by a name of the runs that have them; of many, the smallest and largest counts."""
        owners: dict[bytes, list[Owner]] = {}
        vectors = {}
        for kind in self.evaluated_kinds:
            for seed, evaluation in kind.by_seed.items():
                if evaluation.frequency is not None:
                    key = evaluation.frequency.tobytes()
                    owners.setdefault(key, []).append((kind.name, seed))
                    vectors[key] = evaluation.frequency
        if len(vectors) > MAX_FREQUENCY_COLUMNS:
            return {
                "fewest images": np.min(list(vectors.values()), 0),
                "most images": np.max(list(vectors.values()), 0),
            }
        all_owners = [owner for vector_owners in owners.values() for owner in vector_owners]
        return {
            f"images {name_of(vector_owners, all_owners)}".rstrip(): vectors[key]
            for key, vector_owners in owners.items()
        }


def name_of(owners: Sequence[Owner], all_owners: Sequence[Owner]) -> str:
    """A short name for some of the runs, by kind and seed; '' for all of them."""
    if len(owners) == len(all_owners):
        return ""
    kinds, seeds = ({owner[part] for owner in owners} for part in (0, 1))
    if len(owners) == sum(kind in kinds for kind, _ in all_owners):
        return ", ".join(dict.fromkeys(kind for kind, _ in owners))
    if len(owners) == sum(seed in seeds for _, seed in all_owners):
        return ", ".join(dict.fromkeys(seed for _, seed in owners))
    named_owners = set(owners)
    other_owners = [owner for owner in all_owners if owner not in named_owners]
    names = ", ".join(" ".join(filter(None, owner)) for owner in min(owners, other_owners, key=len))
    return f"all but {names}" if len(other_owners) < len(owners) else names


def compare(directories: Sequence[Contents]) -> ComparedRuns:
    """The kinds of all directories. If there are several, a kind's name begins with its directory's."""
    runs_of_kinds: dict[str, list[Run]] = {}
    labels_of_kinds: dict[str, str] = {}
    for contents, prefix in zip(directories, prefixes(directories)):
        for run in contents.runs:
            name = prefix if run.workdir == contents.workdir and prefix else "/".join(filter(None, (prefix, run.name)))
            if any(other.seed == run.seed for other in runs_of_kinds.get(name, ())):  # a model that was evaluated twice
                name = f"{name} ({run.workdir.name})"
            runs_of_kinds.setdefault(name, []).append(run)
            label = kind_name(run.name, contents.study.names) if contents.study else ""
            labels_of_kinds[name] = label or name
    evaluations = [run.evaluation for runs in runs_of_kinds.values() for run in runs if run.evaluation]
    class_names, notes = shared_classes(evaluations)
    shared_names = set(class_names)
    other_names = dict.fromkeys(name for e in evaluations for name in e.class_names if name not in shared_names)
    labels, kinds = [*class_names, *other_names], []
    numbers = look_numbers(labels_of_kinds)
    groups = [group_of(name, runs, labels_of_kinds[name]) for name, runs in runs_of_kinds.items()]
    for group in groups:
        by_seed = {
            run.seed: restrict(run.evaluation, class_names, labels)
            for run in group.runs
            if run.evaluation and class_names
        }
        study, peers = study_of(group, groups, directories)
        borrowed = borrow_variances(study.variances_from).variances if study and study.variances_from else {}
        kinds.append(ComparedGroup(group, look(numbers[group.name]), by_seed, peers, borrowed))
    return ComparedRuns(kinds, distinct(labels), len(class_names), notes)


def group_of(name: str, runs: Sequence[Run], label: str) -> RunGroup:
    """The runs of a kind, by seed or mirrored pair."""
    replicates: dict[str, list[Run]] = {}
    for run in runs:
        replicates.setdefault(run.replicate, []).append(run)
    return RunGroup(name, list(replicates.values()), 2 if any(run.is_mirrored for run in runs) else 1, label)


def study_of(
    group: RunGroup, groups: Sequence[RunGroup], directories: Sequence[Contents]
) -> tuple[Study | None, list[RunGroup]]:
    """The study of a group, and the groups of this study; None and [] without a study."""
    for contents in directories:
        if contents.study and group.runs[0] in contents.runs:
            return contents.study, [other for other in groups if other.runs[0] in contents.runs]
    return None, []


def prefixes(directories: Sequence[Contents]) -> list[str]:
    """The prefix of the names of each directory's kinds: '' for the only directory, or else its name or path."""
    if len(directories) == 1:
        return [""]
    names = [directory_name(contents.workdir) for contents in directories]
    return names if len(set(names)) == len(names) else [str(contents.workdir) for contents in directories]


def shared_classes(evaluations: Sequence[ClassEvaluation]) -> tuple[tuple[str, ...], list[str]]:
    """The classes that all evaluations have, and notes on the others."""
    if not evaluations:
        return (), []
    first = evaluations[0].class_names
    if all(evaluation.class_names == first for evaluation in evaluations):
        return first, []
    common = set(first).intersection(*(evaluation.class_names for evaluation in evaluations))
    names = tuple(name for name in dict.fromkeys(first) if name in common)
    numbers = sorted({len(evaluation.class_names) for evaluation in evaluations})
    sizes = f"{numbers[0]:,} to {numbers[-1]:,}" if len(numbers) > 1 else f"{numbers[0]:,} each"
    if not names:
        return (), [
            f"The runs have different classes ({sizes}) and share none: classes are not compared. A page on some of the runs "
            "(cliptail report --runs=PATTERN) compares those that they share."
        ]
    return names, [
        f"The runs have different classes ({sizes}): class by class they are compared on the {len(names):,} that all share. "
        "The numbers of the table of runs are over all classes of each."
    ]


def restrict(evaluation: ClassEvaluation, class_names: Sequence[str], labels: Sequence[str]) -> ClassEvaluation:
    """An evaluation on the shared classes, whose confusion has predictions by `labels`."""
    if evaluation.class_names == tuple(labels) and len(class_names) == len(labels):
        return evaluation
    place = {name: label for label, name in reversed(list(enumerate(evaluation.class_names)))}
    rows = np.array([place[name] for name in class_names])
    position = {name: label for label, name in reversed(list(enumerate(labels)))}
    columns = np.array([position[name] for name in evaluation.class_names])
    predicted = evaluation.predicted
    counts = evaluation.confusion[rows].tocoo()
    confusion = csr_array((counts.data, (counts.row, columns[counts.col])), shape=(len(class_names), len(labels)))
    results = evaluation.results
    return dataclasses.replace(
        evaluation,
        class_names=tuple(class_names),
        results=ClassResults(
            results.correct[rows],
            results.examples[rows],
            results.predictions[rows],
            None if results.frequency is None else results.frequency[rows],
            calibration=results.calibration and Calibration(*(sums[rows] for sums in results.calibration)),
        ),
        share=evaluation.share[rows],
        confusion=confusion,
        predicted=None if predicted is None else np.where(predicted < 0, predicted, columns[predicted]),
    )


def wrong_predictions(confusion: csr_array) -> list[list[tuple[int, int]]]:
    """The most frequent wrong predictions of each class and their numbers, most frequent first."""
    counts = confusion.tocoo()
    pairs: list[list[tuple[int, int]]] = [[] for _ in range(confusion.shape[0])]
    for place in np.lexsort((counts.col, -counts.data, counts.row)):
        label, prediction, number = int(counts.row[place]), int(counts.col[place]), int(counts.data[place])
        if number and label != prediction and len(pairs[label]) < MAX_WRONG_PREDICTIONS:
            pairs[label].append((prediction, number))
    return pairs


def distinct(names: Sequence[str]) -> list[str]:
    """The names, with a number where one is repeated."""
    result: dict[str, None] = {}  # whose order is that of the names
    for name in names:
        numbers = (f"{name} ({number})" for number in itertools.count(2))
        result[next(new for new in itertools.chain([name], numbers) if new not in result)] = None
    return [*result]
