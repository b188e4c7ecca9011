"""Dropout of text encoders, with keys passed to each forward pass."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Bool, Float


@dataclass(frozen=True)
class Dropout:
    """Dropout in one forward pass: sets a fraction `rate` of the values to zero and divides the others by 1 - rate.

    Without a key it is the identity. `at` derives an independent key for each place in the network
    (Srivastava et al. 2014, jmlr.org/papers/v15/srivastava14a.html).
    """

    rate: float = 0.0
    key: Array | None = None

    def at(self, place: int) -> "Dropout":
        """The dropout of a part of the network, independent of that of all other parts."""
        return self if self.key is None else Dropout(self.rate, jax.random.fold_in(self.key, place))

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        if self.key is None:
            return x
        kept = jax.random.bernoulli(self.key, 1 - self.rate, x.shape)
        return jnp.where(kept, x / (1 - self.rate), 0)


Heads = Float[Array, "batch length heads head_width"]


def attend_dropping(
    query: Heads,
    key: Heads,
    value: Heads,
    mask: Bool[Array | np.ndarray, "batch 1 1 length"],
    dropout: Dropout,
    bias: Float[Array, "1 heads length length"] | None = None,
) -> Heads:
    """Scaled dot-product attention with dropout of the attention probabilities; `bias` is added to their logits."""
    dropping = dropout.key is not None
    attended = nnx.dot_product_attention(
        query,
        key,
        value,
        bias,
        mask,
        broadcast_dropout=False,  # published encoders use a mask for each example and head
        dropout_rng=dropout.key,
        dropout_rate=dropout.rate if dropping else 0.0,
        dtype=jnp.float32 if dropping else None,  # of the softmax, which nnx computes in this type under dropout
    )
    return attended.astype(value.dtype)
