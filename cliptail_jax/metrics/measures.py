"""The measures of an evaluation: one table for logs, reports, the page, claims, figures and sheets.

To add a measure, add an entry to `_table`. Every evaluation that has the data then computes it and writes it to summary.jsonl,
all tables of measures show it in its format, it can be the statistic of a claim, and `cliptail measure` prints it, if
`prediction_measures` has it.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int, Num
from scipy.sparse import csr_array

from cliptail_jax.metrics.bootstrap import (
    Bootstrapped,
    Estimate,
    bootstrap,
    if_defined,
    mean_over_classes,
    mean_over_parts,
    percentiles,
)
from cliptail_jax.metrics.calibration import Calibration, expected_calibration_error, mean_confidence
from cliptail_jax.metrics.correlation import decades, mean_rank_correlation, slope_within_classes
from cliptail_jax.metrics.groups import group_accuracy
from cliptail_jax.metrics.odds import images_for_half, odds_slope
from cliptail_jax.metrics.retrieval import CUTOFFS, RetrievalResults, hits
from cliptail_jax.metrics.seeds import SeedVariance, geometric_mean_over_seeds, mean_over_seeds

GROUPS = {"head": "head", "mid": "middle", "tail": "tail"}  # of classes by frequency, with their names in texts
POINTS = "accuracies (points)"
UNSEEN = "no training or test image"
PERCENT = (0.0, 100.0)
MORE_BIASED, MORE_ACCURATE = "more biased", "more accurate"
CLASSES, QUERIES, PROBES = "classes", "queries", "probes"
NAME_TOKENS = "name_tokens"  # a value by class: the tokens per word of its name


@dataclasses.dataclass(frozen=True)
class ClassResults:
    """The counts and values by class of one evaluation, the input of measures.

    Attributes:
        correct: the number of examples of each class that are predicted correctly.
        examples: the number of all examples of each class.
        predictions: the number of predictions of each class.
        frequency: the class frequency of the training data; None if it is unknown.
        groups: the class ids of head, mid and tail; empty without a ranking of the classes.
        calibration: None if it was not counted.
        values: further values, such as `nc1`; nan for classes without one.
        top5: the number of examples whose class is among the five largest logits; None if it was not counted.
    """

    correct: Int[np.ndarray, " class"]
    examples: Int[np.ndarray, " class"]
    predictions: Int[np.ndarray, " class"]
    frequency: Int[np.ndarray, " class"] | None = None
    groups: Mapping[str, Int[np.ndarray, " _"]] = dataclasses.field(default_factory=dict)
    calibration: Calibration | None = None
    values: Mapping[str, Float[np.ndarray, " class"]] = dataclasses.field(default_factory=dict)
    top5: int | None = None

    @classmethod
    def from_confusion(cls, confusion: Int[np.ndarray, "class label"] | csr_array, **fields) -> "ClassResults":
        """The results of counts of examples by true class (rows) and predicted class (columns).

        Args:
            confusion: predicted classes without examples may follow as further columns.
            fields: the other fields.

        Example:
            summarize(ClassResults.from_confusion(confusion, frequency=frequency))["corr_acc"]
        """
        confusion = csr_array(confusion, dtype=np.int64)
        predictions = confusion.sum(axis=0)[: confusion.shape[0]]
        return cls(confusion.diagonal(), confusion.sum(axis=1), predictions, **fields)

    @functools.cached_property
    def accuracy(self) -> Float[np.ndarray, " class"]:
        """The share of each class's examples that are predicted correctly, in 0..1; nan without examples."""
        return np.where(self.examples > 0, self.correct / np.maximum(self.examples, 1), np.nan)

    @property
    def sizes(self) -> dict[str, int]:
        return {"examples": int(self.examples.sum())}


Results = ClassResults | RetrievalResults


