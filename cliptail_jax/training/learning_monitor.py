"""Notices a run that does not learn, for those who do not look at it."""

from collections import deque
from collections.abc import Iterable

import numpy as np
from jaxtyping import Int

CLOSE = 0.002  # of the loss of chance
LINES = 5  # that must be so close
ALMOST_ALL = 0.99  # of the predictions
NO_PROGRESS, ONE_CLASS = "no progress", "one class"


class LearningMonitor:
    """Says once of each thing that is wrong what it is.

    Args:
        chance: the loss of a model that cannot tell what it is to tell; None if there is no such number.
        first_step: from which on a model is expected to do better.
        said: what was said in earlier sessions of the run.
    """

    def __init__(self, chance: float | None, first_step: int, said: Iterable[str] = ()):
        self._chance, self._first_step = chance, first_step
        self._losses: deque[float] = deque(maxlen=LINES)
        self._said = {kind for kind in (NO_PROGRESS, ONE_CLASS) if any(f"{kind}: " in text for text in said)}

    def loss(self, step: int, loss: float) -> str:
        """What is wrong with the losses up to that of `step`, each of a logged step; '' for nothing, or nothing new."""
        self._losses.append(loss)
        if self._chance is None or step < self._first_step or len(self._losses) < LINES:
            return ""
        if max(abs(loss - self._chance) for loss in self._losses) > CLOSE * self._chance:
            return ""
        return self._once(
            NO_PROGRESS,
            f"the loss is {loss:.3f} at step {step:,}, as without any knowledge ({self._chance:.3f}): the features may have "
            "collapsed; try a lower optimizer.learning_rate or more warm-up",
        )

    def predictions(self, step: int, on: str, predictions: Int[np.ndarray, " class"]) -> str:
        """What is wrong with how often each class is predicted on a set; '' for nothing, or nothing new."""
        share = predictions.max() / max(predictions.sum(), 1)
        if step < self._first_step or len(predictions) < 3 or share < ALMOST_ALL:
            return ""
        return self._once(
            ONE_CLASS,
            f"{share:.1%} of the predictions on {on} at step {step:,} are class {predictions.argmax()} of {len(predictions)}",
        )

    def _once(self, kind: str, text: str) -> str:
        if kind in self._said:
            return ""
        self._said.add(kind)
        return f"{kind}: {text}"
