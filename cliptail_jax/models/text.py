"""CLIP's text transformer (Radford et al. 2021, arXiv 2103.00020, section 2.4; names as in openai/CLIP)."""

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float, Int

from cliptail_jax.models.initializers import normal
from cliptail_jax.models.layers import layer_norm
from cliptail_jax.models.transformer import Transformer, clip_text_init


class TextTransformer(nnx.Module):
    """Causal transformer whose state at the end-of-text token is projected to the features.

    End of text is the highest token id of a caption, so its embedding has seen the whole caption and no padding.
    CLIP's own is context_length 77, vocab_size 49408, width 512, 12 layers, 8 heads.
    """

    def __init__(
        self,
        context_length: int,
        vocab_size: int,
        width: int,
        layers: int,
        heads: int,
        output_dim: int,
        *,
        activation: str = "gelu",
        dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.dtype = dtype
        self.token_embedding = nnx.Embed(vocab_size, width, embedding_init=normal(0.02), dtype=dtype, rngs=rngs)
        self.positional_embedding = nnx.Param(normal(0.01)(rngs.params(), (context_length, width)))
        self.transformer = Transformer(
            width, layers, heads, activation, causal=True, init=clip_text_init(width, layers), dtype=dtype, rngs=rngs
        )
        self.ln_final = layer_norm(width, dtype=dtype, rngs=rngs)
        self.text_projection = nnx.Param(normal(width**-0.5)(rngs.params(), (width, output_dim)))

    def __call__(self, tokens: Int[Array, "batch length"]) -> Float[Array, "batch output_dim"]:
        """Raw features of tokenised captions, which may be cut behind the longest one: what follows an end has no effect."""
        position = self.positional_embedding[: tokens.shape[1]].astype(self.dtype)
        x = self.token_embedding(tokens) + position
        x = self.transformer(x)
        end_of_text = tokens.argmax(-1)
        x = self.ln_final(x[jnp.arange(len(tokens)), end_of_text])
        return (x @ self.text_projection[...].astype(self.dtype)).astype(jnp.float32)