@dataclasses.dataclass(frozen=True)
class Measure:
    """A number that describes an evaluation, with its computation and display.

    A measure with `variables` and a `statistic` can be compared between runs over the same classes by a bootstrap of the
    classes; other measures have only a `value`. A measure without a `value` is its statistic of a single run, with an
    interval. Measures of retrieval are over queries, which are images or captions, instead of classes.

    Attributes:
        key: its name in summary.jsonl, in claims and in sheets.
        title: the title of its column in tables.
        label: the label of its axis.
        unit: the unit of differences between runs; pictures of claims are grouped by unit.
        format: the format specification of its numbers.
        meaning: one phrase, which tables show as help.
        larger: what a larger value means: `MORE_BIASED`, `MORE_ACCURATE`, or '' for neither.
        margin: the largest difference that counts as no effect in the claims of `configs`.
        variables: from an evaluation to the arrays by class that the statistic takes; nan for classes that it leaves out.
        statistic: from the variables to a number. **Axes:** each variable is [run, ..., class], where `run` has the runs of a
            mirrored pair or a single run, and the axes between are resamples; the result is [...], one number for each
            resample. If there are many classes, an argument `times` [resample, class] is how often a resample has each.
        value: from an evaluation to a number, if the measure is not a statistic over classes or has no interval.
        group: 'head', 'mid' or 'tail', if it is a statistic over these classes of the first run that is compared.
        needs: the attributes and values of an evaluation that it needs.
        is_main: whether it is in log lines and in the tables of runs, not only in the table of all measures.
        option: the field of `config.eval` that makes an evaluation compute it.
        exclusion: why a class has no variable, if slopes leave such classes out.
        must_be_defined: whether it is undefined if more than 2.5 % of its resamples are undefined.
        is_logarithmic: whether its mean over seeds is a geometric mean.
        bounds: the smallest and the largest possible value, which intervals do not leave.
        weights: from an evaluation to the weight of each class, for the mean over classes of accuracies in percent; None for other
            measures. Differences of such measures have intervals over the examples of these classes, too.
        population: what its statistic is over: 'classes'; 'queries' of retrieval; or 'probes', the classes of linear probes,
            which claims compare instead of evaluations.
    """

    key: str
    title: str
    label: str
    unit: str
    format: str
    meaning: str
    larger: str = ""
    margin: float = 0.0
    variables: Callable[[Results], tuple[Num[np.ndarray, " class"], ...]] | None = None
    statistic: Callable[..., Float[np.ndarray, "..."] | float] | None = None
    value: Callable[[Results], float] | None = None
    group: str = ""
    needs: Sequence[str] = ()
    is_main: bool = False
    option: str = ""
    exclusion: str = ""
    must_be_defined: bool = False
    is_logarithmic: bool = False
    bounds: tuple[float, float] = (-np.inf, np.inf)
    weights: Callable[[ClassResults], Float[np.ndarray, " class"]] | None = None
    population: str = CLASSES

    @property
    def has_interval(self) -> bool:
        return self.value is None and self.statistic is not None

    def is_known(self, results: Results) -> bool:
        """Whether an evaluation has the data that the measure needs."""
        return all(
            name in results.groups or name in results.values or getattr(results, name, None) is not None
            for name in self.needs
        )

    def compare(self, *groups: Sequence[Results]) -> list[Bootstrapped]:
        """The statistic of each group, a run or a mirrored pair, over the same resamples of the classes."""
        if not self.group:
            samples = (np.stack([np.stack(self.variables(run)) for run in runs], axis=1) for runs in groups)
            statistics = bootstrap(self.statistic, *samples)
            return list(map(if_defined, statistics)) if self.must_be_defined else statistics
        parts = []
        for runs in zip(*groups):  # each half of a mirrored pair has its own classes in this group
            rows = runs[0].groups[self.group]
            samples = (np.stack(self.variables(run))[:, None, rows] for run in runs)
            parts.append(bootstrap(self.statistic, *samples, seed=len(parts)))
        return [mean_over_parts(parts_of_group) for parts_of_group in zip(*parts)]

    def point(self, runs: Sequence[Results]) -> float:
        """The statistic of a run or a mirrored pair, without resamples."""
        sample = np.stack([np.stack(self.variables(run)) for run in runs], axis=1).astype(np.float64)
        return float(self.statistic(*sample[..., ~np.isnan(sample).any(axis=(0, 1))]))

    def mean_over_seeds(self, statistics: Sequence[Bootstrapped], variance: SeedVariance | None = None) -> Estimate:
        """The mean over seeds, or mirrored pairs, with its interval; the geometric one if the measure is logarithmic.

        `variance` is the variance between seeds; by default that of these seeds alone.
        """
        if self.is_logarithmic:
            return geometric_mean_over_seeds(statistics, variance)
        value, low, high, degrees = mean_over_seeds(statistics, variance)
        lowest, highest = self.bounds
        return Estimate(value, max(low, lowest), min(high, highest), degrees)

    def classes_left_out(self, runs: Sequence[Results]) -> int:
        """The number of classes without a variable in one of the runs, which the statistic leaves out."""
        variables = np.concatenate([np.stack(self.variables(run)) for run in runs])
        return int(np.isnan(variables).any(axis=0).sum())


