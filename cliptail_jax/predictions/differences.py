"""Differences of the measures of two files of predictions, with verdicts.

Differences of accuracies have intervals over the examples, and those of other measures over classes, by a paired bootstrap.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from cliptail_jax.claims.testing import compare_replicates, with_difference
from cliptail_jax.claims.verdicts import CONTRADICTED, NO_EFFECT, SUPPORTED, ClaimResult
from cliptail_jax.host.errors import UserError, did_you_mean
from cliptail_jax.metrics.examples import over_examples, paired_variances
from cliptail_jax.metrics.measures import MEASURES, prediction_measures
from cliptail_jax.report.predictions import difference_text, frame, outcomes
from cliptail_jax.results.claims import EXAMPLES, Claim
from cliptail_jax.results.group import UNDEFINED, RunGroup

if TYPE_CHECKING:
    import pandas


UNTESTED = "undefined"  # a verdict


def check_measure(key: str, error: type[Exception] = UserError) -> None:
    """Raise the error if there is no measure of this name."""
    if key not in MEASURES:
        keys = ", ".join(prediction_measures())
        raise error(f"there is no measure '{key}'{did_you_mean(key, MEASURES)}: there are {keys}")


class Difference:
    """The differences a − b of measures. Each is an attribute, such as `(a - b).odds_acc`.

    Attributes:
        a: the name of the first predictions.
        b: the name of the second predictions.
        claims: the test of each measure; a claim without a difference could not be tested.

    Example:
        difference = measure(labels, predictions_a, frequency) - measure(labels, predictions_b, frequency)
        difference.odds_acc, difference.interval("odds_acc"), difference.verdict("odds_acc")
    """

    def __init__(self, a: str, b: str, claims: Mapping[str, ClaimResult]):
        self.a, self.b, self.claims = a, b, claims

    def __getattr__(self, key: str) -> float:
        check_measure(key, AttributeError)
        claim = self.claims.get(key)
        return claim.difference.value if claim and claim.difference else math.nan

    def interval(self, key: str) -> tuple[float, float]:
        """The 95 % interval of the difference in a measure; nan if it could not be tested.

        Raises UserError if there is no such measure.
        """
        check_measure(key)
        claim = self.claims.get(key)
        if claim is None or claim.difference is None:
            return math.nan, math.nan
        return float(claim.difference.low), float(claim.difference.high)

    def verdict(self, key: str) -> str:
        """Which is more biased or more accurate; 'no difference' within ± the margin, 'inconclusive', or 'undefined'."""
        check_measure(key)
        claim = self.claims.get(key)
        if claim is None or claim.difference is None:
            return UNTESTED
        higher, _ = outcomes(claim)
        words = {
            SUPPORTED: f"{self.a} is {higher}",
            CONTRADICTED: f"{self.b} is {higher}",
            NO_EFFECT: "no difference",
        }
        return words.get(claim.verdict, claim.verdict)

    @property
    def obstacle(self) -> str:
        """Why no measure could be compared; '' if one could."""
        reasons = [claim.obstacle for claim in self.claims.values()]
        return "" if not all(reasons) else reasons[0]

    def table(self) -> str:
        """The differences with their intervals, margins and verdicts, as text."""
        if self.obstacle:
            return f"{self.a} and {self.b} are not compared: {self.obstacle}"
        rows = {key: (claim.difference, claim.margin, self.verdict(key)) for key, claim in self.claims.items()}
        return difference_text(f"{self.a} − {self.b}", rows)

    def __repr__(self) -> str:
        return self.table()

    def to_pandas(self) -> "pandas.DataFrame":
        """A row for each measure: difference, low, high, margin and verdict. Raises UserError without pandas."""
        rows = {
            key: (*(claim.difference or UNDEFINED)[:3], claim.margin, self.verdict(key))
            for key, claim in self.claims.items()
        }
        return frame(rows, ("difference", "low", "high", "margin", "verdict"))


class Predictions(NamedTuple):
    """The predictions of a model for one set of examples.

    Attributes:
        group: the evaluation of each seed.
        labels: the class of each example.
        keys: the file name of each example; None if they are unknown.
    """

    group: RunGroup
    labels: Int[np.ndarray, " example"]
    keys: Sequence[str] | None

    @property
    def is_right(self) -> Bool[np.ndarray, "seed example"]:
        """Which examples each seed has right."""
        return np.stack([evaluation.predicted == self.labels for evaluation in self.group.evaluations])


def difference(a: Predictions, b: Predictions) -> Difference:
    """The differences a − b. Raises UserError if classes, examples or numbers of seeds differ."""
    names = (a.group.name, b.group.name) if a.group.name != b.group.name else ("a", "b")
    if a.group.evaluations[0].class_names != b.group.evaluations[0].class_names:
        raise UserError(f"{names[0]} and {names[1]} have different classes, so that they cannot be compared by class")
    if not same_examples(a.labels, a.keys, b.labels, b.keys):
        raise UserError(f"{names[0]} and {names[1]} have different examples, so that they cannot be compared by class")
    if len(a.group.runs) != len(b.group.runs):
        raise UserError(
            f"{names[0]} has {len(a.group.runs)} seeds and {names[1]} has {len(b.group.runs)}: give as many of each"
        )
    replicates = [[dict(zip(names, pair))] for pair in zip(a.group.runs, b.group.runs)]
    results = a.group.evaluations[0].results
    order = other_order = np.arange(len(a.labels))
    if a.keys is not None and b.keys is not None:
        order, other_order = np.lexsort((a.labels, a.keys)), np.lexsort((b.labels, b.keys))
    right, other_right = a.is_right[:, order], b.is_right[:, other_order]
    variances = paired_variances(right, other_right, a.labels[order], len(results.examples))
    claims = {}
    for measure in (MEASURES[key] for key in prediction_measures()):
        if measure.statistic:
            claim = Claim(
                "", measure.key, *names, margin=measure.margin, population=EXAMPLES if measure.weights else ""
            )
            result, contrasts = compare_replicates(claim, replicates)
            if measure.weights:
                contrasts = [over_examples(measure, contrast, [results], [variances]) for contrast in contrasts]
            claims[measure.key] = with_difference(result, contrasts, None) if contrasts else result
    return Difference(*names, claims)


def same_examples(
    labels: Int[np.ndarray, " example"],
    keys: Sequence[str] | None,
    other_labels: Int[np.ndarray, " other"],
    other_keys: Sequence[str] | None,
) -> bool:
    """Whether two files have the same examples: by file name in any order, or else the same labels in the same order."""
    if keys is not None and other_keys is not None:
        return sorted(zip(keys, labels.tolist())) == sorted(zip(other_keys, other_labels.tolist()))
    return np.array_equal(labels, other_labels)
