"""Layers that the towers share: linear, convolution, layer norm, average pooling, batch norm."""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jax.nn.initializers import normal
from jaxtyping import Bool, Float, Int

Images = Float[Array | np.ndarray, "batch height width 3"]
Pixels = Float[Array | np.ndarray, "batch height width channels"]
Grid = Float[Array, "batch new_height new_width new_channels"]  # of pixels, after layers with strides
Mask = Bool[Array | np.ndarray, " batch"]
Features = Float[Array, "batch output_dim"]
Tokens = Int[Array | np.ndarray, "batch length"]
Valid = Bool[Array | np.ndarray, "batch length"]  # the tokens that are attended to

Initializer = Callable[..., Array]

EPSILON = 1e-5
MOMENTUM = 0.9  # decay of the running statistics in one step


@functools.cache
def uniform_fan_in(fan_in: int) -> Initializer:
    """Uniform in ±fan_in^-0.5, PyTorch's default for weights and biases of linear and convolution layers."""
    bound = 1 / math.sqrt(fan_in)

    def init(key: Array, shape: tuple[int, ...], dtype=jnp.float32, out_sharding=None) -> Array:
        del out_sharding  # flax passes it on meshes with explicit axes, which this project does not use
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def linear(inputs: int, outputs: int, **options) -> nnx.Linear:
    """A linear layer, with PyTorch's default initialization unless `options`, those of `nnx.Linear`, have another."""
    inits = {"kernel_init": uniform_fan_in(inputs), "bias_init": uniform_fan_in(inputs)}
    return nnx.Linear(inputs, outputs, **inits | options)


def normal_linear(inputs: int, outputs: int, std: float = 0.02, **options) -> nnx.Linear:
    """A linear layer with weights from a normal distribution with standard deviation `std`, and biases 0.

    The default is that of BERT, DINO's head and timm's towers. The last two truncate the distribution at ±2, 100 standard
    deviations, which has no effect.
    """
    return linear(inputs, outputs, kernel_init=normal(std), bias_init=nnx.initializers.zeros, **options)


