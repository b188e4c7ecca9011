"""The paths and layouts in our models of the entries of a published (PyTorch) state dict."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

STATISTICS = {"running_mean": "mean", "running_var": "var"}


def to_path(name: str, ndim: int) -> tuple:
    """Our path for a name in a state dict, of which only the last part differs."""
    *parents, last = [int(part) if part.isdigit() else part for part in name.split(".")]
    if last.startswith("in_proj_"):
        parents, last = [*parents, "in_proj"], last.removeprefix("in_proj_")
    if last == "weight":
        last = "embedding" if parents[-1] == "token_embedding" else "scale" if ndim == 1 else "kernel"
    return (*parents, STATISTICS.get(last, last))


def to_layout(path: tuple, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The order of PyTorch's axes in our arrays: kernels are HWIO or [inputs, outputs]."""
    if path[-1] != "kernel":
        return tuple(range(len(shape)))
    return (2, 3, 1, 0) if len(shape) == 4 else (1, 0)


def convert(weights: dict[str, np.ndarray]) -> dict[tuple, np.ndarray]:
    """A state dict with our paths, in our layout."""
    converted = {}
    for name, value in weights.items():
        path = to_path(name, value.ndim)
        converted[path] = value.transpose(to_layout(path, value.shape)).astype(np.float32)
    return converted


def flat(state) -> dict:
    """A state as {path: array or shape}."""
    return {path: jax.tree.leaves(variable)[0] for path, variable in nnx.to_flat_state(state)}


def load(make_model: Callable[[], nnx.Module], weights: dict[str, np.ndarray]) -> nnx.Module:
    """The model with these weights; fails if one is missing or unused, or a shape differs."""
    converted = convert(weights)
    graphdef, state = nnx.split(nnx.eval_shape(make_model))
    variables = dict(nnx.to_flat_state(state))
    assert {path: variable.shape for path, variable in variables.items()} == {
        path: value.shape for path, value in converted.items()
    }
    loaded = [(path, variable.replace(jnp.asarray(converted[path]))) for path, variable in variables.items()]
    return nnx.merge(graphdef, nnx.from_flat_state(loaded))
