"""Aggregates runs that differ only in their seed or in the order of class frequencies."""

import functools
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.host.lazy import LazyMapping
from cliptail_jax.metrics.bootstrap import LEVEL, Bootstrapped, Estimate, Interval
from cliptail_jax.metrics.chance import chance_agreement, p_value_of_chance
from cliptail_jax.metrics.measures import CLASSES, MEASURES, ClassResults, Results, main_measures
from cliptail_jax.metrics.odds import firth_regression
from cliptail_jax.metrics.seeds import (
    SeedVariance,
    logarithms,
    pooled_variance,
    seed_variance,
)
from cliptail_jax.results.evaluated import EvaluatedModel
from cliptail_jax.results.evaluation import ClassEvaluation
from cliptail_jax.results.run import Run
from cliptail_jax.results.transfers import Transfer

Evaluated = Run | EvaluatedModel
UNDEFINED = Estimate(np.nan)


def mean_of(values: Sequence[float | None]) -> float:
    """The mean of the values that are defined; nan if none is."""
    defined_values = [value for value in values if value is not None and not math.isnan(value)]
    return float(np.mean(defined_values)) if defined_values else math.nan


def twice_chance(classes: int) -> float:
    """The accuracy in percent at twice the odds of chance; for many classes, about 200 / classes."""
    return 200 / (classes + 1)