def compare_probes(*groups: Sequence[Sequence[Float[np.ndarray, " _"]]]) -> list[Bootstrapped]:
    """The mean accuracy over classes of linear probes in percent, over sets and over the runs of each group.

    Args:
        groups: for each run of a group, its accuracies by class in 0..1 on each set. All have the same sets.
    """
    parts = []
    for n, groups_on_set in enumerate(zip(*(zip(*runs) for runs in groups))):
        parts.append(bootstrap(mean_over_classes, *(100 * np.array([runs]) for runs in groups_on_set), seed=n))
    return [mean_over_parts(parts_of_group) for parts_of_group in zip(*parts)]


def summarize(results: Results, keys: Iterable[str] | None = None) -> dict[str, float | int | list[float]]:
    """The known measures of an evaluation, all or those with `keys`, with KEY_interval if they have a 95 % interval.

    KEY_left_out is the number of classes or captions that a slope leaves out, and KEY_beyond is '<' or '>' for a number far
    outside of the data. Accuracies and recalls are in percent. The last keys are the sizes of the set.

    Example:
        summarize(ClassResults(correct, examples, predictions, frequency))["odds_acc"]
    """
    summary = {}
    for key in MEASURES if keys is None else keys:
        measure = MEASURES[key]
        if not measure.is_known(results) or measure.population == PROBES:
            continue
        if measure.has_interval:
            (statistic,) = measure.compare([results])
            summary[key], summary[f"{key}_interval"] = statistic.value, list(percentiles(statistic.draws))
            if np.isinf(statistic.value):  # JSON has no infinity
                summary[f"{key}_beyond"] = "<" if statistic.value < 0 else ">"
        else:
            summary[key] = measure.value(results)
        if measure.exclusion:
            summary[f"{key}_left_out"] = measure.classes_left_out([results])
    return summary | results.sizes


def main_measures() -> list[Measure]:
    """The measures in log lines and in the tables of runs."""
    return [measure for measure in MEASURES.values() if measure.is_main]


def prediction_measures() -> list[str]:
    """The keys of the measures of predictions: those over classes that need no features and no five likeliest classes."""
    contents = {"correct", "predictions", "frequency", "calibration", *GROUPS}
    return [
        key for key, m in MEASURES.items() if m.population == CLASSES and not m.option and contents.issuperset(m.needs)
    ]


def format_of(key: str) -> str:
    """The format of a measure; three digits if it is not in the table."""
    return MEASURES[key].format if key in MEASURES else ".3g"


def title_of(key: str) -> str:
    """The title of a measure; the key of a number that is not in the table."""
    return MEASURES[key].title if key in MEASURES else key


def label_of(key: str) -> str:
    """The label of a measure's axis; the key of a number that is not in the table."""
    return MEASURES[key].label if key in MEASURES else key


def _right_by_decades(results: ClassResults) -> tuple[Num[np.ndarray, " class"], ...]:
    """log10 of class frequency, and the numbers of right and of all examples of each class; nan for a class without any."""
    examples = np.where(results.examples > 0, results.examples, np.nan)
    return decades(results.frequency), results.correct, examples


