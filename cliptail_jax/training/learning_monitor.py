"""Warnings about a run that does not learn."""

from collections import deque
from collections.abc import Iterable

import numpy as np
from jaxtyping import Int

CLOSE = 0.002  # relative distance to the loss of chance
LINES = 5  # logged losses in a row that must be so close
ALMOST_ALL = 0.99  # share of the predictions
NO_PROGRESS, ONE_CLASS = "no progress", "one class"


class LearningMonitor:
    """Warns at most once per problem.

    Args:
        chance: the loss of a model that predicts at random; None if it is not known.
        first_step: the step from which a model is expected to do better.
        old_warnings: the warnings of earlier sessions of the run.
    """

    def __init__(self, chance: float | None, first_step: int, old_warnings: Iterable[str] = ()):
        self._chance, self._first_step = chance, first_step
        self._losses: deque[float] = deque(maxlen=LINES)
        self._warning_kinds = {
            kind for kind in (NO_PROGRESS, ONE_CLASS) if any(f"{kind}: " in text for text in old_warnings)
        }

    def loss(self, step: int, loss: float) -> str:
        """A warning if the losses of the last logged steps, up to `step`, are those of chance; '' if not, or repeated."""
        self._losses.append(loss)
        if self._chance is None or step < self._first_step or len(self._losses) < LINES:
            return ""
        if max(abs(loss - self._chance) for loss in self._losses) > CLOSE * self._chance:
            return ""
        return self._once(
            NO_PROGRESS,
            f"the loss is {loss:.3f} at step {step:,}, the loss of random predictions ({self._chance:.3f}): the features may have "
            "collapsed; try a lower optimizer.learning_rate or more warm-up",
        )

    def predictions(self, step: int, set_name: str, predictions: Int[np.ndarray, " class"]) -> str:
        """A warning if nearly all predictions on the set `set_name` are one class; '' if not, or repeated.

        `predictions` counts the predictions of each class.
        """
        share = predictions.max() / max(predictions.sum(), 1)
        if step < self._first_step or len(predictions) < 3 or share < ALMOST_ALL:
            return ""
        return self._once(
            ONE_CLASS,
            f"{share:.1%} of the predictions on {set_name} at step {step:,} are class {predictions.argmax()} of 0 to {len(predictions) - 1}",
        )

    def _once(self, kind: str, text: str) -> str:
        if kind in self._warning_kinds:
            return ""
        self._warning_kinds.add(kind)
        return f"{kind}: {text}"
