"""The measures of predictions, in memory: those of one file, or of a file for each seed."""

import dataclasses
import functools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.text import shortened_list
from cliptail_jax.metrics.bootstrap import Estimate
from cliptail_jax.metrics.calibration import calibration, count_on_host
from cliptail_jax.metrics.groups import head_mid_tail
from cliptail_jax.metrics.measures import GROUPS, MEASURES, ClassResults, prediction_measures, summarize
from cliptail_jax.metrics.seeds import mean_over_seeds
from cliptail_jax.predictions import adjustment
from cliptail_jax.predictions.classes import ClassTable, check_order, class_ids, class_table, text_of
from cliptail_jax.predictions.differences import Difference, Predictions, check_measure, difference, same_examples
from cliptail_jax.predictions.reading import (
    PredictionFile,
    array_of,
    check_length,
    checked_logits,
    named,
    one_each,
    without_unlabelled,
)
from cliptail_jax.report.predictions import frame, measures_text
from cliptail_jax.results.evaluated import EvaluatedModel
from cliptail_jax.results.evaluation import ClassEvaluation, count_confusion
from cliptail_jax.results.group import RunGroup
from cliptail_jax.results.run import ADJUSTED, PREDICTIONS

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure


ON = "test"  # the name of the set of the examples
CURVE = ("top1", "mean_per_class", "odds_acc", "slope_pred", "head", "mid", "tail")
FEWEST = 2  # examples of a class without which it says little on whether the class is right
NO_REAL_NUMBERS = "cSUOMm"  # NumPy's kinds of complex numbers, texts, objects and times
NAMED = 5  # so many classes are named in a note


class Adjusted(NamedTuple):
    """What logit adjustment gives.

    Attributes:
        by_tau: for each τ, the means over files of the measures of the adjusted predictions of all examples.
        measured: the predictions of each half with the τ that was chosen on the other half.
    """

    by_tau: Mapping[float, Mapping[str, float]]
    measured: "Measured"


class Measured:
    """The measures of predictions. Each is an attribute, such as `m.odds_acc`; accuracies are in percent.

    Attributes:
        group: the evaluation of each seed.
        labels: the class of each example.
        keys: the file name of each example; None if they are unknown.
        adjusted: what logit adjustment gives; None without logits.
    """

    def __init__(
        self,
        group: RunGroup,
        labels: Int[np.ndarray, " example"],
        keys: Sequence[str] | None = None,
        adjusted: Adjusted | None = None,
    ):
        self.group, self.labels, self.keys, self.adjusted = group, labels, keys, adjusted

    @property
    def name(self) -> str:
        return self.group.name

    @property
    def predictions(self) -> Predictions:
        return Predictions(self.group, self.labels, self.keys)

    @property
    def notes(self) -> list[str]:
        """What a reader must know of its files."""
        notes = list(dict.fromkeys(text for run in self.group.runs for text in run.warnings))
        chance = self.group.chance_note()
        return [*notes, *([f"It is at chance, where a small slope is no robustness: {chance}"] if chance else [])]

    @property
    def results(self) -> list[ClassResults]:
        """The counts by class of each seed."""
        return [evaluation.results for evaluation in self.group.evaluations]

    def __getattr__(self, key: str) -> float:
        check_measure(key, AttributeError)
        return self.estimate(key).value

    def interval(self, key: str) -> tuple[float, float]:
        """The 95 % interval of a measure; nan without one."""
        estimate = self.estimate(key)
        return float(estimate.low), float(estimate.high)

    @functools.cached_property
    def estimates(self) -> Mapping[str, Estimate]:
        """The measures of predictions that are known, with their intervals; nan if undefined. With several seeds, they are means."""
        known = (key for key in prediction_measures() if all(map(MEASURES[key].is_known, self.results)))
        return {key: self._estimate(key) for key in known}

    def estimate(self, key: str) -> Estimate:
        """A measure with its interval, as in `estimates`. Raises UserError if there is none of this name."""
        check_measure(key)
        return self.estimates[key] if key in self.estimates else self._estimate(key)

    def _estimate(self, key: str) -> Estimate:
        measure = MEASURES[key]
        if key in self.group.bias:
            return self.group.bias[key]
        if measure.statistic is None:
            return Estimate(self.group.mean(key))
        if not all(map(measure.is_known, self.results)):
            return Estimate(np.nan)
        return mean_over_seeds([measure.compare([results])[0] for results in self.results])

    def table(self) -> str:
        """The measures with their intervals, as text."""
        return measures_text({self.name: self.estimates})

    def __repr__(self) -> str:
        return self.table()

    def figure(self) -> "Figure":
        """Bias by accuracy, and accuracy by class frequency on an axis of log-odds."""
        from cliptail_jax.report.pictures import draw_runs

        return draw_runs({self.name: self.group}, self.name)

    def to_pandas(self) -> "pandas.DataFrame":
        """A row for each measure: value, low and high. Raises UserError without pandas."""
        return frame({key: estimate[:3] for key, estimate in self.estimates.items()}, ("value", "low", "high"))

    def __sub__(self, other: "Measured") -> Difference:
        """The differences of the measures, paired by class.

        Raises:
            UserError: the other measures are of other examples or classes.
            TypeError: `other` is something else.
        """
        if not isinstance(other, Measured):
            raise TypeError(f"only the measures of other predictions can be subtracted, and not {type(other).__name__}")
        return difference(self.predictions, other.predictions)