def _percent_right(
    correct: Num[np.ndarray, "run ... class"],
    examples: Num[np.ndarray, "run ... class"],
    times: Float[np.ndarray, "resample class"] | None = None,
) -> Float[np.ndarray, "..."] | float:
    """Accuracy in percent over the examples of all classes and runs. A class counts `times`. nan without examples."""
    if times is not None:
        correct, examples = correct * times, examples * times
    with np.errstate(invalid="ignore"):
        return 100 * (correct.sum(axis=(0, -1)) / examples.sum(axis=(0, -1)))


def _overconfidence(results: ClassResults, group: str) -> float:
    """The mean confidence minus the mean accuracy over a group of classes, in points."""
    rows = results.groups[group]
    confidence = mean_confidence(results.calibration)
    return group_accuracy(confidence, rows) - group_accuracy(results.accuracy, rows)


def _equal_weights(
    results: ClassResults, classes: Int[np.ndarray, " _"] | slice = slice(None)
) -> Float[np.ndarray, " class"]:
    """Equal weights of those of these classes that have examples, and 0 for the others."""
    weights = np.zeros(len(results.examples))
    weights[classes] = results.examples[classes] > 0
    return weights / max(weights.sum(), 1)


def _of_group(group: str, meaning: str) -> Measure:
    return Measure(
        key=group, title=group, label=f"accuracy of the {GROUPS[group]} (%)", unit=POINTS,
        format=".1f", meaning=f"accuracy on the {meaning} classes in percent", margin=2.0,
        larger=MORE_ACCURATE, bounds=PERCENT, weights=lambda results: _equal_weights(results, results.groups[group]),
        variables=lambda results: (100 * results.accuracy,), statistic=mean_over_classes,
        value=lambda results: group_accuracy(results.accuracy, results.groups[group]),
        group=group, needs=(group,), is_main=True,
    )  # fmt: skip


def _mean_of(key: str, label: str, meaning: str, option: str = "") -> Measure:
    """The mean over classes of a value by class."""
    return Measure(
        key=key, title=key, label=label, unit=key, format=".3g", meaning=meaning, option=option, needs=(key,),
        variables=lambda results: (results.values[key],), statistic=mean_over_classes,
        value=lambda results: float(np.nanmean(results.values[key])),
    )  # fmt: skip


def _correlation(key: str, label: str, meaning: str, variables, needs: Sequence[str], **options) -> Measure:
    return Measure(
        key=key, title=key, label=label, unit="correlations", format=".2f", meaning=meaning, margin=0.1,
        variables=variables, statistic=mean_rank_correlation, needs=needs, bounds=(-1.0, 1.0), **options,
    )  # fmt: skip


# Label and meaning of the means over classes of neural collapse, by key.
COLLAPSE = {
    "within_class_similarity": ("within-class similarity", "mean cosine of a class's features with their mean"),
    "nc1": ("NC1", "variation within classes relative to that between them"),
    "nc2_mean": ("NC2", "mean cosine of a class mean with those of the other classes"),
    "nc2_nearest": ("NC2, nearest class", "cosine of a class mean with the nearest other one"),
    "nc2_head_mean": ("NC2 of the head's rows", "mean cosine of a class's row of the head with the other rows"),
    "nc2_head_nearest": (
        "NC2 of the head's rows,\nnearest class",
        "cosine of a class's row with the nearest other one",
    ),
}
SIMILARITIES = {
    "image_image_similarity": ("image-image similarity", "mean cosine of two images of a class"),
    "image_text_similarity": ("image-text similarity", "mean cosine of an image and its class's embedding"),
    "image_text_similarity_std": ("image-text similarity, σ", "its standard deviation over the images of a class"),
}