def conv(inputs: int, outputs: int, size: int, *, stride: int = 1, padding: int = 0, **options) -> nnx.Conv:
    """A square convolution, padded by `padding` on all four sides as in PyTorch, for any stride.

    It has no bias and PyTorch's default initialization unless `options`, those of `nnx.Conv`, have others.
    """
    init = uniform_fan_in(inputs // options.get("feature_group_count", 1) * size * size)
    defaults = {"use_bias": False, "kernel_init": init, "bias_init": init}
    return nnx.Conv(
        inputs, outputs, (size, size), strides=stride, padding=[(padding, padding)] * 2, **defaults | options
    )


def layer_norm(width: int, *, epsilon: float = EPSILON, dtype, rngs: nnx.Rngs) -> nnx.LayerNorm:
    """Layer norm with statistics in float32."""
    return nnx.LayerNorm(width, epsilon=epsilon, use_fast_variance=False, dtype=dtype, rngs=rngs)


class LayerScale(nnx.Module):
    """Each channel multiplied by a learned `gamma` of shape `shape` (Touvron et al. 2021, arXiv 2103.17239, section 2)."""

    def __init__(self, shape: int | tuple[int, ...], initial: float, *, dtype):
        self.gamma = nnx.Param(jnp.full(shape, initial, jnp.float32))
        self.dtype = dtype

    def __call__(self, x: Float[Array, "*batch width"]) -> Float[Array, "*batch width"]:
        return x * self.gamma[...].ravel().astype(self.dtype)


def average_pool(x: Pixels, size: int) -> Float[Array, "batch pooled_height pooled_width channels"]:
    """Mean over squares of `size` × `size` pixels, summed in float32; remaining rows and columns are dropped."""
    if size == 1:
        return x
    # The TPU's compiler would keep a mean over axes of a reshaped array in float32.
    return nnx.avg_pool(x.astype(jnp.float32), (size, size), (size, size)).astype(x.dtype)


class BatchNorm(nnx.Module):
    """Batch normalization with ghost batches and masked examples.

    `flax.nnx.BatchNorm` has neither ghost batches nor PyTorch's unbiased running variances.

    With `group_size` 0, the statistics are those of the whole batch, over all devices; otherwise each contiguous group
    of `group_size` examples is normalized by its own (ghost batches, Hoffer et al. 2017, arXiv 1705.08741). The running
    averages are updated with the mean over groups, with unbiased variances as in PyTorch. While `frozen` is set,
    training too normalizes by the running averages, and does not update them.
    """

    def __init__(self, features: int, group_size: int = 0, *, initial_scale: float = 1.0, dtype=jnp.float32):
        self.scale = nnx.Param(jnp.full(features, initial_scale, jnp.float32))
        self.bias = nnx.Param(jnp.zeros(features))
        self.mean = nnx.BatchStat(jnp.zeros(features))
        self.var = nnx.BatchStat(jnp.ones(features))
        self.group_size = group_size
        self.frozen = False
        self.dtype = dtype

    def __call__(self, x: Pixels, train: bool = False, mask: Mask | None = None) -> Pixels:
        """Normalize `x`; in training by the statistics of the examples whose `mask` is True (None: of all)."""
        if train and not self.frozen:
            return self._normalize_by_batch(x, mask)
        return self._normalize(x.astype(jnp.float32) - self.mean[...], self.var[...])

    def _normalize(self, offsets: Array, var: Array) -> Array:
        factor = jax.lax.rsqrt(var + EPSILON) * self.scale[...]
        return (offsets * factor + self.bias[...]).astype(self.dtype)

    def _normalize_by_batch(self, x: Array, mask: Array | None) -> Array:
        batch, height, width, channels = x.shape
        size = self.group_size or batch
        groups = x.astype(jnp.float32).reshape(batch // size, size, height, width, channels)
        valid = jnp.ones(batch) if mask is None else mask.astype(jnp.float32)
        weights = valid.reshape(-1, size, 1)
        count = weights.sum((1, 2)) * height * width

        def total(values: Array) -> Array:
            # By rows, by images and over these, since a sum of all values one after the other loses digits on CPUs. The barrier
            # keeps XLA from merging the sums.
            image_sums = jax.lax.optimization_barrier(values.sum(3)).sum(2)
            return (image_sums if mask is None else image_sums * weights).sum(1)

        # Both sums in one pass, and over devices in one all-reduce. The running mean is near the mean, so the square of
        # their difference is far below the variance, and subtracting it loses no digits.
        shift = jax.lax.stop_gradient(self.mean[...])
        offsets = groups - shift
        # A group without valid examples has count 0 and sums 0; its statistics are excluded from the averages below.
        mean = total(offsets) / jnp.maximum(count, 1)[:, None]
        squares = total(jnp.square(offsets)) / jnp.maximum(count, 1)[:, None]
        var = jnp.maximum(squares - jnp.square(mean), 0)
        unbiased_var = var * (count / jnp.maximum(count - 1, 1))[:, None]
        update_average(self.mean, shift + mean, count > 0)
        update_average(self.var, unbiased_var, count > 0)
        return self._normalize(offsets - per_group(mean), per_group(var)).reshape(x.shape)


def per_group(statistic: Float[Array, "groups channels"]) -> Float[Array, "groups 1 1 1 channels"]:
    """Broadcast a statistic over the examples and pixels of its group."""
    return statistic[:, None, None, None, :]


def update_average(
    average: nnx.BatchStat, statistic: Float[Array, "groups channels"], mask: Bool[Array, " groups"]
) -> None:
    """Update a running average with the mean over the groups in `mask`; without any, it stays as it is."""
    statistic = jax.lax.stop_gradient(statistic)
    groups = mask.sum()
    mean = jnp.where(mask[:, None], statistic, 0).sum(0) / jnp.maximum(groups, 1)
    average[...] = jnp.where(groups > 0, MOMENTUM * average[...] + (1 - MOMENTUM) * mean, average[...])
