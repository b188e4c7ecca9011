"""The measures of predictions, in memory: those of one file, or of a file for each seed."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.host.arrays import as_array
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.lazy import LazyMapping
from cliptail_jax.host.text import shortened_list
from cliptail_jax.metrics import imbalance
from cliptail_jax.metrics.bootstrap import Estimate
from cliptail_jax.metrics.effective_prior import SL_PER_DECADE, is_same_prior, per_decade
from cliptail_jax.metrics.measures import MEASURES, ClassResults, prediction_measures
from cliptail_jax.metrics.recipes import effective_log_prior
from cliptail_jax.predictions import adjustment
from cliptail_jax.predictions.arguments import predictions_in_memory
from cliptail_jax.predictions.classes import ClassTable
from cliptail_jax.predictions.differences import Difference, Predictions, check_measure, difference, same_examples
from cliptail_jax.predictions.evaluations import (
    MAX_NAMES,
    ClassNumbers,
    check_examples,
    class_numbers,
    evaluated_model,
    evaluation_of,
    groups_of_classes,
    notes_on,
    number_of,
)
from cliptail_jax.predictions.reading import PredictionFile, with_rows
from cliptail_jax.report.predictions import (
    adjustment_advice,
    code_text,
    frame,
    measures_text,
    no_adjustment_text,
    no_scale_text,
    overconfidence_text,
    recipe_text,
)
from cliptail_jax.results.evaluated import EvaluatedModel
from cliptail_jax.results.group import RunGroup
from cliptail_jax.results.run import ADJUSTED, WITHOUT_PRIOR

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure


NEAR_ZERO = 0.1  # a τ, by which adjustment changes next to nothing
FAR = 0.5  # of the best τ from that of the recipe
LARGE_TAU = 1.5  # that of SL is near 1
CURVE = ("top1", "mean_per_class", "odds_acc", "slope_pred", "head", "mid", "tail")


class Adjusted(NamedTuple):
    """The results of logit adjustment.

    Attributes:
        tau: the τ to use: the one given, or the smallest with the largest mean accuracy over classes on all examples.
        by_tau: for each τ, the means over files of the measures of the adjusted predictions of all examples.
        cross_validation: the measures of the predictions of each half with the τ that was chosen on the other half; or of all
            examples with a given τ.
        column_counts: the number of training images of the class of each column of the logits.
        are_probabilities: whether probabilities were measured, and not logits.
        is_given: whether τ is given.
        confidence: the mean softmax probability of the predicted classes without adjustment, in percent.
        recipe: the recipe of the model, such as 'sl'; None if it is not given.
        recipe_tau: the τ that removes the slope of the recipe's effective log-prior; nan without a recipe, or for classes
            that are all equally frequent.
    """

    tau: float
    by_tau: Mapping[float, Mapping[str, float]]
    cross_validation: "Measured"
    column_counts: Int[np.ndarray, " class"]
    are_probabilities: bool
    is_given: bool
    confidence: float
    recipe: str | None
    recipe_tau: float

    @property
    def lacks_scale(self) -> bool:
        """Whether logits are far too small for a softmax, as cosines are: less than half as confident as they are right."""
        return not self.is_given and self.confidence < self.by_tau[0.0]["top1"] / 2

    @property
    def is_needed(self) -> bool:
        """Whether τ is given, or is larger than 0.1 for logits that have their scale."""
        return self.is_given or self.tau > NEAR_ZERO and not self.lacks_scale

    @property
    def code(self) -> str:
        """The lines that adjust logits by τ, in NumPy and in PyTorch; '' if that is not needed."""
        return code_text(self.tau, self.are_probabilities) * self.is_needed


class Measured:
    """The measures of predictions. Each is an attribute, such as `m.odds_acc`; accuracies are in percent.

    Attributes:
        group: the evaluation of each seed.
        labels: the class of each example.
        keys: the file name of each example; None if they are unknown.
        adjusted: the results of logit adjustment; None without logits.
        without_prior: the measures of the logits minus the effective log-prior of the model's recipe; None if the recipe is
            not given, or favours no class.

    Example:
        m = measure(labels, predictions, frequency)
        m.odds_acc, m.interval("odds_acc"), m.notes
    """

    def __init__(
        self,
        group: RunGroup,
        labels: Int[np.ndarray, " example"],
        keys: Sequence[str] | None = None,
        adjusted: Adjusted | None = None,
        without_prior: "Measured | None" = None,
    ):
        self.group, self.labels, self.keys = group, labels, keys
        self.adjusted, self.without_prior = adjusted, without_prior

    @property
    def name(self) -> str:
        return self.group.name

    @property
    def predictions(self) -> Predictions:
        return Predictions(self.group, self.labels, self.keys)

    @property
    def notes(self) -> list[str]:
        """Facts on the files that a reader must know."""
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
        """The known measures of predictions with their intervals; nan if undefined. With several seeds, they are means."""
        keys = (key for key in prediction_measures() if all(map(MEASURES[key].is_known, self.results)))
        return LazyMapping(keys, self._estimate)

    def estimate(self, key: str) -> Estimate:
        """A measure with its interval, as in `estimates`. Raises UserError if there is no such measure."""
        check_measure(key)
        return self.estimates[key] if key in self.estimates else self._estimate(key)

    def _estimate(self, key: str) -> Estimate:
        measure = MEASURES[key]
        if key in self.group.estimates:
            return self.group.estimates[key]
        if measure.statistic is None:
            return Estimate(self.group.mean(key))
        if not all(map(measure.is_known, self.results)):
            return Estimate(np.nan)
        return measure.mean_over_seeds([measure.compare([results])[0] for results in self.results])

    def adjust(self, logits: Float[np.ndarray, "*batch class"]) -> Float[np.ndarray, "*batch class"]:
        """Logits − τ log π of further examples, with the τ of `adjusted`, or as they are if `advice` is not to adjust them.

        Columns are in the order of those measured. If probabilities were measured, these are probabilities, too.

        Raises UserError if predictions or logits without their scale were measured, or the numbers have another number of classes or
        are no probabilities.
        """
        if self.adjusted is None:
            raise UserError(f"{self.name} are predictions, which cannot be adjusted: measure logits [example, class]")
        if self.adjusted.lacks_scale:
            raise UserError(self.advice)
        values = as_array("logits", logits)
        if self.adjusted.are_probabilities:
            if (values < 0).any():
                raise UserError(
                    f"{self.name} were measured as probabilities, and these are negative: give probabilities"
                )
            with np.errstate(divide="ignore"):
                values = np.log(values)
        return imbalance.adjust(values, self.adjusted.column_counts, self.adjusted.tau * self.adjusted.is_needed)

    @functools.cached_property
    def gain(self) -> Difference | None:
        """How adjustment changes the measures; None without logits."""
        return self.adjusted and self.adjusted.cross_validation - self

    @property
    def advice(self) -> str:
        """Whether to adjust the logits, by which τ, and what changes, as a sentence; '' without logits."""
        if self.adjusted is None:
            return ""
        adjusted = self.adjusted
        if adjusted.lacks_scale:
            return no_scale_text(self.name, adjusted.are_probabilities, adjusted.confidence, self.top1)
        if adjusted.is_needed:
            claim, adjusted_measures = self.gain.claims[adjustment.CHOSEN_ON], adjusted.cross_validation.estimates
            text = adjustment_advice(
                self.name, adjusted.tau, adjusted.is_given, self.estimates, adjusted_measures, claim
            )
        else:
            text = no_adjustment_text(self.name, adjusted.tau)
        if not np.isnan(adjusted.recipe_tau):
            is_far = abs(adjusted.tau - adjusted.recipe_tau) > FAR and not adjusted.is_given
            return f"{text} {recipe_text(adjusted.recipe, adjusted.recipe_tau, is_far)}"
        is_overconfident = adjusted.tau > LARGE_TAU and not adjusted.is_given and adjusted.confidence > self.top1
        return f"{text} {overconfidence_text(adjusted.confidence, self.top1)}" if is_overconfident else text

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
            UserError: the other measures have other examples or classes.
            TypeError: `other` is not a `Measured`.

        Example:
            gain = measure(labels, logits, frequency).adjusted.cross_validation - measure(labels, logits, frequency)
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
    trained_with: str | None = None,
    tau: float | None = None,
) -> Measured:
    """Measure how biased predictions are towards frequent classes.

    Args:
        labels: the true class of each example, by name or number. Numbers are indices of `classes`, or else of `frequency`.
        predictions: the predicted class of each example; or logits or probabilities [example, class].
        frequency: the number of training images by class: a mapping from names or numbers (such as a `Counter`, or a pandas
            Series), or a list in the order of class numbers.
        name: the name of the predictions in tables and pictures.
        classes: the classes of the columns of logits, such as `classes_` of a model of scikit-learn; by default those of
            `frequency` in its order. A `Counter` or a Series has no such order, unless its classes are the numbers from 0 on.
        trained_with: the recipe of a model with logits, such as 'sl' or 'batch:64' (`forecast` has all): also measure its
            logits without the recipe's effective log-prior.
        tau: the τ by which to adjust logits, larger than 0. By default, it is chosen by the mean accuracy over classes.

    Raises:
        UserError: the arguments do not fit, or measures are undefined for most classes.
        TypeError: an argument is neither a list nor an array, or logits are no real numbers.

    >>> from cliptail_jax import measure
    >>> labels = ["cat"] * 10 + ["dog"] * 10 + ["owl"] * 10
    >>> predictions = ["cat"] * 14 + ["dog"] * 7 + ["cat"] * 6 + ["owl"] * 3
    >>> measured = measure(labels, predictions, {"cat": 1000, "dog": 100, "owl": 10})
    >>> f"top-1 {measured.top1:.0f} %, log-odds per decade {measured.odds_acc:.1f}"
    'top-1 63 %, log-odds per decade 1.8'
    """
    content, table = predictions_in_memory(labels, predictions, frequency, classes)
    return measured_seeds(name, [content], table, trained_with, tau)


def measured_seeds(
    name: str,
    files: Sequence[PredictionFile],
    table: ClassTable,
    trained_with: str | None = None,
    tau: float | None = None,
) -> Measured:
    """The measures of a file, or of a file for each seed. `trained_with` and `tau` are as for `measure`.

    Raises:
        UserError: the files do not fit the class table or each other, or have too few examples.
    """
    check_arguments(name, files, trained_with, tau)
    log_prior = None
    if trained_with is not None:  # a class without training images counts as one with a single image
        log_prior = effective_log_prior(trained_with, np.maximum(table.frequency, 1))
    files, numbers = in_one_order(files, [class_numbers(content, table) for content in files], table)
    labels, keys, seeds = numbers[0].labels, files[0].keys, seed_names(len(files))
    for content, seed_numbers in zip(files, numbers):
        check_examples(seed_numbers.labels, table, content.path)
        if not same_examples(labels, keys, seed_numbers.labels, content.keys):
            raise UserError(f"{files[0].path} and {content.path} of {name} have other examples: seeds share theirs")
    runs = []
    for content, seed, seed_numbers in zip(files, seeds, numbers):
        notes = notes_on(content, seed_numbers.labels, table)
        runs.append(evaluated_model(name, seed, evaluation_of(*seed_numbers[:3], table), content.path, notes))
    if paths := [content.path for content in files if content.logits is None]:
        if len(paths) < len(files):
            note = f"Without logits in {', '.join(paths)}, there is no calibration and no adjustment"
            runs[0] = dataclasses.replace(runs[0], warnings=[*runs[0].warnings, note])
        return Measured(group_of(runs), labels, keys)
    adjusted = adjusted_seeds(name, files, numbers, table, trained_with, log_prior, tau)
    without_prior = None
    if log_prior is not None and not is_same_prior(log_prior, np.zeros(len(log_prior))):
        notes = [f"Logits minus the effective log-prior of {trained_with}: those for equally frequent classes"]
        models = []
        for content, seed, seed_numbers in zip(files, seeds, numbers):
            predicted = adjustment.predict(seed_numbers.logits, log_prior, np.ones(len(labels)))
            evaluation, kind = evaluation_of(seed_numbers.labels, *predicted, table), name + WITHOUT_PRIOR
            models.append(evaluated_model(kind, seed, evaluation, content.path, notes, without_prior=trained_with))
        without_prior = Measured(group_of(models), labels, keys)
    return Measured(group_of(runs), labels, keys, adjusted, without_prior)


def in_one_order(
    files: Sequence[PredictionFile], numbers: Sequence[ClassNumbers], table: ClassTable
) -> tuple[list[PredictionFile], list[ClassNumbers]]:
    """The files with their examples in the order of the first one, if all have file names, and the classes in them."""
    if any(content.keys is None or len(content.keys) != len(files[0].keys or ()) for content in files):
        return [*files], [*numbers]
    orders = [np.lexsort((part.labels, content.keys)) for content, part in zip(files, numbers)]
    places = np.argsort(orders[0])  # of the first file's examples in the order of names
    ordered_files, ordered_numbers = [files[0]], [numbers[0]]
    for content, part, order in zip(files[1:], numbers[1:], orders[1:]):
        if not np.array_equal(order, orders[0]):
            content = with_rows(content, order[places])
            part = class_numbers(content, table)
        ordered_files.append(content)
        ordered_numbers.append(part)
    return ordered_files, ordered_numbers


def check_arguments(name: str, files: Sequence[PredictionFile], trained_with: str | None, tau: float | None) -> None:
    """Raise UserError if τ is not positive, or if a recipe or τ is given for predictions without logits."""
    if tau is not None and not 0 < tau < np.inf:
        raise UserError(f"τ is {tau:g}: choose a positive number, such as 1")
    if all(content.logits is not None for content in files):
        return
    if trained_with is not None:
        raise UserError(
            f"{name} has no logits, from which to subtract the log-prior of {trained_with}: give logits, or no recipe"
        )
    if tau is not None:
        raise UserError(f"{name} has no logits to adjust by τ = {tau:g}: give logits, or no τ")


def adjusted_seeds(
    name: str,
    files: Sequence[PredictionFile],
    numbers: Sequence[ClassNumbers],
    table: ClassTable,
    trained_with: str | None,
    log_prior: Float[np.ndarray, " class"] | None,
    tau: float | None,
) -> Adjusted:
    """The results of logit adjustment; `numbers` are the classes in each of the files, which have logits."""
    models, curves, notes = [], [], notes_on_tau(tau, table.frequency)
    for content, seed, seed_numbers in zip(files, seed_names(len(files)), numbers):
        labels = seed_numbers.labels
        result = adjustment.adjust(seed_numbers.logits, labels, table.frequency, content.keys, tau)
        evaluation = evaluation_of(labels, *result.predicted, table)
        taus = [*dict.fromkeys(result.selected_taus)]
        models.append(evaluated_model(name + ADJUSTED, seed, evaluation, content.path, notes, taus))
        curves.append(curve(result.by_tau, labels, table))
    mean_curve = {tau: mean_of_each([measures[tau] for measures in curves]) for tau in curves[0]}
    accuracy = np.array([measures[adjustment.CHOSEN_ON] for measures in mean_curve.values()]) / 100
    return Adjusted(
        tau=adjustment.best_tau(accuracy) if tau is None else tau,
        by_tau=mean_curve,
        cross_validation=Measured(group_of(models), numbers[0].labels, files[0].keys),
        column_counts=table.frequency[numbers[0].columns],
        are_probabilities=files[0].are_probabilities,
        is_given=tau is not None,
        confidence=float(np.mean([100 * seed_numbers.confidence.mean() for seed_numbers in numbers])),
        recipe=trained_with,
        recipe_tau=np.nan
        if log_prior is None
        else per_decade(log_prior, np.maximum(table.frequency, 1)) / SL_PER_DECADE,
    )


def seed_names(number: int) -> list[str]:
    """The names of so many seeds; '' for a single one."""
    return [f"seed_{seed}" for seed in range(number)] if number > 1 else [""]


def group_of(runs: Sequence[EvaluatedModel]) -> RunGroup:
    return RunGroup(runs[0].name, [[run] for run in runs])


def curve(
    by_tau: Int[np.ndarray, "tau example"], labels: Int[np.ndarray, " example"], table: ClassTable
) -> dict[float, dict[str, float]]:
    """The measures of adjusted predictions of all examples, for each τ."""
    classes, examples = len(table.names), np.bincount(labels, minlength=len(table.names))
    measures = {}
    for tau, predicted in zip(adjustment.TAUS.tolist(), by_tau):
        correct = np.bincount(labels[predicted == labels], minlength=classes)
        predictions = np.bincount(predicted, minlength=classes)
        results = ClassResults(correct, examples, predictions, table.frequency, groups_of_classes(table))
        measures[tau] = {key: value_of(key, results) for key in CURVE}
    return measures


def value_of(key: str, results: ClassResults) -> float:
    """A measure without an interval."""
    measure = MEASURES[key]
    return measure.value(results) if measure.value else measure.point([results])


def mean_of_each(curves: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([measures[key] for measures in curves])) for key in curves[0]}


def corrected_parts(m: Measured) -> list[Measured]:
    """The measures of a file's adjusted predictions, if needed, and of those without the log-prior of its recipe, if known."""
    adjusted = m.adjusted.cross_validation if m.adjusted and m.adjusted.is_needed else None
    without_prior = m.without_prior if m.adjusted and not m.adjusted.lacks_scale else None
    return [part for part in (adjusted, without_prior) if part]