class RunGroup:
    """Runs of one name that differ only in their seed or in the order of class frequencies.

    Attributes:
        name: the name of the runs.
        label: the name of the runs for readers, by default the same.
        replicates: the finished runs of each seed: one, or the two of a mirrored pair.
        size: the number of runs in a complete replicate.
        peers: all groups of the study; their seeds show how much repeated trainings differ.
    """

    def __init__(
        self,
        name: str,
        replicates: Sequence[Sequence[Evaluated]],
        size: int = 1,
        label: str = "",
        peers: Sequence["RunGroup"] = (),
    ):
        self.name, self.replicates, self.size, self.label, self.peers = name, replicates, size, label or name, peers

    @property
    def runs(self) -> list[Evaluated]:
        return [run for replicate in self.replicates for run in replicate]

    @functools.cached_property
    def evaluations(self) -> list[ClassEvaluation]:
        """The evaluations of its runs on their main sets, if these have labels."""
        return [run.evaluation for run in self.runs if run.evaluation]

    def mean(self, key: str) -> float:
        """The mean over runs of a number of their latest evaluations on their main sets; nan if none has it."""
        return mean_of([run.summary_of(key).get(key) for run in self.runs])

    @functools.cached_property
    def estimates(self) -> Mapping[str, Estimate]:
        """The main measures with intervals, such as slopes, of all its runs together."""
        return LazyMapping(self._keys_with_intervals, self._estimate)

    @property
    def _keys_with_intervals(self) -> list[str]:
        return [
            m.key
            for m in main_measures()
            if m.has_interval and (m.population == CLASSES or any(m.key in run.summary_of(m.key) for run in self.runs))
        ]

    @functools.cached_property
    def variances(self) -> Mapping[str, SeedVariance]:
        """The variances between its seeds of the main measures that claims compare; for f50, of its logarithm.

        Empty for one seed, and for runs at chance, because these vary less.
        """
        if (peer := next((peer for peer in self.peers if peer.name == self.name), self)) is not self:
            return peer.variances  # the peers are shared by all groups of the study
        if len(self.replicates) < 2 or self.chance_note():
            return {}
        groups = [m.key for m in main_measures() if m.statistic and m.group]  # their tables have no intervals
        variances = {key: seed_variance(self._scaled(key)) for key in (*self._keys_with_intervals, *groups)}
        return {key: variance for key, variance in variances.items() if variance}

    def _estimate(self, key: str) -> Estimate:
        kinds = {group.name: group.variances[key] for group in self.peers if key in group.variances}
        variance = pooled_variance(kinds, {self.name: 1}) if kinds and not self.chance_note() else None
        is_single = len(self.runs) == self.size == 1 and (variance is None or MEASURES[key].is_logarithmic)
        if is_single and key in (summary := self.runs[0].summary_of(key)):
            if side := summary.get(f"{key}_beyond"):
                return Estimate(-math.inf if side == "<" else math.inf)
            numbers = (summary.get(key), *(summary.get(f"{key}_interval") or (None, None)))
            return Estimate(*(math.nan if number is None else number for number in numbers))
        if not (statistics := self._statistics(key)):
            return UNDEFINED
        if MEASURES[key].is_logarithmic and key not in self.variances:
            variance = None  # it differs too much between kinds to use only that of the others
        return MEASURES[key].mean_over_seeds(statistics, variance)

    def _statistics(self, key: str) -> list[Bootstrapped]:
        """A measure of the complete replicates in which it is defined."""
        statistics = [MEASURES[key].compare(results)[0] for results in self._complete() if _has(key, results)]
        return [statistic for statistic in statistics if not math.isnan(statistic.value)]

    def _scaled(self, key: str) -> list[Bootstrapped]:
        """`_statistics` on the scale on which their mean over seeds is arithmetic."""
        return logarithms(self._statistics(key)) if MEASURES[key].is_logarithmic else self._statistics(key)

    @property
    def by_class(self) -> tuple[Int[np.ndarray, " class"], Float[np.ndarray, " class"]]:
        """Class frequency and accuracy of the classes of all its evaluations, one after the other."""
        frequencies, accuracies = zip(*((e.frequency, e.accuracy) for e in self.evaluations))
        return np.concatenate(frequencies), np.concatenate(accuracies)

    @functools.cached_property
    def odds_line(self) -> tuple[float, float]:
        """Log-odds of being right at one image and per decade: the regression of `odds_acc` over all its runs together."""
        results = [e.results for e in self.evaluations if e.frequency is not None]
        variables = [np.stack(MEASURES["odds_acc"].variables(r)) for r in results]
        classes = np.concatenate([np.zeros((3, 0)), *variables], axis=1)
        return firth_regression(*classes[:, None, ~np.isnan(classes).any(axis=0)])

    def left_out(self, key: str) -> int:
        """The number of classes that a measure leaves out: the largest number of any replicate."""
        if len(self.runs) == self.size == 1 and f"{key}_left_out" in (summary := self.runs[0].summary_of(key)):
            return summary[f"{key}_left_out"]
        return max((MEASURES[key].classes_left_out(runs) for runs in self._complete() if _has(key, runs)), default=0)

    def _complete(self, set_name: str = "") -> list[list[Results]]:
        """The results of the complete replicates on a set, by default the main one, over the same classes."""
        replicates = []
        for runs in self.replicates:
            evaluations = [run.evaluated_on(set_name) if set_name else run.latest for run in runs]
            evaluations = [evaluation for evaluation in evaluations if evaluation]
            if len(evaluations) == self.size and len({e.class_names for e in evaluations}) == 1:
                replicates.append([evaluation.results for evaluation in evaluations])
        return replicates

    def chance_note(self, set_name: str = "") -> str:
        """The reason why its runs count as at chance on a set, by default the main one; '' if they do not.

        They do if one of them is no better than random predictions, by a test on its own examples (`p_value_of_chance`). How
        much repeated trainings differ does not matter for this.
        """
        for results in itertools.chain(*self._complete(set_name)):
            has_classes = isinstance(results, ClassResults) and len(results.correct) > 1
            if has_classes and p_value_of_chance(results) > 1 - LEVEL:
                accuracy = MEASURES["top1"].value(results)
                chance = 100 * chance_agreement(results)
                examples = int(results.examples.sum())
                return f"{accuracy:.1f} % of {examples:,} examples are right, and by chance {chance:.1f} % would be"
        return ""

    def path(self, key: str) -> list[tuple[float, float]]:
        """Top-1 in percent and a measure at the evaluations during training that all runs share, in order.

        Evaluations at chance, where slopes mean little, and undefined values are left out.
        """
        courses = [[run.course for run in replicate if run.course] for replicate in self.replicates]
        courses = [replicate for replicate in courses if len(replicate) == self.size]
        all_courses = [course for replicate in courses for course in replicate]
        steps = [step for step in all_courses[0] if all(step in c for c in all_courses)] if all_courses else []
        points = []
        for step in steps:
            results = [[course[step] for course in replicate] for replicate in courses]
            top1 = mean_of([MEASURES["top1"].value(result) for replicate in results for result in replicate])
            is_known = all(_has(key, replicate) for replicate in results)
            value = mean_of([MEASURES[key].point(replicate) for replicate in results]) if is_known else math.nan
            if top1 > twice_chance(len(results[0][0].correct)) and math.isfinite(value):
                points.append((top1, value))
        return points

    def value(self, key: str) -> float:
        """A measure: that of all runs together, or its mean over runs."""
        return self.estimates[key].value if key in self.estimates else self.mean(key)

    def interval(self, key: str) -> Interval | None:
        """The interval of a main measure of all runs together; None if there is none."""
        _, *bounds = self.estimates.get(key, UNDEFINED)[:3]
        return None if any(map(math.isnan, bounds)) else Interval(*bounds)

    @property
    def transfers(self) -> list[Transfer]:
        return [result for run in self.runs for result in run.transfers]

    @property
    def images(self) -> float:
        return mean_of([run.images for run in self.runs])

    @property
    def minutes(self) -> float:
        return mean_of([run.seconds for run in self.runs]) / 60

    @property
    def images_per_second(self) -> float:
        """The mean over runs of the median over logged steps, without the first step, which compiles."""
        logs = [[line["images_per_second"] for line in run.log[1:] if "images_per_second" in line] for run in self.runs]
        return mean_of([float(np.median(rates)) for rates in logs if rates])


