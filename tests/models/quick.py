"""Fast compilation, and initialization and inspection without compilation."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from cliptail_jax.models.remat import rematerialize

# Compiler options for functions that run once, on tiny inputs.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def draw(make_model: Callable[[], nnx.Module]) -> nnx.Module:
    """The model with random weights from NumPy: all with standard deviation 0.2, gains and variances around 1."""
    random = np.random.default_rng(0)
    graphdef, state = nnx.split(nnx.eval_shape(make_model))
    variables = []
    for path, variable in nnx.to_flat_state(state):
        value = 0.2 * random.normal(size=variable.shape) + (path[-1] in ("scale", "var"))
        variables.append((path, variable.replace(jnp.asarray(value, jnp.float32))))
    return nnx.merge(graphdef, nnx.from_flat_state(variables))


def can_be_computed_again(tower: nnx.Module, inputs: np.ndarray) -> bool:
    """Whether `rematerialize`, which it calls, has the backward pass compute blocks of the tower again."""
    checkpoints = lambda: str(jax.make_jaxpr(lambda tower: tower(inputs))(tower)).count("prevent_cse")  # noqa: E731
    count = checkpoints()
    rematerialize(tower)
    return checkpoints() > count
