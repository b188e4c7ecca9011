"""Evaluation by retrieval on a set without labels: the task, its pass over the images, and its files."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.concepts.tally import count_chunks
from cliptail_jax.concepts.word_counter import WordCounter
from cliptail_jax.evaluation.counting import FeatureCollector
from cliptail_jax.evaluation.evaluator import Evaluator
from cliptail_jax.evaluation.heads import ModelParts
from cliptail_jax.evaluation.pairs import PairSet
from cliptail_jax.evaluation.ranks import Rank
from cliptail_jax.formats.frequency_tables import read_frequency, write_frequency
from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.measures import summarize
from cliptail_jax.metrics.retrieval import RetrievalResults
from cliptail_jax.runs.console import log_line
from cliptail_jax.runs.evaluations import add_summary, evaluation_directory, write_retrieval_arrays
from cliptail_jax.runs.files import WORD_FREQUENCY

TrainingCaptions = Iterable[Sequence[str]]  # in chunks


@dataclasses.dataclass(frozen=True)
class RetrievalTask:
    """The evaluation of a model by retrieval.

    Attributes:
        eval_set: the set.
        settings: what the results depend on; they identify a finished evaluation.
        word_frequency: the number of training captions with each caption's rarest word; None if it is unknown.
    """

    eval_set: PairSet
    settings: Mapping[str, Any]
    word_frequency: Int[np.ndarray, " caption"] | None = None

    def measure(
        self,
        evaluator: Evaluator,
        parts: ModelParts,
        captions: Float[np.ndarray, "caption dim"],
        give_up: Callable[[], bool],
    ) -> RetrievalResults | None:
        """A pass over the images, and the ranks of images and captions among each other.

        `captions` are the features of the set's captions. Returns None if `give_up` returns True before the end. Raises UserError
        as `rank_pairs` does.
        """
        images = self.eval_set.images
        run_pass = evaluator.cached_pass(self.eval_set.name, images, give_up)
        collector = FeatureCollector(images)
        run_pass(lambda batch: evaluator.encode_images(parts, batch["images"]), [collector.add])
        if give_up():
            return None
        arrays = collector.result()
        return rank_pairs(evaluator.rank, self, arrays["features"], arrays["records"], captions, give_up)

    def write(self, workdir: Path, header: Mapping[str, Any], results: RetrievalResults) -> dict[str, Any]:
        """Write the files of the evaluation, and return its summary, which begins with `header`.

        The first process writes. The line in summary.jsonl is written last, so that latest.npz exists if it does.
        """
        summary = {**header, "set": self.eval_set.name, "settings": dict(self.settings), **summarize(results)}
        if jax.process_index() == 0:
            directory = evaluation_directory(workdir, self.eval_set.name)
            directory.mkdir(parents=True, exist_ok=True)
            write_retrieval_arrays(directory, results)
            add_summary(directory, summary)
        return summary


def rank_pairs(
    rank: Rank,
    task: RetrievalTask,
    images: Float[np.ndarray, "readable dim"],
    readable: Int[np.ndarray, " readable"],
    captions: Float[np.ndarray, "caption dim"],
    give_up: Callable[[], bool],
) -> RetrievalResults | None:
    """The ranks in both directions among the images that could be read and their captions; None if `give_up` returns True.

    Args:
        images: features of unit length.
        readable: their records, ascending.
        captions: the features of all captions of the set.

    Raises:
        UserError: fewer than two images could be read, or features are not finite.
    """
    eval_set = task.eval_set
    if len(readable) < 2:
        raise UserError(f"only {len(readable)} of {len(eval_set.images)} images of {eval_set.name} could be read")
    if number := sum(int(np.sum(~np.isfinite(features).all(1))) for features in (images, captions)):
        raise UserError(
            f"{number:,} images and captions of {eval_set.name} have features with NaN or infinite values: check the model's "
            "weights, and model.dtype"
        )
    place = np.full(len(eval_set.images), -1)  # of each image among the readable ones
    place[np.searchsorted(eval_set.images.records, readable)] = np.arange(len(readable))
    image_of = place[eval_set.image_of]
    caption_rows = np.flatnonzero(image_of >= 0)
    captions, image_of, rows = captions[caption_rows], image_of[caption_rows], np.arange(len(readable))
    image_to_text = rank(images, rows, captions, image_of, give_up)
    text_to_image = None if image_to_text is None else rank(captions, image_of, images, rows, give_up)
    if text_to_image is None:
        return None
    return RetrievalResults(
        image_to_text,
        text_to_image,
        readable,
        eval_set.caption_records[caption_rows],
        None if task.word_frequency is None else task.word_frequency[caption_rows],
        eval_set.without_caption + len(eval_set.captions) - len(caption_rows),
    )


def rarest_words(
    workdir: Path, eval_set: PairSet, training_captions: Callable[[], TrainingCaptions]
) -> Int[np.ndarray, " caption"] | None:
    """The number of a run's training captions with each caption's rarest word.

    The words are those of `cliptail_jax.concepts.word_counter`. They are counted once, and kept in the run's directory.
    If the training data or WordNet are missing, it is None, and a note gives the reason.
    """
    path = workdir / WORD_FREQUENCY
    try:
        counter, captions = WordCounter(), None if path.exists() else training_captions()
    except UserError as error:
        log_line(f"note: there are no word frequencies, and no slope of retrieval ({error})")
        return None
    if captions is not None:
        counts = count_chunks(counter, captions).counts.sort_by([("count", "descending"), ("name", "ascending")])
        names, frequency = counts["name"].to_pylist(), counts["count"].to_numpy()
        if names and jax.process_index() == 0:
            write_frequency(path, names, frequency)
    else:
        names, frequency = read_frequency(path)
    return counter.rarest(eval_set.captions, names, frequency)
