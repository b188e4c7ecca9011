"""CLIP's text transformer (Radford et al. 2021, arXiv 2103.00020, section 2.4; names as in openai/CLIP and open_clip)."""

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Bool, Float, Int

from cliptail_jax.models.initializers import normal
from cliptail_jax.models.layers import EPSILON, layer_norm
from cliptail_jax.models.transformer import MLP_RATIO, Transformer, clip_text_init


class TextTransformer(nnx.Module):
    """Transformer whose state at one token is projected to the features.

    `pool` says at which: 'argmax' the highest token id, which is end of text in CLIP's vocabulary, so that its state has
    seen the whole caption and no padding; 'eos' the first `eos_id`; 'first'; 'last' of the context, padding or not.
    With `class_token` a learned token follows the context and is the one (CoCa). `causal` hides later tokens from earlier
    ones. CLIP's own is context_length 77, vocab_size 49408, width 512, 12 layers, 8 heads.
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
        mlp_ratio: float = MLP_RATIO,
        epsilon: float = EPSILON,
        causal: bool = True,
        pool: str = "argmax",
        eos_id: int = 2,
        pad_id: int = 0,
        class_token: bool = False,
        dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.dtype = dtype
        # Whether tokens behind the pooled one have no effect, so that texts may be cut there.
        self.may_be_cut = causal and pool == "argmax" and not class_token
        self.pool = pool
        self.eos_id = eos_id
        self.pad_id = pad_id
        self.token_embedding = nnx.Embed(vocab_size, width, embedding_init=normal(0.02), dtype=dtype, rngs=rngs)
        self.cls_emb = nnx.Param(normal(0.01)(rngs.params(), (width,))) if class_token else None
        positions = context_length + class_token
        self.positional_embedding = nnx.Param(normal(0.01)(rngs.params(), (positions, width)))
        self.transformer = Transformer(
            width,
            layers,
            heads,
            activation,
            causal=causal,
            mlp_ratio=mlp_ratio,
            epsilon=epsilon,
            init=clip_text_init(width, layers),
            dtype=dtype,
            rngs=rngs,
        )
        self.ln_final = layer_norm(width, epsilon=epsilon, dtype=dtype, rngs=rngs)
        self.text_projection = nnx.Param(normal(width**-0.5)(rngs.params(), (width, output_dim)))

    def __call__(self, tokens: Int[Array, "batch length"]) -> Float[Array, "batch output_dim"]:
        """Raw features of tokenised captions, which may be cut behind the longest one where `may_be_cut`."""
        return self.project(self.state(tokens))

    def state(self, tokens: Int[Array, "batch length"]) -> Float[Array, "batch width"]:
        """The transformer's state at each caption's pooled token."""
        x = self.token_embedding(tokens)
        if self.cls_emb is not None:
            x = jnp.concatenate([x, jnp.broadcast_to(self.cls_emb[...].astype(self.dtype), (len(x), 1, x.shape[2]))], 1)
        x = x + self.positional_embedding[: x.shape[1]].astype(self.dtype)
        x = self.transformer(x, self._visible(tokens))
        return self.ln_final(x[jnp.arange(len(tokens)), self._pooled_position(tokens)]).astype(jnp.float32)

    def project(self, state: Float[Array, "batch width"]) -> Float[Array, "batch output_dim"]:
        """Raw features, of what `state` gives."""
        return (state.astype(self.dtype) @ self.text_projection[...].astype(self.dtype)).astype(jnp.float32)

    def _visible(self, tokens: Int[Array, "batch length"]) -> Bool[Array, "batch length_and_class"] | None:
        """Which tokens others attend to; None where all.

        Published CoCas were trained with the padding mask one place late, the class token's place in front instead of
        behind: their weights need it so.
        """
        if self.cls_emb is None:
            return None
        return jnp.pad(tokens != self.pad_id, [(0, 0), (1, 0)], constant_values=True)

    def _pooled_position(self, tokens: Int[Array, "batch length"]) -> Int[Array, "batch"] | int:
        if self.cls_emb is not None or self.pool == "last":
            return -1
        if self.pool == "first":
            return 0
        return (tokens == self.eos_id).argmax(-1) if self.pool == "eos" else tokens.argmax(-1)


class TextModel(nnx.Module):
    """A text tower on its own."""

    def __init__(self, text: nnx.Module):
        self.text = text
