"""The weights of a published model: a safetensors file, read one tensor at a time."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float
from safetensors import SafetensorError, safe_open

from cliptail_jax.host.errors import UserError
from cliptail_jax.models.positions import resize_positions
from cliptail_jax.pretrained.names import from_published, is_resized, published_name, published_shape
from cliptail_jax.pretrained.source import ModelFiles, checked_digest

NameOf = Callable[[tuple], str]  # from a parameter's path in the model to its name in the file

FLOATS = ("F64", "F32", "F16", "BF16")
NOT_FLOATS = f"weights are one of {', '.join(FLOATS)}"
MIXED = "these are not the weights of this configuration: take both from one repository"
# Buffers of PyTorch modules from which our models compute nothing.
BUFFERS = ("num_batches_tracked", "position_ids", "token_type_ids", "attn_mask", "embed_positions.weights")
SHARED_EMBEDDING = "shared.weight"  # embeddings of tokens that a text encoder shares with a decoder
# The first parameters of text encoders, by which they are found in a file.
FIRST_EMBEDDINGS = ("embeddings.word_embeddings.weight", SHARED_EMBEDDING)
# Heads of a text encoder's pre-training task, and its decoder.
UNUSED_PARTS = ("pooler.", "cls.", "lm_head.", "decoder.", "encoder.embed_tokens.")
# Old checkpoints of text encoders have other names for the two vectors of a layer norm.
OLD_NAMES = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}


@contextmanager
def open_weights(path: Path) -> Iterator[safe_open]:
    """An open safetensors file. Raises UserError if it is missing, truncated or of another format."""
    if not path.is_file():
        raise UserError(f"no weights at {path}: give a .safetensors file")
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is not a complete safetensors file ({error}): download it again") from None


@dataclasses.dataclass(frozen=True)
class PublishedWeights:
    """The weights of a published model.

    Attributes:
        source: its files.
        name_of: a parameter's name in the safetensors file, by its path in the model.
        unused_prefixes: name prefixes of further tensors that the file may have.
        head: the file with a classifier's class head. The weights file then also has a text tower, which is not read.
    """

    source: ModelFiles
    name_of: NameOf = published_name
    unused_prefixes: tuple[str, ...] = ()
    head: Path | None = None

    @property
    def revision(self) -> str | None:
        """The commit, if the weights are from the Hub."""
        return self.source.revision

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the weights file. Raises UserError if the file is corrupt."""
        return checked_digest(self.source)

    def problems(self, state: nnx.State) -> dict[tuple, str]:
        """The parameters of `state` that are missing or of another shape or type in the file, with the reason."""
        with open_weights(self.source.weights) as file:
            reasons = {path: misfit(path, x, file, self.name_of) for path, x in nnx.to_flat_state(state)}
        return {path: reason for path, reason in reasons.items() if reason}

    def shapes(self, state: nnx.State) -> dict[tuple, tuple[int, ...]]:
        """The stored shapes, in PyTorch's layout, of the parameters of `state` that the file has."""
        with open_weights(self.source.weights) as file:
            names = {path: self.name_of(path) for path, _ in nnx.to_flat_state(state)}
            keys = set(file.keys())
            return {path: tuple(file.get_slice(name).get_shape()) for path, name in names.items() if name in keys}

    def check(self, state: nnx.State) -> None:
        """Raise UserError unless the file is intact and has the tensors of a whole model's `state`, and no other."""
        weights = self.source.weights
        state, _ = self._split_head(state)
        needed_names = {self.name_of(path) for path, _ in nnx.to_flat_state(state)}
        unused_prefixes = self.unused_prefixes if self.head is None else ("",)
        with open_weights(weights) as file:
            names = set(file.keys())
            extras = [
                name
                for name in sorted(names - needed_names)
                if not name.endswith(BUFFERS) and not name.startswith(unused_prefixes)
            ]
            other = f"a tensor {extras[0]} of shape {file.get_slice(extras[0]).get_shape()}" if extras else ""
        if problems := self.problems(state):
            first = min(problems, key=lambda path: self.name_of(path) not in names)  # a misfit shows both shapes
            instead = f", but has {other}" if other and self.name_of(first) not in names else ""
            remedy = "" if problems[first].endswith(NOT_FLOATS) else f"; {MIXED}"
            raise UserError(f"{weights}: {problems[first]}{instead}{remedy}")
        if other:
            raise UserError(f"{weights} has {other}, which the architecture does not have; {MIXED}")
        _ = self.digest  # raises UserError if the file is corrupt

    def read(self, state: nnx.State, shardings: nnx.State | None = None) -> nnx.State:
        """The file's values for `state`, in float32, laid out by `shardings`; positions are resized as in open_clip."""
        state, head = self._split_head(state)
        state = read_tensors(state, self.source.weights, self.name_of, shardings)
        if not head:
            return state
        return nnx.merge_state(state, read_tensors(head, self.head, lambda path: path[0], shardings))

    def _split_head(self, state: nnx.State) -> tuple[nnx.State, nnx.State | None]:
        """The parameters in the weights file, and those in the head's file if there is one."""
        if self.head is None:
            return state, None
        return nnx.split_state(state, lambda path, _: path[0] != "head", ...)


