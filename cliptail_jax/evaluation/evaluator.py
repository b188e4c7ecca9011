"""What the evaluations of a model on its sets share: compiled functions, and passes over images."""

import functools
from collections.abc import Callable

from flax import nnx
from jax.sharding import Mesh

from cliptail_jax.config.sections import Evaluation, Reading
from cliptail_jax.evaluation.counting import (
    Pass,
    make_encode_images,
    make_evaluate_batch,
    make_pass,
    make_sum_probabilities,
)
from cliptail_jax.evaluation.ranks import make_rank
from cliptail_jax.input.pipeline import Examples
from cliptail_jax.input.preprocess import Preprocess


class Evaluator:
    """The compiled functions of models of one definition, and passes over the images of sets.

    Args:
        preprocess: the preprocessing of the model's images.
        reading, cache, keep_workers: as for `cliptail_jax.evaluation.counting.make_pass`.
    """

    def __init__(
        self,
        graphdef: nnx.GraphDef,
        mesh: Mesh,
        preprocess: Preprocess,
        options: Evaluation,
        reading: Reading,
        cache: bool = False,
        keep_workers: bool = False,
    ):
        self.mesh, self.options = mesh, options
        self.evaluate_batch = make_evaluate_batch(graphdef, mesh, preprocess)
        self.sum_probabilities = make_sum_probabilities(graphdef, mesh, preprocess)
        self.encode_images = make_encode_images(graphdef, mesh, preprocess, unit_length=True)
        self.rank = make_rank(mesh)
        self._make_pass = functools.partial(
            make_pass,
            preprocess=preprocess,
            reading=reading,
            mesh=mesh,
            batch_size=options.batch_size,
            cache=cache,
            keep_workers=keep_workers,
        )
        self._passes: dict[str, Pass] = {}

    def cached_pass(self, name: str, examples: Examples, give_up: Callable[[], bool]) -> Pass:
        """The function that passes over the images of a set, and ends early if `give_up` returns True."""
        if name not in self._passes:
            self._passes[name] = self._make_pass(examples, title=f"evaluating {examples.source.name}")
        return functools.partial(self._passes[name], give_up=give_up)