def _has(key: str, results: Sequence[Results]) -> bool:
    return all(MEASURES[key].is_known(result) for result in results)


def groups_of(
    replicates: Sequence[Sequence[Mapping[str, Evaluated]]], labels: Mapping[str, str] | None = None
) -> dict[str, RunGroup]:
    """The groups by name of the finished runs of a study.

    Args:
        replicates: for each seed or mirrored pair, the runs by name in each of its directories.
        labels: names of runs for readers, by run.

    Example:
        contents = read_directory(Path("runs/quickstart"))
        groups = groups_of(by_replicate(contents.study, contents.runs))
        slopes = {name: group.value("slope_acc") for name, group in groups.items()}
    """
    names = dict.fromkeys(name for replicate in replicates for runs in replicate for name in runs)
    size = len(replicates[0]) if replicates else 1
    runs_of = {name: [[runs[name] for runs in replicate if name in runs] for replicate in replicates] for name in names}
    peers = [RunGroup(name, runs, size) for name, runs in runs_of.items()]
    return {name: RunGroup(name, runs, size, (labels or {}).get(name, ""), peers) for name, runs in runs_of.items()}


def variances_of_a_run(groups: Iterable[RunGroup]) -> dict[str, SeedVariance]:
    """The variances between seeds of a run, or mirrored pair, of the main measures: the means over the kinds of a study.

    A measure is left out if fewer than two kinds have it with several seeds, and f50, because its variance differs by kind.
    """
    kinds: dict[str, dict[str, SeedVariance]] = {}
    for group in groups:
        for key, variance in group.variances.items():
            if not MEASURES[key].is_logarithmic:
                kinds.setdefault(key, {})[group.name] = variance
    means = {key: pooled_variance(variances, {"a run": 1}) for key, variances in kinds.items()}
    return {key: mean for key, mean in means.items() if mean and math.isfinite(mean.degrees)}
