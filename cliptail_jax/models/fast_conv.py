"""Convolutions of few channels that are fast on CPUs, with the same output and gradients but for rounding."""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from cliptail_jax.models.layers import Grid, Pixels

Kernel = Float[Array, "size size channels new_channels"]
NUMBERS = ("NHWC", "HWIO", "NHWC")
EXAMPLES = 8  # at a time, which stay in the processor's cache


def fast_conv(x: Pixels, kernel: Kernel, strides: Sequence[int], padding: Sequence[tuple[int, int]], **options) -> Grid:
    """`lax.conv_general_dilated` for a centred kernel of 1×1 or 3×3 pixels, as `nnx.Conv` calls it with `options`.

    XLA's CPU backend is slow at some parts of a convolution of few channels. A function for one CPU, as its
    mesh shows (`cliptail_jax.parallel.sharding.on_mesh`), computes them in other ways:

    - The output from fewer than four channels is a sum of matrix products, one for each row of the kernel.
    - So is the kernel's gradient, which XLA computes as a convolution of transposed images with a kernel of the image's size.
    - The gradient of a 3×3 kernel's input with stride 2 is a convolution for each of the four parities of rows and columns. By
      its definition, it is one convolution of the output's gradient with three zeros for each of its pixels.

    Other functions compute all parts by their definition: in these ways, each of several CPUs would need the whole batch.
    """
    height, width = x.shape[1:3]
    is_alone = jax.sharding.get_abstract_mesh().size == 1
    if not is_alone or x.dtype != jnp.float32 or height % strides[0] or width % strides[1]:
        return lax.conv_general_dilated(x, kernel, strides, padding, **options)
    return _conv(x, kernel, strides[0])


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _conv(x: Pixels, kernel: Kernel, stride: int) -> Grid:
    if x.shape[-1] >= 4:
        return _plain(x, kernel, stride)
    functions = {"cpu": functools.partial(_by_rows, stride=stride), "default": functools.partial(_plain, stride=stride)}
    return lax.platform_dependent(x, kernel, **functions)


def _plain(x: Pixels, kernel: Kernel, stride: int) -> Grid:
    padding = [(len(kernel) // 2,) * 2] * 2
    return lax.conv_general_dilated(x, kernel, (stride,) * 2, padding, dimension_numbers=NUMBERS)


def _forward(x: Pixels, kernel: Kernel, stride: int) -> tuple[Grid, tuple[Pixels, Kernel]]:
    return _conv(x, kernel, stride), (x, kernel)


def _backward(stride: int, residuals: tuple[Pixels, Kernel], gradient: Grid) -> tuple[Pixels, Kernel]:
    x, kernel = residuals

    def input_gradient(kernel: Kernel, gradient: Grid) -> Pixels:
        return jax.linear_transpose(lambda x: _plain(x, kernel, stride), x)(gradient)[0]

    def kernel_gradient(x: Pixels, gradient: Grid) -> Kernel:
        return jax.linear_transpose(lambda kernel: _plain(x, kernel, stride), kernel)(gradient)[0]

    cpu_input_gradient = _by_parity if stride == 2 and len(kernel) == 3 else input_gradient
    cpu_kernel_gradient = functools.partial(_kernel_gradient, size=len(kernel), stride=stride)
    return (
        lax.platform_dependent(kernel, gradient, cpu=cpu_input_gradient, default=input_gradient),
        lax.platform_dependent(x, gradient, cpu=cpu_kernel_gradient, default=kernel_gradient),
    )


_conv.defvjp(_forward, _backward)


def _in_parts(x: Pixels) -> Float[Array, "part example height width channels"]:
    return x.reshape(-1, math.gcd(len(x), EXAMPLES), *x.shape[1:])


def _rows(x: Pixels, size: int, stride: int) -> list[Float[Array, "pixels row"]]:
    """The inputs that each row of the kernel meets at each pixel of the output."""
    _, height, width, channels = x.shape
    border = size // 2
    x = jnp.pad(x, [(0, 0), (border, border), (border, border), (0, 0)])
    windows = [
        [x[:, row : row + height : stride, column : column + width : stride] for column in range(size)]
        for row in range(size)
    ]
    return [jnp.concatenate(row, axis=-1).reshape(-1, size * channels) for row in windows]


def _by_rows(x: Pixels, kernel: Kernel, stride: int) -> Grid:
    size, *_, channels = kernel.shape
    matrices = kernel.reshape(size, -1, channels)

    def part_output(x: Pixels) -> Grid:
        total = sum(row @ matrix for row, matrix in zip(_rows(x, size, stride), matrices))
        return total.reshape(len(x), x.shape[1] // stride, x.shape[2] // stride, channels)

    return jnp.concatenate(lax.map(part_output, _in_parts(x)))


def _kernel_gradient(x: Pixels, gradient: Grid, size: int, stride: int) -> Kernel:
    channels = gradient.shape[-1]

    def add(total: Array, part: tuple[Pixels, Grid]) -> tuple[Array, None]:
        x, gradient = part
        return total + jnp.stack([row.T @ gradient.reshape(-1, channels) for row in _rows(x, size, stride)]), None

    zeros = jnp.zeros((size, size * x.shape[-1], channels))
    return lax.scan(add, zeros, (_in_parts(x), _in_parts(gradient)))[0].reshape(size, size, -1, channels)


def _by_parity(kernel: Kernel, gradient: Grid) -> Pixels:
    """The gradient with respect to the input of a 3×3 kernel with stride 2, from that of the output [b, h, w, c]."""
    # Output row i depends on the input rows 2i-1, 2i and 2i+1: even rows 2i meet the kernel's row 1, and odd rows 2i+1 its row
    # 2 in output row i and its row 0 in the next one.
    taps = [1], [2, 0]
    transposed_kernel = kernel.swapaxes(2, 3)

    def part_gradient(rows: list[int], columns: list[int]) -> Pixels:
        kernel_part = transposed_kernel[jnp.array(rows)][:, jnp.array(columns)]
        padding = [(0, len(rows) - 1), (0, len(columns) - 1)]
        return lax.conv_general_dilated(gradient, kernel_part, (1, 1), padding, dimension_numbers=NUMBERS)

    parts = jnp.stack([jnp.stack([part_gradient(rows, columns) for columns in taps], axis=3) for rows in taps], axis=2)
    batch, height, width, _ = gradient.shape
    return parts.reshape(batch, 2 * height, 2 * width, -1)
