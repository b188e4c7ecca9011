"""What the evaluations of a model on its sets share: compiled functions, and passes over images."""

import itertools
from collections.abc import Callable, Iterable

from flax import nnx
from jax.sharding import Mesh
from ml_collections import ConfigDict
from tqdm import tqdm

from cliptail_jax.config.sections import evaluation_pixels
from cliptail_jax.evaluation.counting import make_encode_images, make_evaluate_batch, make_sum_probabilities
from cliptail_jax.evaluation.ranks import make_rank
from cliptail_jax.input.pipeline import Batch, Examples, UnreadableImages, evaluation_batches
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.parallel.sharding import local_rows


class Evaluator:
    """The compiled functions of models of one definition, and passes over the images of sets.

    Args:
        preprocess: of the model's images.
        options: `config.eval`.
        reading: `config.data`; the fields of `cliptail_jax.config.sections.Reading` are used.
        cache: whether images are kept in memory, decoded, from one pass to the next.
        keep_workers: whether worker processes continue from one pass over a set to the next.
    """

    def __init__(
        self,
        graphdef: nnx.GraphDef,
        mesh: Mesh,
        preprocess: Preprocess,
        options: ConfigDict,
        reading: ConfigDict,
        cache: bool = False,
        keep_workers: bool = False,
    ):
        self.mesh, self.options = mesh, options
        self.evaluate_batch = make_evaluate_batch(graphdef, mesh, preprocess)
        self.sum_probabilities = make_sum_probabilities(graphdef, mesh, preprocess)
        self.encode_images = make_encode_images(graphdef, mesh, preprocess, unit_length=True)
        self.rank = make_rank(mesh)
        self._preprocess, self._reading, self._cache, self._keep_workers = preprocess, reading, cache, keep_workers
        self._passes: dict[str, tuple[Callable[[], Iterable[Batch]], UnreadableImages]] = {}

    def pass_over(
        self, name: str, examples: Examples, give_up: Callable[[], bool]
    ) -> tuple[Callable[[], Iterable[Batch]], UnreadableImages]:
        """The function that starts a pass over a set, which ends early if `give_up` returns True."""
        batch_size = self.options.batch_size
        if name not in self._passes:
            batches = evaluation_batches(
                examples,
                self._preprocess,
                batch_size=batch_size,
                slots=local_rows(batch_size),
                workers=self._reading.workers,
                cache=self._cache,
                keep_workers=self._keep_workers,
                **evaluation_pixels(self._reading),
            )
            self._passes[name] = batches, UnreadableImages(examples, self._reading.max_unreadable)
        start_pass, unreadable = self._passes[name]

        def started() -> Iterable[Batch]:
            steps, title = -(-len(examples) // batch_size), f"evaluating {examples.source.name}"
            batches = tqdm(start_pass(), title, steps, disable=None, leave=False)
            return itertools.takewhile(lambda _: not give_up(), batches)

        return started, unreadable
