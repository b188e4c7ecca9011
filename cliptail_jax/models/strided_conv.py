"""A convolution of stride 2 whose gradient is fast on CPUs."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from cliptail_jax.models.layers import Grid, Pixels

Kernel = Float[jax.Array, "size size channels new_channels"]
NUMBERS = ("NHWC", "HWIO", "NHWC")


def conv_of_stride_2(x: Pixels, kernel: Kernel) -> Grid:
    """A convolution of stride 2, padded by 1, with a kernel of 3×3.

    Its gradient with respect to `x` is, by definition, a convolution of the output's gradient with three zeros for each of its
    pixels. XLA's CPU backend multiplies these zeros, too; there, the gradient is computed as one convolution without zeros for
    each of the four parities of rows and columns.
    """
    _, height, width, _ = x.shape
    return _plain(x, kernel) if height % 2 or width % 2 else _conv(x, kernel)


def _plain(x: Pixels, kernel: Kernel) -> Grid:
    return lax.conv_general_dilated(x, kernel, (2, 2), [(1, 1)] * 2, dimension_numbers=NUMBERS)


@jax.custom_vjp
def _conv(x: Pixels, kernel: Kernel) -> Grid:
    return _plain(x, kernel)


def _forward(x: Pixels, kernel: Kernel) -> tuple[Grid, tuple[Pixels, Kernel]]:
    return _plain(x, kernel), (x, kernel)


def _backward(kept: tuple[Pixels, Kernel], gradient: Grid) -> tuple[Pixels, Kernel]:
    x, kernel = kept

    def by_definition(kernel: Kernel, gradient: Grid) -> Pixels:
        return jax.linear_transpose(lambda x: _plain(x, kernel), x)(gradient)[0]

    of_x = lax.platform_dependent(kernel, gradient, cpu=_by_parity, default=by_definition)
    (of_kernel,) = jax.linear_transpose(lambda kernel: _plain(x, kernel), kernel)(gradient)
    return of_x, of_kernel


_conv.defvjp(_forward, _backward)


def _by_parity(kernel: Kernel, gradient: Grid) -> Pixels:
    """The gradient with respect to the input, from that of the output [b, h, w, c]."""
    # Output row i is of the input rows 2i-1, 2i and 2i+1: even rows 2i meet the kernel's row 1, and odd rows 2i+1 its row 2 in
    # output row i and its row 0 in the next one.
    taps = [1], [2, 0]
    turned = kernel.swapaxes(2, 3)

    def of(rows: list[int], columns: list[int]) -> Pixels:
        part = turned[jnp.array(rows)][:, jnp.array(columns)]
        padding = [(0, len(rows) - 1), (0, len(columns) - 1)]
        return lax.conv_general_dilated(gradient, part, (1, 1), padding, dimension_numbers=NUMBERS)

    parts = jnp.stack([jnp.stack([of(rows, columns) for columns in taps], axis=3) for rows in taps], axis=2)
    batch, height, width, _ = gradient.shape
    return parts.reshape(batch, 2 * height, 2 * width, -1)
