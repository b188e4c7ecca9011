"""Whether predictions are better than random ones, by a test on the examples."""

import math

from cliptail_jax.metrics.measures import ClassResults


def chance_agreement(results: ClassResults) -> float:
    """The share of examples, in 0..1, that would be right if predictions did not depend on the true class.

    It is Σ_c (share of examples of c) (share of predictions of c), the expected agreement in Cohen's kappa (1960, Educational
    and Psychological Measurement 20): 1 / classes if all classes have as many examples, and the share of the only class that
    is predicted. nan without examples.
    """
    examples = results.examples.sum()
    if not examples:
        return math.nan
    return float(results.examples @ results.predictions) / float(examples) ** 2


def p_value_of_chance(results: ClassResults) -> float:
    """The probability of at least as many right examples by chance, by the exact binomial test; 1 without examples."""
    from scipy.special import bdtrc  # P(X > k)

    correct, examples = int(results.correct.sum()), int(results.examples.sum())
    if not correct:
        return 1.0
    return float(bdtrc(correct - 1, examples, chance_agreement(results)))
