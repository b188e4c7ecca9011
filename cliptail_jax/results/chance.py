"""Whether runs are no better than chance, where a small slope is no robustness."""

from collections.abc import Sequence

from cliptail_jax.metrics.bootstrap import Bootstrapped, mean_over_seeds
from cliptail_jax.metrics.measures import MEASURES, ClassResults


def twice_chance(classes: int) -> float:
    """The accuracy in percent with twice the odds of chance: over many classes 200 / classes, which over two would be 100."""
    return 200 / (classes + 1)


def chance_note(replicates: Sequence[Sequence[ClassResults]]) -> str:
    """Why runs count as at chance: the interval of their accuracy reaches down to twice chance; '' if it does not.

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
