"""Class heads: the rows of a supervised head, the embeddings of prompts, or the words of prompts."""

import itertools
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Shaped

from cliptail_jax.config.sections import SIGMOID, SOFTMAX, Evaluation
from cliptail_jax.evaluation.counting import ClassHead, gather
from cliptail_jax.evaluation.prompts import ClassPrompts, check_distinct, set_prompts
from cliptail_jax.evaluation.sets import OpenedSet, PromptedClasses
from cliptail_jax.host.errors import UserError
from cliptail_jax.input.bag_of_words import BagOfWords
from cliptail_jax.input.pipeline import ReadText
from cliptail_jax.models.cosine import normalize
from cliptail_jax.parallel.sharding import local_rows, replicated, to_devices
from cliptail_jax.pretrained.class_head import head_for, places_of
from cliptail_jax.pretrained.text_embedder import cut_lengths, embed_by_length, mean_by_class, unit
from cliptail_jax.runs.console import log_line

NEVER = -1e9  # the score of a class that is never predicted

ModelParts = tuple[nnx.State, ...]  # what `nnx.merge` joins with a model's definition
ClassHeads = Callable[[ModelParts], dict[str, ClassHead]]  # by set
Sets = Mapping[str, OpenedSet | PromptedClasses]  # by name
TextFeatures = dict[str, Float[np.ndarray, "text dim"]]  # by set


def class_heads(
    sets: Sets,
    options: Evaluation,
    graphdef: nnx.GraphDef,
    mesh: Mesh,
    read_text: ReadText | BagOfWords | None,
    class_names: tuple[str, ...] = (),
    other_head: str = "",
) -> ClassHeads:
    """The function from a model's parts to the class head of each set: of prompts, of their words, or the model's own.

    Args:
        read_text: the function from texts to the input of the model's text tower, or the words that a model classifies; None
            for a model with neither.
        class_names: the classes of the model's own head.
        other_head: the .npy file of a head to use instead of it.
    """
    if isinstance(read_text, BagOfWords):
        return word_heads(sets, options, graphdef, read_text)
    if read_text:
        return zero_shot_heads(sets, options, graphdef, mesh, read_text)
    return head_rows(sets, class_names, graphdef, other_head)


def zero_shot_heads(
    sets: Sets, options: Evaluation, graphdef: nnx.GraphDef, mesh: Mesh, read_text: ReadText
) -> ClassHeads:
    """Zero-shot class embeddings. A prompt of several classes or sets is embedded once.

    `read_text` is the function from prompts to the input of the text tower.

    Raises:
        UserError: the prompts of different classes are the same within the tower's context; or confidence needs a logit
            bias, which the model does not have.
    """
    if not sets:
        return lambda parts: {}
    prompts = {name: set_prompts(eval_set, options.templates) for name, eval_set in sets.items()}
    sizes = {name: list(map(len, classes)) for name, classes in prompts.items()}
    flat = {name: list(itertools.chain.from_iterable(classes)) for name, classes in prompts.items()}
    inputs, embed = embed_texts(flat, options.batch_size, graphdef, mesh, read_text, "embedding prompts")
    for name, eval_set in sets.items():
        check_distinct(inputs[name], sizes[name], eval_set.prompt_names, options.templates)

    def class_heads(parts: ModelParts) -> dict[str, ClassHead]:
        model = nnx.merge(graphdef, *parts, copy=True)
        bias = learned_bias(model) if options.confidence == SIGMOID else None
        # The mean of a class's unit-length prompt embeddings, at unit length (Radford et al., 2021).
        heads = {name: unit(mean_by_class(embeddings, sizes[name])) for name, embeddings in embed(parts).items()}
        scale = gather(model.logit_scale[...])
        return {name: ClassHead(head, logit_scale=scale, logit_bias=bias) for name, head in heads.items()}

    return class_heads


def embed_texts(
    texts: Mapping[str, Sequence[str]],
    batch_size: int,
    graphdef: nnx.GraphDef,
    mesh: Mesh,
    read_text: ReadText | None,
    title: str,
) -> tuple[dict[str, Shaped[np.ndarray, "text length"]], Callable[[ModelParts], TextFeatures]]:
    """The text tower's input for the texts of each set, and the function that embeds them with a model at unit length.

    A repeated text is embedded once, and has the same features everywhere. `title` is shown with the progress. Without
    texts, `read_text` may be None.
    """
    if not texts:
        return {}, lambda parts: {}
    distinct_texts = list(dict.fromkeys(itertools.chain.from_iterable(texts.values())))
    row_of = {text: row for row, text in enumerate(distinct_texts)}
    rows = {name: np.array([row_of[text] for text in set_texts]) for name, set_texts in texts.items()}
    inputs, local = read_text(distinct_texts), local_rows(batch_size)
    encode_text = make_encode_text(graphdef, mesh)

    def embed(parts: ModelParts) -> TextFeatures:
        def encode(text: Shaped[np.ndarray, "batch length"]) -> Float[Array, "batch dim"]:
            return encode_text(parts, to_devices(mesh, {"text": text[local]})["text"])

        lengths = cut_lengths(nnx.merge(graphdef, *parts, copy=True).text, inputs)
        embeddings = embed_by_length(encode, inputs, lengths, batch_size, title)
        return {name: embeddings[set_rows] for name, set_rows in rows.items()}

    return {name: inputs[set_rows] for name, set_rows in rows.items()}, embed


