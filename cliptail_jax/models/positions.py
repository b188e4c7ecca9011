"""Bicubic interpolation of positional embeddings for inputs of another size, as in PyTorch.

Not by `jax.image.resize`, whose cubic kernel has another parameter, a = -1/2.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Float64

from cliptail_jax.errors import UserError

CUBIC = -0.75  # the parameter a of PyTorch's cubic kernel


def token_positions(embedding: Float[Array, "tokens dim"], height: int, width: int) -> Float[Array, "new_tokens dim"]:
    """Resize the embedding of a leading token and a square grid, in row-major order, to a grid of `height` × `width`.

    The leading token's row is not changed. Raises UserError for an empty grid: the image is too small.
    """
    if not height * width:
        raise UserError(
            f"images too small for this image tower, which get a grid of {height} × {width}: give larger ones"
        )
    side = math.isqrt(len(embedding) - 1)
    if (height, width) == (side, side):
        return embedding
    grid = resize_positions(embedding[1:].reshape(side, side, -1), height, width)
    return jnp.concatenate([embedding[:1], grid.reshape(height * width, -1)])


def resize_positions(
    grid: Float[Array, "height width dim"], height: int, width: int
) -> Float[Array, "new_height new_width dim"]:
    """The grid resized to `height` × `width`, computed in float32; returned unchanged if it has this size.

    Equals torch.nn.functional.interpolate with mode="bicubic", size=(height, width), align_corners=False and no
    antialiasing: the kernel spans four inputs even if the grid gets smaller.
    """
    if grid.shape[:2] == (height, width):
        return grid
    rows, columns = cubic_matrix(grid.shape[0], height), cubic_matrix(grid.shape[1], width)
    resized = jnp.einsum(
        "hy,wx,yxd->hwd",
        jnp.asarray(rows, jnp.float32),
        jnp.asarray(columns, jnp.float32),
        grid.astype(jnp.float32),
        precision=jax.lax.Precision.HIGHEST,
    )
    return resized.astype(grid.dtype)


def cubic_matrix(inputs: int, outputs: int) -> Float64[np.ndarray, "outputs inputs"]:
    """The weight of each input in each output along one axis; the outermost inputs are repeated beyond the borders."""
    centres = (np.arange(outputs) + 0.5) * inputs / outputs - 0.5
    neighbours = np.floor(centres)[:, None].astype(int) + np.arange(-1, 3)
    weights = cubic_kernel(np.abs(centres[:, None] - neighbours))
    matrix = np.zeros((outputs, inputs))
    np.add.at(matrix, (np.arange(outputs)[:, None], np.clip(neighbours, 0, inputs - 1)), weights)
    return matrix


def cubic_kernel(distance: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """The cubic convolution kernel (Keys 1981, equation 4, there with a = -1/2), for distances of 0 to 2 inputs."""
    near = (CUBIC + 2) * distance**3 - (CUBIC + 3) * distance**2 + 1
    far = CUBIC * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    return np.where(distance <= 1, near, far)
