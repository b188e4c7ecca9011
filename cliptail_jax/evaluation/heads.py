"""What tells the classes of a set apart: the rows of a supervised head, or the embeddings of prompts."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Shaped
from ml_collections import ConfigDict

from cliptail_jax.concepts.templates import templates
from cliptail_jax.errors import UserError
from cliptail_jax.evaluation.counting import gather
from cliptail_jax.evaluation.prompts import (
    Prompts,
    descriptor_prompts,
    read_descriptors,
    template_prompts,
    waffle_prompts,
)
from cliptail_jax.evaluation.sets import OpenedSet
from cliptail_jax.input.pipeline import ReadText
from cliptail_jax.models.cosine import normalize as unit
from cliptail_jax.parallel.sharding import local_rows, replicated, to_devices
from cliptail_jax.pretrained.class_head import head_for
from cliptail_jax.pretrained.text_embedder import cut_lengths
from cliptail_jax.training.state import TrainState


class ClassHead(NamedTuple):
    """What tells the classes apart: by cosine, or with a bias as a linear layer on raw features."""

    embeddings: Float[Array, "class dim"]
    bias: Float[Array, "class"] | None = None


ClassHeads = Callable[[TrainState], dict[str, ClassHead]]  # by set


def zero_shot_heads(
    config: ConfigDict, sets: Mapping[str, OpenedSet], graphdef: nnx.GraphDef, mesh: Mesh, read: ReadText
) -> ClassHeads:
    """The class embeddings of a contrastive run's state. Sets with the same prompts share them.

    Raises UserError where the run's context cuts the prompts of different classes to the same.
    """
    prompts = {name: set_prompts(opened, config.eval) for name, opened in sets.items()}
    texts = {of_set: read([prompt for of_class in of_set for prompt in of_class]) for of_set in set(prompts.values())}
    for name, opened in sets.items():
        check_told_apart(texts[prompts[name]], sizes(prompts[name]), opened.prompt_names, config.eval)
    encode_text = make_encode_text(graphdef, mesh)

    def class_heads(state: TrainState) -> dict[str, ClassHead]:
        head_of = {}
        tower = nnx.merge(graphdef, *state.parts(), copy=True).text
        for of_set, text in texts.items():
            lengths = cut_lengths(tower, text)
            embeddings = embed(encode_text, state.parts(), text, lengths, config.eval.batch_size, mesh)
            head_of[of_set] = ClassHead(zero_shot_head(embeddings, sizes(of_set)))
        return {name: head_of[of_set] for name, of_set in prompts.items()}

    return class_heads


def supervised_heads(
    sets: Mapping[str, OpenedSet],
    columns: Mapping[str, Int[np.ndarray, "class"] | None],
    graphdef: nnx.GraphDef,
    other_head: str,
) -> ClassHeads:
    """The rows of a supervised run's head, or of that at the path `other_head`, that are the classes of each set.

    Raises UserError for a set with a class that the run has not, or a head that does not fit.
    """
    if other_head:
        heads = {
            name: head_for(other_head, opened.variant.class_names, opened.variant.source.class_names)
            for name, opened in sets.items()
        }
    else:
        for name, rows in columns.items():
            if rows is None:
                raise UserError(
                    f"eval.sets: '{name}' has classes that the run was not trained on, and a supervised run has no head "
                    "for them: name the set as 'name:split', for the training classes alone"
                )

    def class_heads(state: TrainState) -> dict[str, ClassHead]:
        model = nnx.merge(graphdef, *state.parts(), copy=True)
        own = gather(model.head[...])
        if not other_head:
            bias = gather(model.bias[...]) if hasattr(model, "bias") else None
            return {name: ClassHead(own[rows], None if bias is None else bias[rows]) for name, rows in columns.items()}
        for head in heads.values():
            if head.shape[1] != own.shape[1]:
                raise UserError(
                    f"head.init: '{other_head}' is {head.shape[1]} wide, but the run's features are {own.shape[1]} wide"
                )
        return {name: ClassHead(head) for name, head in heads.items()}

    return class_heads


def set_prompts(opened: OpenedSet, chosen: ConfigDict) -> Prompts:
    """What `config.eval` says of a set's classes: descriptors, random ones, or templates, '' being the set's own."""
    names = opened.prompt_names
    if chosen.descriptors:
        return descriptor_prompts(names, read_descriptors(chosen.descriptors, opened.variant.class_names, names))
    if chosen.waffle:
        return waffle_prompts(names, chosen.waffle, chosen.waffle_seed, chosen.waffle_kind)
    return template_prompts(names, templates(chosen.templates) if chosen.templates else opened.templates)


def sizes(prompts: Prompts) -> list[int]:
    """How many prompts each class has."""
    return [len(of_class) for of_class in prompts]


def check_told_apart(
    text: Shaped[np.ndarray, "prompt width"], sizes: Sequence[int], names: Sequence[str], chosen: ConfigDict
) -> None:
    """Raise a UserError where the context is so short that the prompts of different classes are the same.

    `sizes` are the numbers of prompts of each class, `names` what they call it, and `chosen` is `config.eval`.
    """
    of_classes = np.split(text, np.cumsum(sizes)[:-1])
    distinct, wanted = len({of_class.tobytes() for of_class in of_classes}), len(set(names))
    if distinct < wanted:
        context = f"the {text.shape[1]} tokens" if np.issubdtype(text.dtype, np.integer) else "the context"
        raise UserError(
            f"{told_prompts(chosen)}: cut to {context} that the text tower reads, the prompts of {wanted} classes are only "
            f"{distinct} different ones; use shorter prompts, or a tower with a longer context"
        )


def told_prompts(chosen: ConfigDict) -> str:
    """Which prompts `config.eval` chooses."""
    if chosen.descriptors:
        return f"eval.descriptors='{chosen.descriptors}'"
    if chosen.waffle:
        return f"eval.waffle={chosen.waffle}"
    return f"eval.templates='{chosen.templates}'" if chosen.templates else "the set's own templates"


def make_encode_text(graphdef: nnx.GraphDef, mesh: Mesh) -> Callable:
    """The jitted function from a model's parts and texts, as its tower takes them, to unit-length features."""

    def encode_text(parts, text: Shaped[Array, "batch width"]) -> Float[Array, "batch dim"]:
        return unit(nnx.merge(graphdef, *parts, copy=True).encode_text(text))

    return jax.jit(encode_text, out_shardings=replicated(mesh))


