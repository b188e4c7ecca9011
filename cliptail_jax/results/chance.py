"""Whether runs are no better than chance, where a small slope is no robustness."""

from collections.abc import Sequence

from cliptail_jax.metrics.bootstrap import Bootstrapped, mean_over_seeds
from cliptail_jax.metrics.measures import MEASURES, ClassResults


def chance_note(replicates: Sequence[Sequence[ClassResults]]) -> str:
    """Why runs count as at chance: the interval of their accuracy reaches down to twice the odds of chance; else ''.

    Over many classes, twice the odds are twice the accuracy of chance, 1 / classes; over two, the latter would be 100 %.

    Args:
        replicates: the results of the runs of each seed or mirrored pair, over the same classes.
    """
    classes = len(replicates[0][0].correct) if replicates else 0
    if classes < 2:
        return ""
    accuracies: list[Bootstrapped] = [MEASURES["top1"].compare(results)[0] for results in replicates]
    estimate, bound = mean_over_seeds(accuracies), 100 * 2 / (classes + 1)
    if not estimate.low <= bound:
        return ""
    interval = f"{estimate.value:.1f} % [{estimate.low:.1f}, {estimate.high:.1f}]"
    return f"its top-1 of {interval} is not above twice chance, {bound:.1f} %"
