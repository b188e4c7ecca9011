"""CLIP's vision transformer (Dosovitskiy et al. 2021, arXiv 2010.11929; names as in openai/CLIP and open_clip).

B/32 has patch_size 32, width 768, 12 layers, 12 heads and output_dim 512; S has width 384 and 6 heads, Ti 192 and 3.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.nn.initializers import normal
from jaxtyping import Float

from cliptail_jax.models.attention import attend
from cliptail_jax.models.layers import EPSILON, Features, Images, Mask, conv, layer_norm, linear
from cliptail_jax.models.positions import token_positions
from cliptail_jax.models.transformer import CONFIGURATION, MLP_RATIO, Transformer, head_width, pytorch_init


class CrossAttention(nnx.Module):
    """Multi-head attention from queries of `width` to a context of another width (names as PyTorch's)."""

    def __init__(self, width: int, context_width: int, heads: int, *, dtype, rngs: nnx.Rngs):
        xavier = nnx.initializers.xavier_uniform()
        options = {"kernel_init": xavier, "use_bias": False, "dtype": dtype, "rngs": rngs}
        head_width(CONFIGURATION, heads, width)
        self.heads = heads
        self.dtype = dtype
        self.q_proj = linear(width, width, **options)
        self.k_proj = linear(context_width, width, **options)
        self.v_proj = linear(context_width, width, **options)
        self.in_proj_bias = nnx.Param(jnp.zeros(3 * width))
        self.out_proj = linear(width, width, bias_init=nnx.initializers.zeros, dtype=dtype, rngs=rngs)

    def __call__(
        self, query: Float[Array, "batch queries width"], context: Float[Array, "batch length context_width"]
    ) -> Float[Array, "batch queries width"]:
        q_bias, k_bias, v_bias = jnp.split(self.in_proj_bias[...].astype(self.dtype), 3)
        q, k, v = self.q_proj(query) + q_bias, self.k_proj(context) + k_bias, self.v_proj(context) + v_bias
        return self.out_proj(attend(q, k, v, self.heads))


class AttentionalPooler(nnx.Module):
    """Learned queries that attend to all tokens (CoCa: Yu et al. 2022, arXiv 2205.01917).

    The contrastive feature is the output of the first query; the others are used by CoCa's caption decoder only.
    """

    def __init__(self, width: int, context_width: int, heads: int, queries: int, *, dtype, rngs: nnx.Rngs):
        self.dtype = dtype
        self.query = nnx.Param(normal(1.0)(rngs.params(), (queries, width)))
        self.attn = CrossAttention(width, context_width, heads, dtype=dtype, rngs=rngs)
        self.ln_q = layer_norm(width, dtype=dtype, rngs=rngs)
        self.ln_k = layer_norm(context_width, dtype=dtype, rngs=rngs)

    def __call__(self, x: Float[Array, "batch length context_width"]) -> Float[Array, "batch width"]:
        """The output of the first query."""
        query = self.ln_q(self.query[:1].astype(self.dtype))
        return self.attn(jnp.broadcast_to(query, (len(x), *query.shape)), self.ln_k(x))[:, 0]


class VisionTransformer(nnx.Module):
    """A pre-norm transformer over patches and a class token, whose pooled state is projected to the features.

    The positional embedding is that of square images of `image_size` pixels; `resampling` is for others, as in
    `positions.token_positions`. Pixels at the right and bottom that fill no patch are dropped.

    `pool` selects the class token ('tok') or the mean of the patches ('avg'). The last layer norm precedes the mean, or
    follows it with `norm_after_pool`. `layer_scale` is the initial scale of what the blocks add, if it is learned.
    `attention_pool` is (heads, queries) of CoCa's pooler, which replaces `pool`.
    """

    def __init__(
        self,
        patch_size: int,
        width: int,
        layers: int,
        heads: int,
        output_dim: int,
        image_size: int,
        *,
        activation: str = "gelu",
        mlp_ratio: float = MLP_RATIO,
        epsilon: float = EPSILON,
        layer_scale: float | None = None,
        pool: str = "tok",
        norm_after_pool: bool = False,
        norm_before: bool = True,
        attention_pool: Sequence[int] | None = None,
        resampling: str = "",
        dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        init = normal(width**-0.5)
        tokens = (image_size // patch_size) ** 2 + 1
        setup = {"dtype": dtype, "rngs": rngs}
        self.dtype = dtype
        self.pool = pool
        self.norm_after_pool = norm_after_pool
        self.resampling = resampling
        self.conv1 = conv(3, width, patch_size, stride=patch_size, **setup)
        self.class_embedding = nnx.Param(init(rngs.params(), (width,)))
        self.positional_embedding = nnx.Param(init(rngs.params(), (tokens, width)))
        self.ln_pre = layer_norm(width, epsilon=epsilon, **setup) if norm_before else nnx.identity
        options = {"mlp_ratio": mlp_ratio, "epsilon": epsilon, "layer_scale": layer_scale, **setup}
        options["init"] = pytorch_init(width, mlp_ratio)
        self.transformer = Transformer(width, layers, heads, activation, causal=False, **options)
        self.attn_pool = AttentionalPooler(output_dim, width, *attention_pool, **setup) if attention_pool else None
        pooled_width = output_dim if attention_pool else width
        self.ln_post = layer_norm(pooled_width, epsilon=epsilon, **setup)
        self.proj = nnx.Param(init(rngs.params(), (pooled_width, output_dim)))

    def __call__(self, images: Images, train: bool = False, mask: Mask | None = None) -> Features:
        """Unnormalized features. `train` and `mask`, which all image towers accept, have no effect."""
        del train, mask
        patches = self.conv1(images)
        batch, rows, columns, width = patches.shape
        class_token = jnp.broadcast_to(self.class_embedding[...].astype(self.dtype), (batch, 1, width))
        x = jnp.concatenate([class_token, patches.reshape(batch, -1, width)], 1)
        positions = token_positions(self.positional_embedding[...], rows, columns, self.resampling)
        x = self.ln_pre(x + positions.astype(self.dtype))
        x = self._pooled(self.transformer(x))
        return (x @ self.proj[...].astype(self.dtype)).astype(jnp.float32)

    def _pooled(self, x: Float[Array, "batch length width"]) -> Float[Array, "batch pooled_width"]:
        if self.attn_pool is not None:
            return self.ln_post(self.attn_pool(x))
        if self.pool == "tok":
            return self.ln_post(x[:, 0])
        if self.norm_after_pool:
            return self.ln_post(x[:, 1:].mean(1))
        return self.ln_post(x[:, 1:]).mean(1)