def embed(
    encode_text: Callable,
    parts: tuple[nnx.State, ...],
    text: Shaped[np.ndarray, "text width"],
    lengths: Int[np.ndarray, "text"],
    batch_size: int,
    mesh: Mesh,
) -> Float[np.ndarray, "text dim"]:
    """Unit-length text features, in batches of texts that are cut to the same length: one shape for each."""
    rows = local_rows(batch_size)
    order, features = [], []
    for length in np.unique(lengths):
        of_length = np.flatnonzero(lengths == length)
        for start in range(0, len(of_length), batch_size):
            batch = of_length[start : start + batch_size]
            padded = np.resize(batch, batch_size)[rows]
            on_devices = to_devices(mesh, {"text": text[padded, :length]})["text"]
            order.append(batch)
            features.append(np.asarray(encode_text(parts, on_devices))[: len(batch)])
    return np.concatenate(features)[np.argsort(np.concatenate(order))]


def zero_shot_head(embeddings: Float[np.ndarray, "prompt dim"], sizes: Sequence[int]) -> Float[np.ndarray, "class dim"]:
    """Class embeddings: the mean of a class's unit-length prompt embeddings, at unit length (Radford et al., 2021).

    `sizes` are the numbers of prompts of each class, which stand one behind the other.
    """
    starts = np.cumsum([0, *sizes[:-1]])
    mean = np.add.reduceat(embeddings, starts) / np.array(sizes, np.float32)[:, None]
    return mean / np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-12)
