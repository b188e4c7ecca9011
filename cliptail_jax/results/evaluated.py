"""A model whose evaluation is in memory, such as the predictions of one that was trained elsewhere."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.measures import ClassResults
from cliptail_jax.results.evaluation import ClassEvaluation
from cliptail_jax.results.transfers import Transfer
from cliptail_jax.runs.records import Summary


@dataclasses.dataclass(frozen=True)
class EvaluatedModel:
    """What a group of runs reads of a run, for a model that has one evaluation and no files.

    Attributes:
        name: of the model; seeds of a model have the same.
        seed: the name of the seed's directory, such as 'seed_0'; '' without one.
        config: how the evaluation was made, as a run's config.
        warnings: what a reader must know of the evaluation.
    """

    name: str
    seed: str
    evaluation: ClassEvaluation
    config: Mapping[str, Any]
    warnings: Sequence[str] = ()

    is_finished: ClassVar[bool] = True
    images: ClassVar[None] = None
    seconds: ClassVar[None] = None
    log: ClassVar[Sequence[Mapping[str, Any]]] = ()
    transfers: ClassVar[Sequence[Transfer]] = ()
    course: ClassVar[Mapping[int, ClassResults]] = {}

    @property
    def latest(self) -> ClassEvaluation:
        return self.evaluation

    @property
    def summary(self) -> Summary:
        return self.evaluation.summary

    def evaluated_on(self, on: str) -> ClassEvaluation:
        """The evaluation. Raises UserError for another set."""
        if on != self.evaluation.on:
            raise UserError(f"{self.name} is not evaluated on {on}")
        return self.evaluation

    def names_and_selection(self) -> tuple[str, dict[str, Any]]:
        """As for a run; the selection of classes is not known."""
        return "", {}
