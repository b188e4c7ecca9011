"""CLIP's text transformer (Radford et al. 2021, arXiv 2103.00020, section 2.4; names as in openai/CLIP and open_clip)."""

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jax.nn.initializers import normal
from jaxtyping import Bool, Float, Int

from cliptail_jax.models.layers import EPSILON, Tokens, layer_norm, normal_linear
from cliptail_jax.models.transformer import MLP_RATIO, Transformer, clip_text_init


class TextTransformer(nnx.Module):
    """A transformer whose state at one token is projected to the features.

    `pool` selects the token: 'argmax' is the highest token id, which in CLIP's vocabulary is the end of text, whose
    state depends on the whole caption and on no padding; 'eos' is the first `eos_id`; 'first' and 'last' are the first
    and last of the context, including padding. With `class_token`, a learned token follows the context and is selected
    instead (CoCa). With `causal`, tokens do not attend to later ones. `projection` is 'linear', 'biased' (a linear layer
    with bias) or 'none' if the state is the feature. CLIP's own text tower has context_length 77, vocab_size 49408,
    width 512, 12 layers and 8 heads. SigLIP's is not causal, selects the last token, and attends to padding like to any
    other token.
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
        layer_scale: float | None = None,
        causal: bool = True,
        pool: str = "argmax",
        eos_id: int = 2,
        pad_id: int = 0,
        class_token: bool = False,
        projection: str = "linear",
        dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.dtype = dtype
        # Whether tokens after the pooled one have no effect, so that texts may be truncated there.
        self.may_be_cut = causal and pool == "argmax" and not class_token
        self.pool = pool
        self.eos_id = eos_id
        self.pad_id = pad_id
        self.token_embedding = nnx.Embed(vocab_size, width, embedding_init=normal(0.02), dtype=dtype, rngs=rngs)
        self.cls_emb = nnx.Param(normal(0.01)(rngs.params(), (width,))) if class_token else None
        positions = context_length + class_token
        self.positional_embedding = nnx.Param(normal(0.01)(rngs.params(), (positions, width)))
        options = {"mlp_ratio": mlp_ratio, "epsilon": epsilon, "layer_scale": layer_scale}
        options["init"] = clip_text_init(width, layers)
        self.transformer = Transformer(
            width, layers, heads, activation, causal=causal, **options, dtype=dtype, rngs=rngs
        )
        self.ln_final = layer_norm(width, epsilon=epsilon, dtype=dtype, rngs=rngs)
        if projection == "biased":
            self.text_projection = normal_linear(width, output_dim, width**-0.5, dtype=dtype, rngs=rngs)
        elif projection == "linear":
            self.text_projection = nnx.Param(normal(width**-0.5)(rngs.params(), (width, output_dim)))
        else:
            self.text_projection = None

    def __call__(self, tokens: Tokens) -> Float[Array, "batch output_dim"]:
        """Unnormalized features of tokens, which may be truncated to the longest caption if `may_be_cut`."""
        return self.project(self.state(tokens))

    def state(self, tokens: Tokens) -> Float[Array, "batch width"]:
        """The transformer's state at the selected token of each caption, in float32."""
        x = self.token_embedding(tokens)
        if self.cls_emb is not None:
            x = jnp.concatenate([x, jnp.broadcast_to(self.cls_emb[...].astype(self.dtype), (len(x), 1, x.shape[2]))], 1)
        x = x + self.positional_embedding[: x.shape[1]].astype(self.dtype)
        x = self.transformer(x, self._visible(tokens))
        return self.ln_final(x[jnp.arange(len(tokens)), self._pooled_position(tokens)]).astype(jnp.float32)

    def project(self, state: Float[Array, "batch width"]) -> Float[Array, "batch output_dim"]:
        """Unnormalized features of the states that `state` returns, in float32."""
        if self.text_projection is None:
            return state
        if isinstance(self.text_projection, nnx.Linear):
            return self.text_projection(state).astype(jnp.float32)
        return (state.astype(self.dtype) @ self.text_projection[...].astype(self.dtype)).astype(jnp.float32)

    def _visible(self, tokens: Tokens) -> Bool[Array, "batch length_and_class"] | None:
        """Marks the tokens that are attended to; None for all.

        Published CoCas were trained with a padding mask that is shifted by one token, as if the class token came first
        and not last; their weights require it.
        """
        if self.cls_emb is None:
            return None
        return jnp.pad(tokens != self.pad_id, [(0, 0), (1, 0)], constant_values=True)

    def _pooled_position(self, tokens: Tokens) -> Int[Array | np.ndarray, " batch"] | int:
        if self.cls_emb is not None or self.pool == "last":
            return -1
        if self.pool == "first":
            return 0
        return (tokens == self.eos_id).argmax(-1) if self.pool == "eos" else tokens.argmax(-1)


class TextModel(nnx.Module):
    """A text tower on its own."""

    def __init__(self, text: nnx.Module):
        self.text = text