def _table() -> tuple[Measure, ...]:
    main = (
        Measure(
            key="top1", title="top-1 %", label="top-1 accuracy (%)", unit=POINTS, format=".1f",
            meaning="accuracy in percent", larger=MORE_ACCURATE, margin=2.0, is_main=True, needs=("correct",),
            variables=lambda results: (results.correct, results.examples), statistic=_percent_right,
            value=lambda results: float(_percent_right(results.correct[None], results.examples[None])),
            bounds=PERCENT, weights=lambda results: results.examples / results.examples.sum(),
        ),
        Measure(
            key="top5", title="top-5 %", label="top-5 accuracy (%)", unit=POINTS, format=".1f",
            meaning="share of images whose class is among the five likeliest, in percent", larger=MORE_ACCURATE, needs=("top5",),
            value=lambda results: 100 * results.top5 / max(results.examples.sum(), 1),
        ),
        Measure(
            key="odds_acc", title="odds_acc", label="log-odds of being right\nper decade of frequency",
            unit="log-odds per decade", format=".2f",
            meaning="gain in log-odds of being right with ten times as many images", larger=MORE_BIASED, margin=0.2, is_main=True,
            variables=_right_by_decades, statistic=odds_slope, needs=("frequency",), exclusion=UNSEEN,
        ),
        Measure(
            key="f50", title="f50", label="images for an accuracy of 50 %", unit="images", format=",.1f",
            meaning="the number of images with which a class is recognized half of the time (< or > far outside of all)", is_main=True,
            variables=_right_by_decades, statistic=images_for_half, needs=("frequency",), must_be_defined=True,
            is_logarithmic=True,
        ),
        Measure(
            key="slope_pred", title="slope_pred", label="decades of predictions\nper decade of frequency",
            unit="decades per decade", format=".2f",
            meaning="gain in decades of predictions with ten times as many images", larger=MORE_BIASED, margin=0.05, is_main=True,
            variables=lambda r: (decades(r.frequency), decades(r.predictions / max(r.predictions.sum(), 1))),
            statistic=slope_within_classes, needs=("frequency",), exclusion="no training image or no prediction",
        ),
        _of_group("head", "most frequent"),
        _of_group("mid", "middle"),
        _of_group("tail", "rarest"),
        Measure(
            key="slope_acc", title="slope_acc", label="points of accuracy\nper decade of frequency",
            unit="points per decade", format=".1f",
            meaning="points of accuracy that a class gains with ten times as many images", larger=MORE_BIASED, margin=3.0, is_main=True,
            variables=lambda results: (decades(results.frequency), 100 * results.accuracy),
            statistic=slope_within_classes, needs=("frequency",), exclusion=UNSEEN,
        ),
        _correlation(
            "corr_acc", "correlation of frequency\nand accuracy (corr_acc)",
            "Spearman's correlation of class frequency with accuracy",
            lambda results: (results.frequency, results.accuracy), ("frequency",), larger=MORE_BIASED, is_main=True,
        ),
        _correlation(
            "corr_pred", "correlation of frequency\nand predictions (corr_pred)",
            "Spearman's correlation of class frequency with predictions",
            lambda results: (results.frequency, results.predictions), ("frequency",), larger=MORE_BIASED, is_main=True,
        ),
    )  # fmt: skip
    other_measures = [
        Measure(
            key="mean_per_class", title="mean per class %", label="mean accuracy\nof a class (%)", unit=POINTS, format=".1f",
            meaning="accuracy in percent if each class had as many test images", larger=MORE_ACCURATE, margin=2.0, needs=("correct",),
            variables=lambda results: (100 * results.accuracy,), statistic=mean_over_classes,
            bounds=PERCENT, weights=_equal_weights,
        ),
        _correlation(
            "corr_acc_pred", "correlation of predictions\nand accuracy",
            "Spearman's correlation of predictions with accuracy",
            lambda results: (results.predictions, results.accuracy), ("predictions",),
        ),
        Measure(
            key="ece", title="ECE %", label="expected calibration\nerror (%)", unit=POINTS, format=".1f",
            meaning="expected calibration error in percent", needs=("calibration",),
            value=lambda results: 100 * expected_calibration_error(results.calibration),
        ),
    ]  # fmt: skip
    for group, name in GROUPS.items():
        other_measures.append(
            Measure(
                key=f"overconfidence_{group}",
                title=f"overconfidence_{group}",
                unit=POINTS,
                format=".1f",
                label=f"overconfidence\non the {name} (%)",
                needs=("calibration", group),
                meaning=f"mean confidence minus accuracy on the {name} in points",
                value=lambda results, group=group: _overconfidence(results, group),
            )  # fmt: skip
        )
    for key, (label, meaning) in COLLAPSE.items():
        other_measures += [
            _mean_of(key, label, meaning, "neural_collapse"),
            _correlation(
                f"corr_{key}", f"correlation of\nfrequency and {label}",
                f"Spearman's correlation of class frequency with {key}",
                lambda results, key=key: (results.frequency, results.values[key]), ("frequency", key),
                option="neural_collapse",
            ),
            _correlation(
                f"corr_{key}_acc", f"correlation of\naccuracy and {label}", f"Spearman's correlation of accuracy with {key}",
                lambda results, key=key: (results.accuracy, results.values[key]), (key,), option="neural_collapse",
            ),
        ]  # fmt: skip
    other_measures += [_mean_of(key, label, meaning, "similarity") for key, (label, meaning) in SIMILARITIES.items()]
    other_measures += [
        _mean_of(NAME_TOKENS, "tokens per word\nof a class name", "tokens per word of a class name"),
        _correlation(
            f"corr_{NAME_TOKENS}", "correlation of frequency\nand tokens per word",
            "Spearman's correlation of class frequency with the tokens per word of class names",
            lambda results: (results.frequency, results.values[NAME_TOKENS]), ("frequency", NAME_TOKENS),
        ),
    ]  # fmt: skip
    probe = Measure(
        key="probe", title="linear probe %", label="accuracy of linear probes (%)", unit=POINTS, format=".1f",
        meaning="mean accuracy over classes of linear probes in percent", larger=MORE_ACCURATE, margin=1.0, population=PROBES,
    )  # fmt: skip
    return (*main, *other_measures, *_retrieval(), probe)


