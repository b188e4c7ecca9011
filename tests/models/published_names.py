"""States of our models by the names, and in the layout, of published (PyTorch) state dicts."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from cliptail_jax.pretrained.names import from_published, published_name, to_published


def flat(state) -> dict:
    """A state as {path: array or shape}."""
    return {path: jax.tree.leaves(variable)[0] for path, variable in nnx.to_flat_state(state)}


def published(state) -> dict[str, np.ndarray]:
    """A state as {published name: array}."""
    return {published_name(path): to_published(path, np.asarray(value)) for path, value in flat(state).items()}


def filled(state, weights: dict[str, np.ndarray]):
    """The state with these weights in the places of its own; fails if one is missing."""

    def value(path: tuple):
        return jnp.asarray(from_published(path, weights[published_name(path)]), jnp.float32)

    return nnx.from_flat_state([(path, variable.replace(value(path))) for path, variable in nnx.to_flat_state(state)])


def load(make_model: Callable[[], nnx.Module], weights: dict[str, np.ndarray]) -> nnx.Module:
    """The model with these weights; fails if one is missing or unused, or a shape differs."""
    graphdef, state = nnx.split(nnx.eval_shape(make_model))
    new_state = filled(state, weights)
    shapes = [{path: value.shape for path, value in flat(part).items()} for part in (state, new_state)]
    assert shapes[0] == shapes[1] and len(weights) == len(shapes[0])
    return nnx.merge(graphdef, new_state)
