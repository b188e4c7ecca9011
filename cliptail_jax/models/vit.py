"""CLIP's vision transformer (Dosovitskiy et al. 2021, arXiv 2010.11929; names as in openai/CLIP).

B/32 is patch_size 32, width 768, 12 layers, 12 heads, output_dim 512; S has width 384 and 6 heads, Ti 192 and 3.
"""

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Bool, Float

from cliptail_jax.models.initializers import normal
from cliptail_jax.models.layers import conv, layer_norm
from cliptail_jax.models.transformer import Transformer, pytorch_init


class VisionTransformer(nnx.Module):
    """Pre-norm transformer over patches and a class token, whose final state is projected to the features."""

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
        dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        draw = normal(width**-0.5)
        tokens = (image_size // patch_size) ** 2 + 1
        self.dtype = dtype
        self.conv1 = conv(3, width, patch_size, stride=patch_size, dtype=dtype, rngs=rngs)
        self.class_embedding = nnx.Param(draw(rngs.params(), (width,)))
        self.positional_embedding = nnx.Param(draw(rngs.params(), (tokens, width)))
        self.ln_pre = layer_norm(width, dtype=dtype, rngs=rngs)
        self.transformer = Transformer(
            width, layers, heads, activation, causal=False, init=pytorch_init(width), dtype=dtype, rngs=rngs
        )
        self.ln_post = layer_norm(width, dtype=dtype, rngs=rngs)
        self.proj = nnx.Param(draw(rngs.params(), (width, output_dim)))

    def __call__(
        self,
        images: Float[Array, "batch height width 3"],
        train: bool = False,
        mask: Bool[Array, "batch"] | None = None,
    ) -> Float[Array, "batch output_dim"]:
        """Raw features. `train` and `mask` are there because every image encoder has them: nothing depends on them."""
        del train, mask
        patches = self.conv1(images)
        batch, _, _, width = patches.shape
        class_token = jnp.broadcast_to(self.class_embedding[...].astype(self.dtype), (batch, 1, width))
        x = jnp.concatenate([class_token, patches.reshape(batch, -1, width)], 1)
        x = self.ln_pre(x + self.positional_embedding[...].astype(self.dtype))
        x = self.ln_post(self.transformer(x)[:, 0])
        return (x @ self.proj[...].astype(self.dtype)).astype(jnp.float32)