AVERAGE_RANKS = {"mean": np.mean, "median": lambda ranks: np.floor(np.median(ranks))}  # as in open_clip


def _retrieval() -> list[Measure]:
    """Recalls and ranks in both directions, and the slope of recall over the frequency of a caption's rarest word.

    The slope is that of recall at 5, the default cutoff of CLIP_benchmark: recalls near 0 (at 1, of a weak model) or 100 (at
    10, of a strong one) have no room for a slope. It is over captions, each counted by itself even if several captions
    describe the same image.
    """
    measures = []
    for key, name in (("image_to_text", "image→text"), ("text_to_image", "text→image")):
        direction, common = key.replace("_", " "), {"needs": (key,), "format": ".1f", "population": QUERIES}
        for k in CUTOFFS:
            measures.append(
                Measure(
                    key=f"{key}_r{k}", title=f"{name} R@{k} %", label=f"{name} recall\nat {k} (%)", unit="recalls (points)",
                    meaning=f"recall at {k} from {direction} in percent", larger=MORE_ACCURATE, margin=2.0, is_main=k == 1, **common,
                    variables=lambda results, key=key, k=k: (hits(getattr(results, key), k),), statistic=mean_over_classes,
                    value=lambda results, key=key, k=k: hits(getattr(results, key), k).mean(),
                )
            )  # fmt: skip
        for average, average_rank in AVERAGE_RANKS.items():
            measures.append(
                Measure(
                    key=f"{key}_{average}_rank", title=f"{name} {average} rank", label=f"{average} rank,\n{name}",
                    unit="ranks", meaning=f"{average} rank from {direction}, counted from 1", **common,
                    value=lambda results, key=key, average_rank=average_rank: 1.0 + average_rank(getattr(results, key)),
                )
            )  # fmt: skip
    slope = Measure(
        key="retrieval_slope", title="retrieval_slope", label="points of text→image R@5\nper decade of word frequency",
        unit="points per decade", format=".1f", larger=MORE_BIASED, margin=3.0, is_main=True, population=QUERIES,
        meaning="points of text to image recall at 5 that a caption gains if ten times as many training captions have its "
        "rarest word",
        variables=lambda results: (decades(results.word_frequency), hits(results.text_to_image, 5)),
        statistic=slope_within_classes, needs=("word_frequency",), exclusion="a rarest word of no training caption",
    )  # fmt: skip
    return [*measures, slope]


MEASURES: dict[str, Measure] = {measure.key: measure for measure in _table()}
