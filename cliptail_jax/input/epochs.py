"""Values that each epoch computes once."""

from collections.abc import Callable
from typing import Generic, TypeVar

EpochValue = TypeVar("EpochValue")


class LastEpochs(Generic[EpochValue]):
    """The values of the last two epochs, which batches that are loaded ahead need, also in several threads."""

    def __init__(self, compute: Callable[[int], EpochValue]):
        self._compute = compute
        self._values: dict[int, EpochValue] = {}

    def __call__(self, epoch: int) -> EpochValue:
        value = self._values.get(epoch)
        if value is None:
            value = self._compute(epoch)
            previous_epoch = {e: v for e, v in self._values.items() if e == epoch - 1}  # another thread may use it
            self._values = previous_epoch | {epoch: value}
        return value
