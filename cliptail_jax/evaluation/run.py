"""The evaluations of a run, during training and afterwards."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Float, Int

from cliptail_jax.config.training import Data, RunEvaluation
from cliptail_jax.evaluation.captioned import caption_frequency
from cliptail_jax.evaluation.evaluator import Evaluator
from cliptail_jax.evaluation.heads import ModelParts, columns_of
from cliptail_jax.evaluation.labelled import LabelledTask
from cliptail_jax.evaluation.pairs import open_pairs
from cliptail_jax.evaluation.results import COUNTED, evaluation_settings
from cliptail_jax.evaluation.retrieval import RetrievalTask, TrainingCaptions, rarest_words
from cliptail_jax.evaluation.sets import open_run_set, with_class_names
from cliptail_jax.evaluation.tasks import Task, evaluate_tasks, make_texts
from cliptail_jax.host.errors import UserError
from cliptail_jax.input.bag_of_words import BagOfWords
from cliptail_jax.input.pipeline import ReadText
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.runs.console import log_line
from cliptail_jax.runs.evaluations import check_directories

# From a model's parts, the step, the epoch, and whether to give up, to the summaries by set.
Evaluate = Callable[..., dict[str, dict[str, Any]]]


def make_evaluate(
    graphdef: nnx.GraphDef,
    mesh: Mesh,
    *,
    workdir: Path,
    options: RunEvaluation,
    data: Data,
    preprocess: Preprocess,
    class_names: tuple[str, ...],
    frequency: Int[np.ndarray, " class"],
    read_prompts: ReadText | BagOfWords | None,
    training_captions: Callable[[], TrainingCaptions],
    other_head: str = "",
    own_prior: Float[np.ndarray, " class"] | None = None,
) -> Evaluate:
    """A function that evaluates a run's model on all sets of `options`, writes their files, and returns their summaries.

    Args:
        workdir: the run's directory.
        preprocess: the preprocessing of the evaluation images.
        class_names: the classes of the training variant.
        frequency: their class frequency, in the same order.
        read_prompts: the function from prompts to the input of the model's text tower, or the words that a model
            classifies; None for a model with neither.
        training_captions: returns the run's captions of the first epoch. Their words are counted for retrieval, and the
            classes that they name for sets with other classes than the run's.
        other_head: the .npy file of a head to use instead of a supervised run's own.
        own_prior: the effective log-prior of the run's loss, which is subtracted from the logits; None for nothing.
    """
    if not options.sets:
        return lambda *_: {}
    check_directories(options.sets)
    if other_head and (options.logit_adjustment or own_prior is not None):
        key = "without_prior=True" if own_prior is not None else f"logit_adjustment={options.logit_adjustment:g}"
        raise UserError(
            f"eval.{key} needs logits, but head.init replaces the head that the run's "
            "logit scale was learned with: leave it out, or evaluate the run's own head"
        )
    uses_prompts = read_prompts is not None
    # Recipes for small images set "cname" for all losses.
    if (options.templates not in ("", "cname") or options.class_names) and not uses_prompts:
        log_line(
            "note: eval.templates and eval.class_names are for models with a text tower: this one has classes of its own"
        )
    settings = evaluation_settings(options, uses_prompts) | ({"head": other_head} if other_head else {})

    def task_of(name: str) -> Task:
        """The evaluation on a set, with the class frequency in the run's training data, if it is known."""
        if pairs := open_pairs(name, data.data_dir, options.captions, data.captions.words, data.name, data.class_names):
            if read_prompts is None or isinstance(read_prompts, BagOfWords):
                raise UserError(
                    f"eval.sets: '{name}' is evaluated by retrieval, for which the run has no text tower: name a set with "
                    "labels, without '@'"
                )
            return RetrievalTask(pairs, settings, rarest_words(workdir, pairs, training_captions))
        eval_set = open_run_set(name, options.random_classes, data, class_names, uses_prompts)
        eval_set, digest = with_class_names(eval_set, options.class_names), ""
        set_classes = eval_set.variant.class_names
        columns = columns_of(set_classes, class_names)
        set_frequency = None if columns is None else frequency[columns]
        if set_frequency is None and (data.captions.words or data.table):
            set_frequency, digest = caption_frequency(eval_set, workdir, data.class_match.rule, training_captions)
        task_settings = settings | ({COUNTED: digest} if digest else {})
        writes_frequency = set_classes != class_names and set_frequency is not None
        remedy = "give a set with the run's classes, such as 'name:split'"
        if own_prior is not None and columns is None:
            raise UserError(
                f"eval.without_prior subtracts the run's prior for its own classes, and '{name}' has others: {remedy}"
            )
        set_prior = None if own_prior is None else own_prior[columns]
        return LabelledTask(eval_set, task_settings, set_frequency, writes_frequency, options, remedy, set_prior)

    tasks = [task_of(name) for name in dict.fromkeys(options.sets)]
    make = make_texts(tasks, options, graphdef, mesh, read_prompts, class_names, other_head)
    keep_workers = len(tasks) == 1  # those of several sets would be many
    evaluator = Evaluator(graphdef, mesh, preprocess, options, data, data.cache, keep_workers)

    def evaluate(
        parts: ModelParts, step: int, epoch: float, give_up: Callable[[], bool] = lambda: False
    ) -> dict[str, dict[str, Any]]:
        """Writes nothing and returns {} if `give_up` returns True before the end."""
        results = list(evaluate_tasks(evaluator, parts, tasks, make(parts), give_up))
        if len(results) < len(tasks):
            return {}
        header = {"step": step, "epoch": epoch}
        return {task.eval_set.name: task.write(workdir, header, result) for task, result in results}

    return evaluate