def measure(
    labels: Sequence[Any],
    predictions: Sequence[Any],
    frequency: Mapping[Any, int] | Sequence[int],
    name: str = "predictions",
    classes: Sequence[Any] | None = None,
) -> Measured:
    """Measure how biased predictions are towards frequent classes.

    Args:
        labels: the true class of each example, by name or number. Numbers are indices of `classes`, or else of `frequency`.
        predictions: the predicted class of each example; or logits or probabilities [example, class].
        frequency: the number of training images by class: a mapping from names or numbers (such as a `Counter`, or a pandas
            Series), or a list in the order of class numbers.
        name: in tables and pictures.
        classes: of the columns of logits, such as `classes_` of a model of scikit-learn; by default those of `frequency`, in its
            order. A `Counter` or a Series has no such order, unless its classes are the numbers from 0 on.

    Raises:
        UserError: the arguments do not fit, or measures are undefined for most classes.
        TypeError: an argument is no list or array, or logits are no real numbers.

    >>> from cliptail_jax import measure
    >>> labels = ["cat"] * 10 + ["dog"] * 10 + ["owl"] * 10
    >>> predictions = ["cat"] * 14 + ["dog"] * 7 + ["cat"] * 6 + ["owl"] * 3
    >>> measured = measure(labels, predictions, {"cat": 1000, "dog": 100, "owl": 10})
    >>> f"top-1 {measured.top1:.0f} %, log-odds per decade {measured.odds_acc:.1f}"
    'top-1 63 %, log-odds per decade 1.8'
    """
    for what, value in (
        ("labels", labels),
        ("predictions", predictions),
        ("classes", () if classes is None else classes),
    ):
        check_list(what, value, "give a list or an array")
    if not isinstance(frequency, Mapping):
        check_list(
            "frequency", frequency, "give a mapping from each class to its number of images, or a list in class order"
        )
    if getattr(frequency, "ndim", 1) != 1:
        raise UserError(f"frequency has the shape {list(frequency.shape)}: give one number for each class, [class]")
    counts = frequency.to_dict() if hasattr(frequency, "to_dict") else frequency
    if hasattr(counts, "__array__"):  # the numbers of a tensor are tensors
        counts = np.asarray(counts).tolist()
    # A Counter and a Series of counts have classes in the order of the data or of the counts, and not of any logits.
    table = class_table(counts, "frequency", is_open=isinstance(counts, Counter) or hasattr(frequency, "to_dict"))
    columns = None if classes is None else tuple(map(text_of, classes))
    given = named(as_values(one_each("predictions", "labels", labels)), columns, "predictions")
    values = array_of("predictions", "predictions", predictions)
    if values.ndim == 2 and values.shape[1] > 1:
        check_length("predictions", given, values)
        if values.dtype.kind in NO_REAL_NUMBERS:
            raise TypeError(
                f"predictions [{len(values):,}, {values.shape[1]:,}] have the type {values.dtype}: logits and probabilities "
                "[example, class] are real numbers, and predicted classes are one of each example"
            )
        floats = values.astype(np.result_type(values.dtype, np.float16), copy=False)
        logits, are_probabilities = checked_logits("predictions", floats)
        content = PredictionFile("predictions", given, None, logits, columns, are_probabilities=are_probabilities)
    else:
        values = named(as_values(one_each("predictions", "predictions", values)), columns, "predictions")
        check_length("predictions", given, values)
        content = PredictionFile("predictions", given, values)
    return measured_seeds(name, [without_unlabelled(content)], table)