def read_tensors(state: nnx.State, path: Path, name_of: NameOf, shardings: nnx.State | None) -> nnx.State:
    """A file's values for `state`, laid out by `shardings`, or on the default device. Raises UserError if not finite.

    Each tensor is read, transposed and put on its devices before the next one, so the host never has the whole model in
    memory.
    """
    layouts = dict(nnx.to_flat_state(shardings)) if shardings is not None else {}
    variables = []
    with open_weights(path) as file:
        for parameter, variable in nnx.to_flat_state(state):
            value, shape = file.get_tensor(name_of(parameter)), published_shape(parameter, variable.shape)
            if is_resized(parameter, value.shape, shape):
                value = np.asarray(resize_positions(value.astype(np.float32), math.isqrt(shape[-2])))
            value = value.reshape(shape)  # a published logit scale may be an array of one number
            value = np.asarray(from_published(parameter, value), np.float32, order="C")
            if not np.isfinite(value).all():
                raise UserError(
                    f"{path}: the tensor {name_of(parameter)} has NaN or infinite values: use other weights"
                )
            variables.append((parameter, variable.replace(put(value, layouts.get(parameter)))))
    return nnx.from_flat_state(variables)


def put(value: Float[np.ndarray, "*shape"], variable: nnx.Variable | None) -> jax.Array:
    """`value` laid out by the sharding in `variable`: each device gets only its part."""
    if variable is None:
        return jnp.asarray(value)
    return jax.make_array_from_callback(value.shape, jax.tree.leaves(variable)[0], lambda part: value[part])


def misfit(path: tuple, variable: nnx.Variable, file: safe_open, name_of: NameOf) -> str:
    """Why the file's tensor cannot be the parameter at `path`, or ''."""
    name, shape = name_of(path), published_shape(path, variable.shape)
    if name not in file.keys():
        return f"it has no tensor {name}, which the architecture has with shape {list(shape)}"
    tensor = file.get_slice(name)
    stored_shape = tuple(tensor.get_shape())
    is_number = np.prod(stored_shape) == np.prod(shape) == 1
    if stored_shape != shape and not is_number and not is_resized(path, stored_shape, shape):
        return f"{name} has shape {list(stored_shape)}, but the architecture needs {list(shape)}"
    if tensor.get_dtype() not in FLOATS:
        return f"{name} is {tensor.get_dtype()}; {NOT_FLOATS}"
    return ""


def encoder_names(weights: Path) -> tuple[NameOf, tuple[str, ...]]:
    """The names of an encoder's parameters in its file, and the prefixes of unused names.

    The file may be that of a larger model: names may have a prefix such as `bert.`, and an encoder with a decoder shares the
    embeddings of tokens with it.
    """
    with open_weights(weights) as file:
        names = set(file.keys())
    matches = ((name, first) for first in FIRST_EMBEDDINGS for name in names if name.endswith(first))
    name, first = next(matches, ("", ""))
    prefix = name.removesuffix(first)
    encoder = prefix + "encoder." if first == SHARED_EMBEDDING else prefix

    def name_of(path: tuple) -> str:
        name = published_name(path).removeprefix("transformer.")
        if first == SHARED_EMBEDDING and name == "embed_tokens.weight":
            return prefix + SHARED_EMBEDDING
        name = encoder + name
        for new_name, old_name in OLD_NAMES.items():
            if name.endswith(new_name) and name not in names:
                return name.removesuffix(new_name) + old_name
        return name

    return name_of, (*UNUSED_PARTS, *(prefix + part for part in UNUSED_PARTS))
