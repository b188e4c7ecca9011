"""Dropout of text encoders, with keys passed to each forward pass."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float

from cliptail_jax.models.attention import States, split_heads
from cliptail_jax.models.layers import Valid


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
        mask = jax.random.bernoulli(self.key, 1 - self.rate, x.shape)
        return jnp.where(mask, x / (1 - self.rate), 0)


def attend_with_dropout(
    query: States,
    key: States,
    value: States,
    heads: int,
    valid: Valid,
    dropout: Dropout,
) -> States:
    """Multi-head scaled dot-product attention to the `valid` tokens, with dropout of the attention probabilities."""
    has_dropout = dropout.key is not None
    outputs = nnx.dot_product_attention(
        *(split_heads(x, heads) for x in (query, key, value)),
        mask=valid[:, None, None, :],
        broadcast_dropout=False,  # published encoders use a mask for each example and head
        dropout_rng=dropout.key,
        dropout_rate=dropout.rate if has_dropout else 0.0,
        dtype=jnp.float32 if has_dropout else None,  # of the softmax, which nnx computes in this type under dropout
    )
    return outputs.astype(value.dtype).reshape(query.shape)
