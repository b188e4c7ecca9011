"""Multi-head attention of any queries, keys and values."""

import jax
from jax import Array
from jaxtyping import Float

States = Float[Array, "batch length width"]


def split_heads(x: States, heads: int) -> Float[Array, "batch length heads head_width"]:
    """The part of each attention head."""
    return x.reshape(*x.shape[:2], heads, -1)


def attend(
    query: Float[Array, "batch queries width"], key: States, value: States, heads: int, **options
) -> Float[Array, "batch queries width"]:
    """Multi-head scaled dot-product attention; `options` are those of `jax.nn.dot_product_attention`."""
    outputs = jax.nn.dot_product_attention(*(split_heads(x, heads) for x in (query, key, value)), **options)
    return outputs.reshape(query.shape)