def check_list(what: str, value: Any, remedy: str) -> None:
    """Raise TypeError for an argument that is no list or array, or whose masked values would count."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{what} is a masked array, whose masked values would count: leave them out, and {remedy}")
    is_list = isinstance(value, Sequence) and not isinstance(value, str | bytes) or hasattr(value, "__array__")
    if value is None or isinstance(value, Iterable) and not is_list:
        raise TypeError(f"{what} is of the type {type(value).__name__}: {remedy}")


def as_values(array: np.ndarray) -> Sequence[Any]:
    """The values as an array of numbers or text, or a list of mixed ones."""
    return array if array.dtype.kind in "iuU" else array.tolist()


class Resolved(NamedTuple):
    """The content of a file by class numbers; logits have their columns in the order of the class table."""

    labels: Int[np.ndarray, " example"]
    predicted: Int[np.ndarray, " example"]
    confidence: Float[np.ndarray, " example"] | None
    logits: Float[np.ndarray, "example class"] | None


def resolved(content: PredictionFile, table: ClassTable) -> Resolved:
    """The classes in a file. Raises UserError if a value is no class of the table, or logits have other classes."""
    by_name, path = content.classes, content.path
    if content.logits is None:
        labels, predicted = class_ids(table, [content.labels, content.predictions], path)
        return Resolved(labels, predicted, None, None)
    logits, classes = content.logits, len(table.names)
    if logits.shape[1] != classes:
        raise UserError(
            f"{path} has logits of {logits.shape[1]:,} classes, and {table.origin} lists {classes:,}: both must have the same, "
            "with 0 for a class without training images"
        )
    (ids,) = class_ids(table, [content.labels], path)
    if by_name is None:
        check_order(table, f"the columns of the logits of {path} have no names")
    else:
        (places,) = class_ids(table, [by_name], path)
        if len(set(places.tolist())) < classes:
            raise UserError(f"{path} has two columns for one class: name each column of the logits once in 'classes'")
        if not np.array_equal(places, np.arange(classes)):
            logits = logits[:, np.argsort(places)]
    predicted, confidence = adjustment.predict(logits)
    if content.predictions is not None:
        (stored,) = class_ids(table, [content.predictions], path)
        examples = np.arange(len(ids))  # of equal logits, any is the largest
        if others := np.count_nonzero(logits[examples, stored] < logits[examples, predicted]):
            raise UserError(
                f"{path} has {others:,} predictions that are not the class of the largest of its logits or probabilities: "
                "leave one of both out"
            )
    return Resolved(ids, predicted, confidence, logits)


def evaluation_of(
    labels: Int[np.ndarray, " example"],
    predicted: Int[np.ndarray, " example"],
    confidence: Float[np.ndarray, " example"] | None,
    table: ClassTable,
) -> ClassEvaluation:
    """The evaluation of predictions, as of a run. `confidence` is in 0..1."""
    classes = len(table.names)
    confusion = count_confusion(labels, predicted, classes)
    counts = None if confidence is None else count_on_host(confidence, predicted == labels, labels, classes)
    results = ClassResults.from_confusion(
        confusion,
        frequency=table.frequency,
        groups=groups_of_classes(table),
        calibration=None if counts is None else calibration(counts),
    )
    share = results.predictions / max(len(labels), 1)
    return ClassEvaluation(ON, table.names, summarize(results), results, confusion, share)


def groups_of_classes(table: ClassTable) -> dict[str, Int[np.ndarray, " _"]]:
    return dict(zip(GROUPS, head_mid_tail(table.frequency)))


def check_examples(labels: Int[np.ndarray, " example"], table: ClassTable, path: str) -> None:
    """Raise UserError if most classes that are tested have a single example."""
    examples = np.bincount(labels, minlength=len(table.names))
    tested = int(np.count_nonzero(examples))
    few = int(np.sum(examples[examples > 0] < FEWEST))
    if tested < 2:
        raise UserError(
            f"{path} has examples of one class, and bias is between classes: measure examples of more classes"
        )
    if 2 * few > tested:
        raise UserError(
            f"odds_acc is undefined: {few:,} of the {tested:,} classes in {path} have fewer than {FEWEST} examples, which tell "
            "the accuracy of a class from chance; measure more examples of each class"
        )


def measured_seeds(name: str, files: Sequence[PredictionFile], table: ClassTable) -> Measured:
    """The measures of a file, or of a file for each seed.

    Raises:
        UserError: the files do not fit the class table or each other, or have too few examples.
    """
    seeds = seed_names(len(files))
    runs, adjusted_runs, curves = [], [], []
    first: Resolved | None = None
    for content, seed in zip(files, seeds):
        of = resolved(content, table)
        check_examples(of.labels, table, content.path)
        first = first or of._replace(logits=None)
        if not same_examples(first.labels, files[0].keys, of.labels, content.keys):
            raise UserError(f"{files[0].path} and {content.path} of {name} have other examples: seeds share theirs")
        runs.append(
            evaluated(name, seed, evaluation_of(*of[:3], table), content.path, notes_on(content, of.labels, table))
        )
        if of.logits is not None:
            found = adjustment.adjust(of.logits, of.labels, table.frequency, content.keys)
            evaluation = evaluation_of(of.labels, *found.predicted, table)
            tau = " and ".join(dict.fromkeys(f"{tau:g}" for tau in found.chosen))
            adjusted_runs.append(
                evaluated(name + ADJUSTED, seed, evaluation, content.path, how_chosen(tau, table.frequency), tau)
            )
            curves.append(curve(found.by_tau, of.labels, table))
    adjusted = None
    if len(adjusted_runs) == len(files):
        together = {tau: mean_of_each([of_file[tau] for of_file in curves]) for tau in curves[0]}
        of_adjusted = Measured(group_of(adjusted_runs), first.labels, files[0].keys)
        adjusted = Adjusted(together, of_adjusted)
    elif adjusted_runs:
        without = [content.path for content in files if content.logits is None]
        note = f"Without logits in {', '.join(without)}, there is no calibration and no adjustment"
        runs[0] = dataclasses.replace(runs[0], warnings=[*runs[0].warnings, note])
    return Measured(group_of(runs), first.labels, files[0].keys, adjusted)


def seed_names(number: int) -> list[str]:
    """The names of so many seeds; '' of a single one."""
    return [f"seed_{seed}" for seed in range(number)] if number > 1 else [""]


def group_of(runs: Sequence[EvaluatedModel]) -> RunGroup:
    return RunGroup(runs[0].name, [[run] for run in runs])


def evaluated(
    name: str, seed: str, evaluation: ClassEvaluation, path: str, notes: Sequence[str], tau: str = "0"
) -> EvaluatedModel:
    """The evaluation of the predictions in a file, with notes on them."""
    config = {"objective": PREDICTIONS, "eval.sets": [evaluation.on], PREDICTIONS: path, "eval.logit_adjustment": tau}
    return EvaluatedModel(name, seed, evaluation, config, notes)


def curve(
    by_tau: Int[np.ndarray, "tau example"], labels: Int[np.ndarray, " example"], table: ClassTable
) -> dict[float, dict[str, float]]:
    """The measures of adjusted predictions of all examples, for each τ."""
    classes, examples = len(table.names), np.bincount(labels, minlength=len(table.names))
    found = {}
    for tau, predicted in zip(adjustment.TAUS.tolist(), by_tau):
        correct = np.bincount(labels[predicted == labels], minlength=classes)
        predictions = np.bincount(predicted, minlength=classes)
        results = ClassResults(correct, examples, predictions, table.frequency, groups_of_classes(table))
        found[tau] = {key: value_of(key, results) for key in CURVE}
    return found


def value_of(key: str, results: ClassResults) -> float:
    """A measure without an interval."""
    measure = MEASURES[key]
    return measure.value(results) if measure.value else measure.point([results])


def mean_of_each(numbers: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([of[key] for of in numbers])) for key in numbers[0]}


def with_adjusted(measured: Sequence[Measured]) -> list[Measured]:
    """Each file, followed by its adjusted predictions, if it has logits."""
    return [one for of in measured for one in (of, *((of.adjusted.measured,) if of.adjusted else ()))]


def classes_in_some(measured: Sequence[Measured]) -> list[str]:
    """A note for each file with classes that others have no examples of."""
    tested = {of.name: set(np.unique(of.labels).tolist()) for of in measured}
    everywhere = set.intersection(*tested.values())
    names = measured[0].group.evaluations[0].class_names
    return [
        f"{name}: {number_of(len(only), 'class')} with examples here, but not in every file: "
        f"{shortened_list([names[c] for c in sorted(only)], NAMED)}."
        for name, of in tested.items()
        if (only := of - everywhere)
    ]


def number_of(number: int, what: str) -> str:
    """'1 class', '2 classes'."""
    return f"{number:,} {what}{'' if number == 1 else 'es' if what.endswith('s') else 's'}"


def how_chosen(tau: str, frequency: Int[np.ndarray, " class"]) -> list[str]:
    """Notes on adjusted logits."""
    chosen = (
        f"τ = {tau}, of 0, 0.1, ..., 2: chosen on each random half of the examples by the largest mean accuracy over classes, and "
        "judged on the other half"
    )
    absent = "In the adjustment, a class without training images counts as one with a single image"
    return [chosen, absent] if (frequency == 0).any() else [chosen]


def notes_on(content: PredictionFile, labels: Int[np.ndarray, " example"], table: ClassTable) -> list[str]:
    """What a reader must know of the classes and examples of a file."""
    notes = []
    if content.left_out:
        notes.append(f"{number_of(content.left_out, 'example')} without a label left out")
    if content.labels_by_row:
        notes.append(
            f"Its labels are those of {content.labels_by_row} in the order of the rows; a column 'filename' in both would join them"
        )
    if content.logits is not None:
        is_one = (
            "add up to 1 within their rounding"
            if content.are_probabilities
            else "do not add up to 1, or have negative numbers"
        )
        kind = "probabilities" if content.are_probabilities else "logits"
        order = f", in the order of the classes of {table.origin}" if content.classes is None else ""
        notes.append(f"Its rows {is_one}: they are read as {kind}{order}")
    examples = np.bincount(labels, minlength=len(table.names))
    for count, what in ((examples, "test example"), (table.frequency, "training image")):
        if absent := [table.names[place] for place in np.flatnonzero(count == 0)]:
            notes.append(
                f"{number_of(len(absent), 'class')} without a {what}, which slopes and f50 leave out: {shortened_list(absent, NAMED)}"
            )
    if len(set(table.frequency.tolist())) == 1:
        notes.append("All classes have equally many training images: there is no bias towards frequent ones to measure")
    return notes
