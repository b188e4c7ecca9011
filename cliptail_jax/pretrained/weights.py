"""Parameters from a safetensors file, one tensor at a time."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Float
from safetensors import SafetensorError, safe_open

from cliptail_jax.errors import UserError
from cliptail_jax.parallel.sharding import state_shardings
from cliptail_jax.pretrained.names import from_published, published_name, published_shape

FLOATS = ("F64", "F32", "F16", "BF16")
# Buffers of PyTorch's modules that nothing is computed from here.
BUFFERS = ("num_batches_tracked", "position_ids", "token_type_ids", "attn_mask")


@contextmanager
def open_weights(path: Path) -> Iterator[safe_open]:
    """An open safetensors file. Raises UserError where it is missing, cut short or no such file."""
    if not path.is_file():
        raise UserError(f"no weights at {path}: give a .safetensors file")
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is no whole safetensors file ({error}): fetch it again") from None


def fill(
    model: nnx.Module,
    path: Path,
    *,
    name_of: Callable[[tuple], str] = published_name,
    ignored: tuple[str, ...] = (),
    mesh: Mesh | None = None,
) -> nnx.Module:
    """`model`, which may have shapes alone, with the weights of the file at `path`, in float32 and laid out on `mesh`.

    `name_of` gives a parameter's name in the file; tensors of the file that begin with one of `ignored` may be left over,
    no others. Raises UserError that names the first tensor that is missing, left over or of another shape.
    """
    graphdef, state = nnx.split(model)
    placed = state_shardings(mesh, state) if mesh is not None else None
    with open_weights(path) as file:
        check_tensors(state, path, file, name_of, ignored)
        return nnx.merge(graphdef, read_tensors(state, file, name_of, placed))


def read_tensors(
    state: nnx.State, file: safe_open, name_of: Callable[[tuple], str], shardings: nnx.State | None
) -> nnx.State:
    """The file's values for `state`, where `shardings` says.

    Each tensor is read, put in our layout and on its devices before the next is read, so that the host never holds the
    model.
    """
    placed = dict(nnx.to_flat_state(shardings)) if shardings is not None else {}
    read = []
    for at, variable in nnx.to_flat_state(state):
        # A published logit scale may be an array of one number.
        value = file.get_tensor(name_of(at)).reshape(published_shape(at, variable.shape))
        value = np.asarray(from_published(at, value), np.float32, order="C")
        read.append((at, variable.replace(put(value, placed.get(at)))))
    return nnx.from_flat_state(read)


def put(value: Float[np.ndarray, "*shape"], variable: nnx.Variable | None) -> jax.Array:
    """`value` on the devices that the sharding in `variable` names, each with its part alone."""
    if variable is None:
        return jnp.asarray(value)
    return jax.make_array_from_callback(value.shape, jax.tree.leaves(variable)[0], lambda part: value[part])


def check_tensors(
    state: nnx.State, path: Path, file: safe_open, name_of: Callable[[tuple], str], ignored: tuple[str, ...]
) -> None:
    """Raise UserError unless the file has what `state` asks for, and nothing more that counts."""
    present = set(file.keys())
    for at, variable in nnx.to_flat_state(state):
        if problem := misfit(at, variable, file, name_of):
            raise UserError(f"{path}: {problem}")
        present.remove(name_of(at))
    for name in sorted(present):
        if not name.endswith(BUFFERS) and not name.startswith(ignored):
            shape = file.get_slice(name).get_shape()
            raise UserError(f"{path} has a tensor {name} of shape {shape}, which the architecture has not")


def misfit(at: tuple, variable: nnx.Variable, file: safe_open, name_of: Callable[[tuple], str]) -> str:
    """Why the file's tensor cannot be the parameter at `at`; '' where it can."""
    name, shape = name_of(at), published_shape(at, variable.shape)
    if name not in file.keys():
        return f"it has no tensor {name}, which the architecture has with shape {list(shape)}"
    stored = file.get_slice(name)
    found = tuple(stored.get_shape())
    if found != shape and not (np.prod(found) == np.prod(shape) == 1):
        return f"{name} has shape {list(found)}, but the architecture asks for {list(shape)}"
    if stored.get_dtype() not in FLOATS:
        return f"{name} is {stored.get_dtype()}; weights are one of {', '.join(FLOATS)}"
    return ""


def sha256(path: Path) -> str:
    """The digest of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
