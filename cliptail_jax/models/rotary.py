"""Rotary positions of image towers (Su et al. 2021, arXiv 2104.09864; on two axes as in EVA-02, arXiv 2303.11331).

Half of the channels of an attention head encode each axis of the grid. They are computed from the grid of the given
images, so nothing is stored or resized.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64

BASE = 10_000  # of the frequencies, as in language models


@dataclass(frozen=True)
class Rotary:
    """The positions of a grid's cells.

    Attributes:
      side: the side of the grid whose cells have whole numbers as positions. Other grids are stretched to this side.
      columns_first: whether the first half of a head's channels encodes the column, and not the row.
      offset: the position of the first cell of the grid with `side`.
    """

    side: int
    columns_first: bool = False
    offset: int = 0

    def angles(self, rows: int, columns: int, head_width: int) -> Float64[np.ndarray, "cells {head_width//2}"]:
        """The rotation of each pair of a head's channels, in radians, for the cells in row-major order."""
        row, column = np.indices((rows, columns)).reshape(2, -1) + self.offset
        positions = [row * self.side / rows, column * self.side / columns]
        if self.columns_first:
            positions.reverse()
        bands = head_width // 4
        frequencies = float(BASE) ** (-np.arange(bands) / bands)
        return np.concatenate([position[:, None] * frequencies for position in positions], 1)


def rotate(
    x: Float[Array, "batch length heads head_width"], angles: Float64[np.ndarray, "cells head_width//2"]
) -> Float[Array, "batch length heads head_width"]:
    """Queries or keys whose last `cells` tokens are rotated, each neighbouring pair of channels by its angle.

    The rotated pairs are returned as all their first channels and then all their second ones: products of queries and
    keys do not depend on the order of channels, and this one needs no interleaving.
    """
    leading = x.shape[1] - len(angles)
    angles = np.pad(angles, [(leading, 0), (0, 0)])[:, None]  # other tokens are not rotated
    cos, sin = jnp.asarray(np.cos(angles), jnp.float32), jnp.asarray(np.sin(angles), jnp.float32)
    first, second = x[..., ::2], x[..., 1::2]
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], -1).astype(x.dtype)