def with_adjusted(models: Sequence[Measured]) -> list[Measured]:
    """The measures of each file, followed by `corrected_parts`."""
    return [part for m in models for part in (m, *corrected_parts(m))]


def classes_in_some(models: Sequence[Measured]) -> list[str]:
    """A note for each file with examples of classes that other files lack."""
    classes = {m.name: set(np.unique(m.labels).tolist()) for m in models}
    common_classes = set.intersection(*classes.values())
    names = models[0].group.evaluations[0].class_names
    return [
        f"{name}: {number_of(len(further), 'class')} with examples here, but not in every file: "
        f"{shortened_list([names[c] for c in sorted(further)], MAX_NAMES)}."
        for name, own_classes in classes.items()
        if (further := own_classes - common_classes)
    ]


def notes_on_tau(tau: float | None, frequency: Int[np.ndarray, " class"]) -> list[str]:
    """Notes on adjusted logits, with a given τ or None."""
    choice = (
        "held out: on each random half of the examples, the τ of 0, 0.1, ..., 2 with the largest mean accuracy over classes is "
        "chosen, and judged on the other half"
        if tau is None
        else f"τ = {tau:g}, as given"
    )
    unseen = "In the adjustment, a class without training images counts as one with a single image"
    return [choice, unseen] if (frequency == 0).any() else [choice]
