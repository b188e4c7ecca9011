"""A model whose evaluation is in memory, for example because it is known only by its predictions."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.measures import ClassResults, summarize
from cliptail_jax.results.evaluation import ClassEvaluation
from cliptail_jax.results.transfers import Transfer
from cliptail_jax.runs.records import Summary


@dataclasses.dataclass(frozen=True)
class EvaluatedModel:
    """A model with one evaluation and no files. It has those attributes of a `Run` that a `RunGroup` reads.

    Attributes:
        name: the name of the model; all its seeds have the same.
        seed: the name of the seed's directory, such as 'seed_0'; '' without one.
        evaluation: the evaluation.
        config: how the evaluation was made, in the form of a run's config.
        warnings: notes on the evaluation that a reader must know.
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

    @functools.cached_property
    def summary(self) -> Summary:
        return summarize(self.evaluation.results)

    def summary_of(self, key: str) -> Summary:
        """The part of the summary on the measure `key`, without those of others, which may take long to compute."""
        return summarize(self.evaluation.results, [key])

    def evaluated_on(self, set_name: str) -> ClassEvaluation:
        """The evaluation. Raises UserError for another set."""
        if set_name != self.evaluation.set_name:
            raise UserError(f"{self.name} is not evaluated on {set_name}")
        return self.evaluation

    def names_and_selection(self) -> tuple[str, dict[str, Any]]:
        """Empty, because the selection of classes is unknown."""
        return "", {}
