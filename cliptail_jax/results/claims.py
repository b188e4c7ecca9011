"""Claims as a study states them, before its runs."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from cliptail_jax.metrics.measures import MEASURES

CLAIM, RECIPE = "†", "‡"  # marks of changes since the first run


EQUAL_ACCURACY = "equal accuracy"
EXAMPLES = "examples"


@dataclasses.dataclass(frozen=True)
class Claim:
    """A claim in a study's config: that one run exceeds another in a statistic, or that both are equal in it.

    Attributes:
        text: the claim in words.
        statistic: the key of a measure.
        higher: the run that should be higher, or a number.
        lower: the other run, or a number.
        margin: the largest difference that counts as no effect; `cliptail_jax.experiments.studies.claim` has the defaults.
        set: the evaluation or transfer set; by default the first one, or for retrieval the first retrieval set.
        equal: whether the claim is that the difference is within ± the margin.
        threshold: the number that the difference should exceed, by default 0.
        condition: "equal accuracy" compares the runs at the final accuracy of the least accurate one; "" compares them at their end.
        reference: two further runs, or two numbers such as forecasts, whose difference is subtracted, for a claim on a
            difference of differences.
        study: the results of another study that tests a claim on the runs of `reference`: its report.json, or the name of
            one in configs/study/results; "" for this study.
        population: "examples" if the interval of a difference in accuracy is over the test examples of these classes; "" if it is over
            the population of the statistic, such as classes.
    """

    text: str
    statistic: str
    higher: str | float
    lower: str | float
    margin: float = 0.0
    set: str = ""
    equal: bool = False
    threshold: float = 0.0
    condition: str = ""
    reference: Sequence[str | float] = ()
    study: str = ""
    population: str = ""

    def __post_init__(self):
        if self.statistic not in MEASURES:
            raise ValueError(f"there is no measure '{self.statistic}'")

    @property
    def runs(self) -> list[str]:
        """The compared runs of this study."""
        names = (self.higher, self.lower, *(() if self.study else self.reference))
        return [name for name in names if isinstance(name, str)]

    @property
    def comparison(self) -> str:
        """The comparison as text, such as 'a − b > 0.5'."""
        text = f"{self.higher} − {self.lower}"
        if self.reference:
            text = f"({text}) − ({self.reference[0]} − {self.reference[1]}{f' in {self.study}' * bool(self.study)})"
        return text + f" > {self.threshold:g}" * bool(self.threshold)

    @property
    def quantity(self) -> str:
        """The statistic with its set and its point in training, such as 'slope_acc on icons_test at equal accuracy'."""
        return self.statistic + f" on {self.set}" * bool(self.set) + f" at {self.condition}" * bool(self.condition)


class Change(NamedTuple):
    """A change after the first run of a study.

    Attributes:
        mark: '†' if the claim was added or changed, '‡' if only the recipe of its runs changed.
        text: the fields with their old and new values.
    """

    mark: str = ""
    text: str = ""
