"""The evaluation of a model on sets of any kind: the loop over tasks, for runs and published models.

A task measures a model on a set, and writes the results. Another kind of task is a class with `measure` and `write`, an entry
in `Task` and `make_texts`, and a case where run.py and published.py open sets.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Float

from cliptail_jax.config.sections import Evaluation
from cliptail_jax.evaluation.counting import ClassHead
from cliptail_jax.evaluation.evaluator import Evaluator
from cliptail_jax.evaluation.heads import ModelParts, class_heads, embed_texts
from cliptail_jax.evaluation.labelled import LabelledTask, PassResult
from cliptail_jax.evaluation.retrieval import RetrievalTask
from cliptail_jax.input.bag_of_words import BagOfWords
from cliptail_jax.input.huggingface_tokenizer import HuggingFaceTokenizer
from cliptail_jax.input.name_tokens import splitting_note, tokens_per_word
from cliptail_jax.input.pipeline import ReadText
from cliptail_jax.input.tokenizer import Tokenizer
from cliptail_jax.metrics.retrieval import RetrievalResults
from cliptail_jax.runs.console import log_line

Task = LabelledTask | RetrievalTask
Texts = Mapping[str, ClassHead | Float[np.ndarray, "caption dim"]]  # by set, what its images are compared with


def make_texts(
    tasks: Sequence[Task],
    options: Evaluation,
    graphdef: nnx.GraphDef,
    mesh: Mesh,
    read_text: ReadText | BagOfWords | None,
    class_names: tuple[str, ...] = (),
    other_head: str = "",
) -> Callable[[ModelParts], Texts]:
    """The function from a model's parts to what the images of each set are compared with.

    In retrieval, these are the features of captions, otherwise a class head: of prompts, of their words, or the model's own.
    Tasks with prompts get the tokens per word of their class names. Arguments are as for `cliptail_jax.evaluation.heads.class_heads`.
    """
    labelled_tasks = [task for task in tasks if isinstance(task, LabelledTask)]
    sets = {task.eval_set.name: task.eval_set for task in labelled_tasks}
    captions = {task.eval_set.name: task.eval_set.captions for task in tasks if isinstance(task, RetrievalTask)}
    heads = class_heads(sets, options, graphdef, mesh, read_text, class_names, other_head)
    _, features = embed_texts(captions, options.batch_size, graphdef, mesh, read_text, "embedding captions")
    if isinstance(read_text, (Tokenizer, HuggingFaceTokenizer)):
        for task in labelled_tasks:
            task.name_tokens = tokens_per_word(read_text, task.eval_set.prompt_names)
            for note in splitting_note(task.eval_set.name, task.name_tokens, task.frequency):
                log_line(note)
    return lambda parts: heads(parts) | features(parts)


def evaluate_tasks(
    evaluator: Evaluator,
    parts: ModelParts,
    tasks: Sequence[Task],
    texts: Texts,
    give_up: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[Task, PassResult | RetrievalResults]]:
    """Each task with its result, which its `write` takes; it ends early if `give_up` returns True.

    Tasks on the same set, which have different class frequencies, follow each other and share a pass over the images,
    unless logits are adjusted for the class frequency.
    """
    options = evaluator.options
    is_adjusted = options.logit_adjustment and not options.estimate_prior
    eval_set = result = None
    for task in tasks:
        if task.eval_set is not eval_set or is_adjusted:
            eval_set, result = task.eval_set, task.measure(evaluator, parts, texts[task.eval_set.name], give_up)
        if result is None:
            return
        yield task, result
