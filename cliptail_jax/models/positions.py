"""Positional embeddings of images of another size than an image tower was made for, by one of two rules.

DINO has crops of two sizes. Its towers resample the embedding in each forward pass: `token_positions` with
`resampling`. open_clip resizes the embedding once, when it loads a model for another size: `resize_positions`. All
other towers take images of one size only, so the two rules cannot be confused unnoticed.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Float64

from cliptail_jax.host.errors import UserError

OTHER_GRIDS, EVERY_GRID = "other_grids", "every_grid"  # values of `resampling`

CUBIC = -0.75  # the parameter a of PyTorch's cubic kernel without antialiasing
# What DINO adds to the side of a grid, so that PyTorch does not round the resampled grid down to a smaller one.
MARGIN = 0.1


def token_positions(
    embedding: Float[Array, "tokens dim"], height: int, width: int, resampling: str = ""
) -> Float[Array, "new_tokens dim"]:
    """The embedding of a leading token and a grid of `height` × `width` cells, in row-major order.

    Args:
      embedding: the embedding of a leading token, whose row is not changed, and of a square grid.
      height, width: the grid of the images.
      resampling: '' if the tower takes its own grid only; `OTHER_GRIDS` if others are resampled as in DINO; `EVERY_GRID`
        if its own is, too, with the gradient that PyTorch has for it.

    Raises:
      UserError: the grid is empty because the images are too small, or is not the tower's own and `resampling` is ''.
    """
    side = math.isqrt(len(embedding) - 1)
    check_grid(height, width, side, own_only=not resampling)
    if (height, width) == (side, side) and resampling != EVERY_GRID:
        return embedding
    grid = resample_grid(embedding[1:].reshape(side, side, -1), height, width)
    positions = jnp.concatenate([embedding[:1], grid.reshape(height * width, -1)])
    if (height, width) == (side, side):  # PyTorch's gradient of an interpolation to the same size is a copy
        return embedding + jax.lax.stop_gradient(positions - embedding)
    return positions


def check_grid(height: int, width: int, side: int, own_only: bool = True) -> None:
    """Raise UserError if a grid is empty, or with `own_only` if it is not the tower's own of `side` × `side`."""
    if not height * width:
        raise UserError(
            f"the images are too small for this image tower: they have {height} × {width} cells; give larger ones"
        )
    if own_only and (height, width) != (side, side):
        raise UserError(
            f"images of {height} × {width} cells, but this image tower has positions for {side} × {side}: give images of "
            "its own size, or open the model for theirs (cliptail_jax.pretrained.OpenedModel.at_size)"
        )


def leading_tokens(tokens: int) -> int | None:
    """The number of rows before a square grid in an embedding of `tokens` rows: 0 or 1; None if neither fits."""
    for leading in (0, 1):
        if tokens > 1 and math.isqrt(tokens - leading) ** 2 == tokens - leading:
            return leading
    return None


def resize_positions(
    embedding: Float[Array | np.ndarray, "*axes tokens dim"], side: int
) -> Float[Array, "*axes new_tokens dim"]:
    """The embedding for images with a grid of `side` × `side`, as open_clip and timm resize it.

    Equals torch.nn.functional.interpolate with mode="bicubic", size=(side, side) and antialias=True, whose kernel is that
    of `jax.image.resize`. The embedding is of a square grid, perhaps after a leading token, whose row is not changed.
    """
    *axes, tokens, dim = embedding.shape
    leading = leading_tokens(tokens)
    rows, old_side = jnp.asarray(embedding, jnp.float32).reshape(tokens, dim), math.isqrt(tokens)
    grid = rows[leading:].reshape(old_side, old_side, dim)
    new_grid = jax.image.resize(grid, (side, side, dim), "cubic", precision=jax.lax.Precision.HIGHEST)
    return jnp.concatenate([rows[:leading], new_grid.reshape(side**2, dim)]).reshape(*axes, leading + side**2, dim)


def resample_grid(
    grid: Float[Array, "height width dim"], height: int, width: int
) -> Float[Array, "new_height new_width dim"]:
    """The grid resampled to `height` × `width` as in DINO, in float32.

    Equals torch.nn.functional.interpolate with mode="bicubic" and scale_factor = (new side + 0.1) / side along each axis:
    the samples are that factor apart, not the ratio of the sides, and lie off centre (github.com/facebookresearch/dino,
    issue 8). There is no antialiasing: the kernel spans four inputs even if the grid gets smaller.
    """
    rows, columns = resampling_matrix(grid.shape[0], height), resampling_matrix(grid.shape[1], width)
    new_grid = jnp.einsum(
        "hy,wx,yxd->hwd",
        jnp.asarray(rows, jnp.float32),
        jnp.asarray(columns, jnp.float32),
        grid.astype(jnp.float32),
        precision=jax.lax.Precision.HIGHEST,
    )
    return new_grid.astype(grid.dtype)


def resampling_matrix(inputs: int, outputs: int) -> Float64[np.ndarray, "outputs inputs"]:
    """The weight of each input in each output along one axis; the outermost inputs are repeated beyond the borders."""
    centres = (np.arange(outputs) + 0.5) * inputs / (outputs + MARGIN) - 0.5
    neighbours = np.floor(centres)[:, None].astype(int) + np.arange(-1, 3)
    weights = cubic_kernel(np.abs(centres[:, None] - neighbours))
    matrix = np.zeros((outputs, inputs))
    np.add.at(matrix, (np.arange(outputs)[:, None], np.clip(neighbours, 0, inputs - 1)), weights)
    return matrix


def cubic_kernel(distance: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """The cubic convolution kernel (Keys 1981, equation 4, there with a = -1/2), for distances of 0 to 2 inputs."""
    inner = (CUBIC + 2) * distance**3 - (CUBIC + 3) * distance**2 + 1
    outer = CUBIC * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    return np.where(distance <= 1, inner, outer)
