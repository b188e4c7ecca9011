"""Detects runs that are no better than chance, whose small slopes do not show robustness."""

from collections.abc import Sequence

from cliptail_jax.metrics.bootstrap import Bootstrapped, mean_over_seeds
from cliptail_jax.metrics.measures import MEASURES, ClassResults


def twice_chance(classes: int) -> float:
    """The accuracy in percent with twice the odds of chance; for many classes about 200 / classes."""
    return 200 / (classes + 1)


def chance_note(replicates: Sequence[Sequence[ClassResults]]) -> str:
    """The reason why runs count as at chance (the interval of their accuracy includes twice chance), else ''.

    Args:
        replicates: the results of the runs of each seed or mirrored pair, over the same classes.
    """
    classes = len(replicates[0][0].correct) if replicates else 0
    if classes < 2:
        return ""
    accuracies: list[Bootstrapped] = [MEASURES["top1"].compare(results)[0] for results in replicates]
    estimate, bound = mean_over_seeds(accuracies), twice_chance(classes)
    if not estimate.low <= bound:
        return ""
    interval = f"{estimate.value:.1f} % [{estimate.low:.1f}, {estimate.high:.1f}]"
    return f"its top-1 of {interval} is not above twice chance, {bound:.1f} %"
