"""The most informative test images of each class, with the prediction of each run."""

import functools
import json
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int

from cliptail_jax.curation.variant import Variant
from cliptail_jax.evaluation.sets import open_run_set, open_set
from cliptail_jax.host.errors import UserError
from cliptail_jax.report.thumbnails import thumbnails
from cliptail_jax.report.training_images import data_section
from cliptail_jax.results.evaluation import ClassEvaluation, count_confusion
from cliptail_jax.results.run import Run
from cliptail_jax.runs.evaluations import UNKNOWN

READ_BY_EVALUATION = ("data.name", "data.data_dir", "data.class_names", "data.seed")


class EvaluationImages:
    """The records that a run is evaluated on.

    Attributes:
        records: in ascending order.
        labels: the class of each, as the run numbers classes.
    """

    def __init__(self, variant: Variant):
        self.records, self.labels = variant.records, variant.labels
        self._source = variant.source
        self._thumbnails: dict[int, str] = {}  # a study writes its page after each run, mostly with the same images

    def encoded(self, records: Sequence[int]) -> list[bytes]:
        return self._source.encoded_images(records)

    def thumbnails(self, records: Sequence[int]) -> list[str]:
        new = [record for record in records if record not in self._thumbnails]
        self._thumbnails.update(zip(new, thumbnails(self._source, new)))
        return [self._thumbnails[record] for record in records]


def open_images(run: Run) -> EvaluationImages:
    """The images of a run's evaluation.

    Raises:
        UserError: the set is missing or damaged, or is not the one on which the run was evaluated.
    """
    evaluation, config = run.evaluation, run.config
    if run.is_published:
        images = open_published_images(evaluation.set_name, config.get("data.data_dir", ""))
    else:
        values = json.dumps({key: config[key] for key in READ_BY_EVALUATION if key in config})
        images = open_run_images(evaluation.set_name, values, config.get("eval.random_classes", 0), run.class_names)
    if not are_evaluated(images.labels, evaluation):
        raise UserError(f"{evaluation.set_name} has other images or labels than at the evaluation")
    return images


def are_evaluated(labels: Int[np.ndarray, " image"], evaluation: ClassEvaluation) -> bool:
    """Whether images with these labels can be those of an evaluation. Archives, without predictions, show only their counts."""
    predicted, confusion = evaluation.predicted, evaluation.confusion
    classes = confusion.shape[0]
    if labels.max() >= classes:
        return False
    if predicted is None:
        return np.array_equal(np.bincount(labels, minlength=classes), evaluation.results.examples)
    if len(labels) != len(predicted):
        return False
    is_known = predicted != UNKNOWN
    return (count_confusion(labels[is_known], predicted[is_known], classes) != confusion).nnz == 0


@functools.lru_cache(maxsize=8)
def open_published_images(set_name: str, data_dir: str) -> EvaluationImages:
    return EvaluationImages(open_set(set_name, data_dir).variant)


@functools.lru_cache(maxsize=8)
def open_run_images(set_name: str, values: str, random_classes: int, class_names: tuple[str, ...]) -> EvaluationImages:
    """`values` are those of the fields in READ_BY_EVALUATION, as JSON."""
    data = data_section(values)
    return EvaluationImages(open_run_set(set_name, random_classes, data, class_names, uses_prompts=True).variant)


def most_informative_images(right: Bool[np.ndarray, "run image"], number: int) -> list[int]:
    """Choose images so that, if possible, each run gets one right and one wrong.

    Each image covers most of what the images before it leave uncovered. Among equals, it is the first one on which runs
    disagree most. A smaller number of images is the beginning of a larger one.
    """
    pairs = np.concatenate([right, ~right])
    disagreement = np.minimum(right.sum(axis=0), (~right).sum(axis=0)) / (1 + len(right))
    is_open, images = np.ones(len(pairs), bool), []
    for _ in range(min(number, right.shape[1])):
        gain = pairs[is_open].sum(axis=0) + disagreement
        gain[images] = -1
        images.append(int(gain.argmax()))
        is_open &= ~pairs[:, images[-1]]
        if not pairs[is_open].any():
            is_open[:] = True
    return images
