"""Self-attention on TPUs whose scores never leave the chip: a Pallas kernel that computes all rows of an example at once.

In the plain form, the scores and probabilities of each layer, [batch, heads, length, length], are written to HBM and read
several times. The kernel recomputes them in the backward pass, and reads and writes only the projections. Unlike flash
attention (Dao et al. 2022, arXiv 2205.14135), it has no blocks of keys and hence no statistics of rows in HBM: in the
contexts of CLIP's towers, all scores of a head fit on the chip.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jax.sharding import PartitionSpec as P
from jaxtyping import Float

MAX_TOKENS = 1024  # tokens; the float32 scores of a head then take 4 MB on the chip
ON_CHIP = 64 * 2**20  # bytes that a kernel may use there
MASKED = -1e30  # a score whose exp is 0

Projections = Float[Array, "batch length three_widths"]  # queries, keys and values, each with the channels of all heads


def is_supported(length: int) -> bool:
    """Whether the traced function is for TPUs, as its mesh shows, and the kernel has room for this number of tokens."""
    device = jax.sharding.get_abstract_mesh().abstract_device
    return device is not None and device.platform == "tpu" and length <= MAX_TOKENS


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def attend_on_chip(projections: Projections, heads: int, causal: bool) -> Float[Array, "batch length width"]:
    """Multi-head scaled dot-product self-attention, rounded as `jax.nn.dot_product_attention` rounds.

    With `causal`, tokens do not attend to later ones.
    """
    return _for_each_example(_forward, heads, causal, 1, projections)


def _keep(projections: Array, heads: int, causal: bool) -> tuple[Array, tuple[Array]]:
    return attend_on_chip(projections, heads, causal), (projections,)


def _pull_back(heads: int, causal: bool, residuals: tuple[Array], gradient: Array) -> tuple[Array]:
    return (_for_each_example(_backward, heads, causal, 3, *residuals, gradient),)


attend_on_chip.defvjp(_keep, _pull_back)


def _for_each_example(kernel: Callable, heads: int, causal: bool, parts: int, *arrays: Array) -> Array:
    """The result of a kernel, `parts` times as wide as queries, for the examples of each chip."""
    width = arrays[0].shape[2] // 3

    def call(*arrays: Array) -> Array:
        batch, length, _ = arrays[0].shape
        rows = lambda width: pl.BlockSpec((1, length, width), lambda example: (example, 0, 0))  # noqa: E731
        return pl.pallas_call(
            functools.partial(kernel, heads=heads, causal=causal),
            grid=(batch,),
            in_specs=[rows(x.shape[2]) for x in arrays],
            out_specs=rows(parts * width),
            out_shape=jax.ShapeDtypeStruct((batch, length, parts * width), arrays[0].dtype),
            compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel",), vmem_limit_bytes=ON_CHIP),
        )(*arrays)

    examples = P(jax.sharding.get_abstract_mesh().axis_names)  # the compiler cannot divide a kernel by itself
    return jax.shard_map(call, in_specs=examples, out_specs=examples, check_vma=False)(*arrays)


def _forward(projections, result, *, heads: int, causal: bool) -> None:
    for query, key, value, channels in _heads(projections, heads):
        probabilities = _probabilities(query, key, causal)
        result[0, :, channels] = _product(probabilities.astype(value.dtype), value, 1, 0).astype(value.dtype)


def _backward(projections, gradient, result, *, heads: int, causal: bool) -> None:
    width = gradient.shape[2]
    for query, key, value, channels in _heads(projections, heads):
        probabilities, upstream = _probabilities(query, key, causal), gradient[0, :, channels]
        change = _product(upstream, value, 1, 1)
        change = probabilities * (change - (probabilities * change).sum(1, keepdims=True))
        change = (change * query.shape[1] ** -0.5).astype(query.dtype)
        gradients = _product(change, key, 1, 0), _product(change, query, 0, 0)
        gradients += (_product(probabilities.astype(value.dtype), upstream, 0, 0),)
        for part, part_gradient in enumerate(gradients):
            result[0, :, _shifted(channels, part * width)] = part_gradient.astype(query.dtype)


def _heads(projections, heads: int):
    """Query, key and value of each head, [length, head_width], and the channels of its output."""
    width = projections.shape[2] // 3
    for start in range(0, width, width // heads):
        channels = slice(start, start + width // heads)
        yield *(projections[0, :, _shifted(channels, part * width)] for part in range(3)), channels


def _shifted(channels: slice, offset: int) -> slice:
    return slice(channels.start + offset, channels.stop + offset)


def _probabilities(query: Array, key: Array, causal: bool) -> Float[Array, "length length"]:
    scores = _product(query, key, 1, 1) * query.shape[1] ** -0.5
    if causal:
        row, column = (jax.lax.broadcasted_iota(jnp.int32, scores.shape, axis) for axis in (0, 1))
        scores = jnp.where(row >= column, scores, MASKED)
    weights = jnp.exp(scores - scores.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)


def _product(a: Array, b: Array, a_axis: int, b_axis: int) -> Float[Array, "rows columns"]:
    """The matrix product over an axis of each, in float32."""
    axes = ((a_axis,), (b_axis,)), ((), ())
    return jax.lax.dot_general(a, b, axes, preferred_element_type=jnp.float32)