def learned_bias(model: nnx.Module) -> Float[np.ndarray, ""]:
    """The logit bias of a SigLIP. Raises UserError for a model that has none."""
    if not hasattr(model, "logit_bias"):
        raise UserError(
            f"eval.confidence='{SIGMOID}' needs a model with a logit bias, such as a SigLIP, and this one has none: set it to "
            f"'{SOFTMAX}'"
        )
    return gather(model.logit_bias[...])


def head_rows(sets: Sets, class_names: tuple[str, ...], graphdef: nnx.GraphDef, other_head: str) -> ClassHeads:
    """The rows of a model's own head, or of the head in the file `other_head`, for the classes of each set.

    `class_names` are the classes of the model.

    Raises:
        UserError: a set has a class that is not one of the model's, or `other_head` does not fit.
    """
    if other_head:
        heads = {
            name: head_for(other_head, eval_set.variant.class_names, eval_set.variant.source.class_names)
            for name, eval_set in sets.items()
        }
    else:
        columns = {name: columns_of(eval_set.class_names, class_names) for name, eval_set in sets.items()}
        for name, rows in columns.items():
            if rows is None:
                raise UserError(
                    f"eval.sets: '{name}' has classes that the run was not trained on, and a supervised run has no head "
                    "for them: name the set as 'name:split', for the training classes only"
                )

    def class_heads(parts: ModelParts) -> dict[str, ClassHead]:
        model = nnx.merge(graphdef, *parts, copy=True)
        own_head = gather(model.head[...])
        if not other_head:
            if hasattr(model, "bias"):
                bias = gather(model.bias[...])
                return {name: ClassHead(own_head[rows], bias=bias[rows]) for name, rows in columns.items()}
            scale = gather(model.logit_scale[...])
            return {name: ClassHead(own_head[rows], logit_scale=scale) for name, rows in columns.items()}
        for head in heads.values():
            if head.shape[1] != own_head.shape[1]:
                raise UserError(
                    f"head.init: '{other_head}' is {head.shape[1]} wide, but the run's features are {own_head.shape[1]} wide"
                )
        return {name: ClassHead(head) for name, head in heads.items()}  # no scale was learned with it

    return class_heads


def columns_of(names: tuple[str, ...], class_names: tuple[str, ...]) -> Int[np.ndarray, " class"] | None:
    """The indices of a set's classes among the model's; None if one is missing."""
    places = places_of(names, class_names)
    return None if None in places else np.array(places)


def word_heads(sets: Sets, options: Evaluation, graphdef: nnx.GraphDef, bag: BagOfWords) -> ClassHeads:
    """Heads for a classifier of words, which predicts the class whose words are nearest to its prediction p.

    A class's words q are the mean target of its prompts, and its score is −KL(q ‖ p) = Σ_c q_c log p_c + H(q). It is
    linear in the features, apart from the softmax's sum, which all classes share. Cross-entropy, without H(q), would
    favour classes of few words. A class without words of the captions is never predicted.
    """
    words = {name: class_words(set_prompts(eval_set, options.templates), bag) for name, eval_set in sets.items()}
    for name, rows in words.items():
        if number := int(np.sum(~rows.any(1))):
            log_line(f"note: {number} classes of {name} have no word of the captions, and are never predicted")
        if (number := len(np.unique(rows, axis=0))) < len(rows):
            log_line(f"note: the {len(rows)} classes of {name} have {number} different bags of words")

    def class_heads(parts: ModelParts) -> dict[str, ClassHead]:
        model = nnx.merge(graphdef, *parts, copy=True)
        rows, bias = np.float64(gather(model.head[...])), np.float64(gather(model.bias[...]))
        return {name: ClassHead(np.float32(q @ rows), np.float32(q @ bias + entropy(q))) for name, q in words.items()}

    return class_heads


def class_words(prompts: ClassPrompts, bag: BagOfWords) -> Float[np.ndarray, "class word"]:
    """The mean target of each class's prompts; all 0 if no prompt has a word of positive weight."""
    sums = np.stack([bag.targets(class_prompts).sum(0) for class_prompts in prompts])
    return sums / np.maximum(sums.sum(1, keepdims=True), 1e-12)


def entropy(q: Float[np.ndarray, "class word"]) -> Float[np.ndarray, " class"]:
    """−Σ_c q_c log q_c, in nats; for a class without words, low enough to put its score below all others."""
    from scipy.special import xlogy  # which is slow to import

    return np.where(q.any(1), -xlogy(q, q).sum(1), NEVER)


def make_encode_text(graphdef: nnx.GraphDef, mesh: Mesh) -> Callable:
    """The jitted function from a model's parts and the input of its text tower to unit-length features."""

    def encode_text(parts, text: Shaped[Array, "batch width"]) -> Float[Array, "batch dim"]:
        return normalize(nnx.merge(graphdef, *parts, copy=True).encode_text(text))

    return jax.jit(encode_text, out_shardings=replicated(mesh))
