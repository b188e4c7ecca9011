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
from cliptail_jax.pretrained.text_embedder import cut_lengths, embed_by_length


class ClassHead(NamedTuple):
    """What tells the classes apart: by cosine, or with a bias as a linear layer on raw features."""

    embeddings: Float[Array, "class dim"]
    bias: Float[Array, "class"] | None = None


ModelParts = tuple[nnx.State, ...]  # what `nnx.merge` joins to a model's definition
ClassHeads = Callable[[ModelParts], dict[str, ClassHead]]  # by set


def make_class_heads(
    sets: Mapping[str, OpenedSet],
    columns: Mapping[str, Int[np.ndarray, "class"] | None],
    options: ConfigDict,
    graphdef: nnx.GraphDef,
    mesh: Mesh,
    read_prompts: ReadText | None,
    other_head: str = "",
) -> ClassHeads:
    """The class heads of a model: `zero_shot_heads` where prompts can be read, else `head_rows`."""
    if read_prompts:
        return zero_shot_heads(sets, options, graphdef, mesh, read_prompts)
    return head_rows(sets, columns, graphdef, other_head)


def zero_shot_heads(
    sets: Mapping[str, OpenedSet], options: ConfigDict, graphdef: nnx.GraphDef, mesh: Mesh, read: ReadText
) -> ClassHeads:
    """The class embeddings of a model with a text tower. Sets with the same prompts share them.

    Args:
        options: `config.eval`.
        read: from prompts to what the text tower takes.

    Raises:
        UserError: the tower's context cuts the prompts of different classes to the same.
    """
    prompts = {name: set_prompts(opened, options) for name, opened in sets.items()}
    texts = {of_set: read([prompt for of_class in of_set for prompt in of_class]) for of_set in set(prompts.values())}
    for name, opened in sets.items():
        check_distinct(texts[prompts[name]], sizes(prompts[name]), opened.prompt_names, options)
    encode_text = make_encode_text(graphdef, mesh)
    rows = local_rows(options.batch_size)

    def class_heads(parts: ModelParts) -> dict[str, ClassHead]:
        def encode(text: Shaped[np.ndarray, "batch length"]) -> Float[Array, "batch dim"]:
            return encode_text(parts, to_devices(mesh, {"text": text[rows]})["text"])

        tower = nnx.merge(graphdef, *parts, copy=True).text
        head_of = {}
        for of_set, text in texts.items():
            embeddings = embed_by_length(encode, text, cut_lengths(tower, text), options.batch_size)
            head_of[of_set] = ClassHead(zero_shot_head(embeddings, sizes(of_set)))
        return {name: head_of[of_set] for name, of_set in prompts.items()}

    return class_heads


def head_rows(
    sets: Mapping[str, OpenedSet],
    columns: Mapping[str, Int[np.ndarray, "class"] | None],
    graphdef: nnx.GraphDef,
    other_head: str,
) -> ClassHeads:
    """The rows of a model's own head, or of the one at the path `other_head`, that are the classes of each set.

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

    def class_heads(parts: ModelParts) -> dict[str, ClassHead]:
        model = nnx.merge(graphdef, *parts, copy=True)
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


def set_prompts(opened: OpenedSet, options: ConfigDict) -> Prompts:
    """What `config.eval` says of a set's classes: descriptors, random ones, or templates, '' being the set's own."""
    names = opened.prompt_names
    if options.descriptors:
        return descriptor_prompts(names, read_descriptors(options.descriptors, opened.variant.class_names, names))
    if options.waffle:
        return waffle_prompts(names, options.waffle, options.waffle_seed, options.waffle_kind)
    return template_prompts(names, templates(options.templates) if options.templates else opened.templates)


def sizes(prompts: Prompts) -> list[int]:
    """How many prompts each class has."""
    return [len(of_class) for of_class in prompts]


def check_distinct(
    text: Shaped[np.ndarray, "prompt width"], sizes: Sequence[int], names: Sequence[str], options: ConfigDict
) -> None:
    """Raise a UserError where the context is so short that the prompts of different classes are the same.

    `sizes` are the numbers of prompts of each class, `names` what they call it, and `options` is `config.eval`.
    """
    of_classes = np.split(text, np.cumsum(sizes)[:-1])
    distinct, wanted = len({of_class.tobytes() for of_class in of_classes}), len(set(names))
    if distinct < wanted:
        context = f"the {text.shape[1]} tokens" if np.issubdtype(text.dtype, np.integer) else "the context"
        raise UserError(
            f"{name_of_prompts(options)}: cut to {context} that the text tower reads, the prompts of {wanted} classes are only "
            f"{distinct} different ones; use shorter prompts, or a tower with a longer context"
        )


def name_of_prompts(options: ConfigDict) -> str:
    """Which prompts `config.eval` chooses."""
    if options.descriptors:
        return f"eval.descriptors='{options.descriptors}'"
    if options.waffle:
        return f"eval.waffle={options.waffle}"
    return f"eval.templates='{options.templates}'" if options.templates else "the set's own templates"


def make_encode_text(graphdef: nnx.GraphDef, mesh: Mesh) -> Callable:
    """The jitted function from a model's parts and texts, as its tower takes them, to unit-length features."""

    def encode_text(parts, text: Shaped[Array, "batch width"]) -> Float[Array, "batch dim"]:
        return unit(nnx.merge(graphdef, *parts, copy=True).encode_text(text))

    return jax.jit(encode_text, out_shardings=replicated(mesh))


def zero_shot_head(embeddings: Float[np.ndarray, "prompt dim"], sizes: Sequence[int]) -> Float[np.ndarray, "class dim"]:
    """Class embeddings: the mean of a class's unit-length prompt embeddings, at unit length (Radford et al., 2021).

    `sizes` are the numbers of prompts of each class, which stand one behind the other.
    """
    starts = np.cumsum([0, *sizes[:-1]])
    mean = np.add.reduceat(embeddings, starts) / np.array(sizes, np.float32)[:, None]
    return mean / np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-12)
