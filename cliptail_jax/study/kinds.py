"""What the runs of one name, with all seeds, say together."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from cliptail_jax.metrics.bootstrap import Estimate, mean_over_seeds
from cliptail_jax.report.comparison import BIAS
from cliptail_jax.runs import FinishedRun
from cliptail_jax.study.claims import Replicate
from cliptail_jax.study.statistics import SLOPES, STATISTICS, left_out
from cliptail_jax.study.trained_run import TrainedRun

UNDEFINED = Estimate(np.nan, np.nan, np.nan)


@dataclasses.dataclass(frozen=True)
class Kind:
    """The runs of one name.

    Attributes:
        trained: the runs.
        evaluations: their evaluations on their first set; none if they have no set.
        bias: the statistics in BIAS with their intervals.
        left_out: by slope, the number of classes that it leaves out, the largest of all seeds or mirrored pairs.
    """

    trained: Sequence[TrainedRun]
    evaluations: Sequence[FinishedRun]
    bias: dict[str, Estimate]
    left_out: dict[str, int]


def kinds_of(replicates: Sequence[Replicate]) -> dict[str, Kind]:
    """The kinds of a study's runs by name, those that were trained with at least one seed."""
    names = dict.fromkeys(name for replicate in replicates for runs in replicate for name in runs)
    return {name: kind_of(name, replicates) for name in names}


def kind_of(name: str, replicates: Sequence[Replicate]) -> Kind:
    trained = [[runs[name] for runs in replicate if name in runs] for replicate in replicates]
    evaluated = [[found for run in runs if (found := run.evaluation())] for runs in trained]
    # A statistic of a mirrored pair needs both of its runs, over the same classes.
    whole = [
        runs
        for runs, replicate in zip(evaluated, replicates)
        if len(runs) == len(replicate) and len({run.class_names for run in runs}) == 1
    ]
    bias = {}
    for key in BIAS:
        values = [value for runs in whole if not np.isnan((value := STATISTICS[key].of(runs)[0]).value)]
        bias[key] = mean_over_seeds(values) if values else UNDEFINED
    without = {key: max((left_out(key, runs) for runs in whole), default=0) for key in SLOPES}
    return Kind(sum(trained, []), sum(evaluated, []), bias, without)
