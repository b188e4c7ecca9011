"""Self-attention of image and text towers, by a kernel for TPUs or GPUs where one supports it."""

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.extend.core import Jaxpr, jaxprs_in_params
from jaxtyping import Bool

from cliptail_jax.models import attention_kernel, cudnn_attention
from cliptail_jax.models.attention import States, attend
from cliptail_jax.models.attention_kernel import Projections

AUTO, PLAIN = "auto", "plain"  # values of the config's `model.attention`
# The kernels by the names that their operations have in JAX's programs.
KERNELS = {"pallas_call": "Pallas kernel", "dot_product_attention_fwd_wrapper": "cuDNN"}


class SelfAttention(nnx.Module):
    """Attention of tokens to each other.

    With `plain`, no kernel is used: scores are written to memory. They are then rounded differently.
    """

    plain = False

    def attend(
        self,
        projections: Projections,
        heads: int,
        *,
        causal: bool = False,
        mask: Bool[Array, "batch 1 1 length"] | None = None,
    ) -> States:
        """Multi-head scaled dot-product attention; with `causal`, tokens do not attend to later ones.

        `mask` marks the tokens that are attended to; no kernel takes it.
        """
        if not self.plain and mask is None:
            if attention_kernel.is_supported(projections.shape[1]):
                return attention_kernel.attend_on_chip(projections, heads, causal)
            if cudnn_attention.is_supported(projections, heads):
                return cudnn_attention.attend_by_cudnn(projections, heads, causal)
        return attend(*jnp.split(projections, 3, axis=-1), heads, is_causal=causal, mask=mask)


def use_plain_attention(model: nnx.Module) -> None:
    """Set `plain` in all self-attention of a model."""
    for _, module in nnx.iter_modules(model):
        if isinstance(module, SelfAttention):
            module.plain = True


def attention_in(program: Jaxpr) -> str:
    """The kernels of a step's attention, such as 'cuDNN', or 'plain' if there are none."""
    return ", ".join(sorted(_kernels(program))) or PLAIN


def _kernels(program: Jaxpr) -> set[str]:
    kernels = {KERNELS[equation.primitive.name] for equation in program.eqns if equation.primitive.name in KERNELS}
    return kernels.union(*(_kernels(inner) for equation in program.eqns for inner in jaxprs_in_params(equation.params)))
