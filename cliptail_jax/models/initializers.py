"""PyTorch's default initializer."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

Initializer = Callable[..., Array]


def uniform_fan_in(fan_in: int) -> Initializer:
    """Uniform in ±fan_in^-0.5, PyTorch's default for weights and biases of linear and convolution layers."""
    bound = 1 / math.sqrt(fan_in)

    def init(key: Array, shape: tuple[int, ...], dtype=jnp.float32, out_sharding=None) -> Array:
        del out_sharding  # flax passes it on meshes with explicit axes, which this project does not use
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init
