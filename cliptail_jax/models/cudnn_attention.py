"""Self-attention on GPUs by cuDNN, which keeps scores on the chip and computes them again in the backward pass."""

import functools

import jax
import jax.numpy as jnp

from cliptail_jax.models.attention import States, attend
from cliptail_jax.models.attention_kernel import Projections

AMPERE = 8.0  # the lowest compute capability that cuDNN's attention supports
MAX_HEAD_WIDTH = 128  # channels of a head on all such GPUs


def runs_here(projections: Projections, heads: int) -> bool:
    """Whether this function is compiled for GPUs, which it states by its mesh, and cuDNN supports these arrays and the GPUs."""
    device, width = jax.sharding.get_abstract_mesh().abstract_device, projections.shape[2] // (3 * heads)
    if device is None or device.platform != "gpu" or projections.dtype not in (jnp.bfloat16, jnp.float16):
        return False
    # There are none where a plan is made.
    capabilities = [gpu.compute_capability for gpu in jax.local_devices() if gpu.platform == "gpu"]
    recent = all(of[:1].isdigit() and float(of) >= AMPERE for of in capabilities)  # AMD's are names such as gfx90a
    return recent and width <= MAX_HEAD_WIDTH and width % 8 == 0 and is_installed()


@functools.cache
def is_installed() -> bool:
    """Whether JAX finds a cuDNN that has attention for this machine's GPUs.

    JAX says so when it traces attention. Nothing is computed, so that exhausted memory is not mistaken for a missing cuDNN.
    """
    tokens = jax.ShapeDtypeStruct((1, 1, 1, 8), jnp.bfloat16)
    try:
        jax.eval_shape(functools.partial(jax.nn.dot_product_attention, implementation="cudnn"), *[tokens] * 3)
    except RuntimeError:
        return False
    return True


def attend_by_cudnn(projections: Projections, heads: int, causal: bool, implementation: str = "cudnn") -> States:
    """Multi-head scaled dot-product self-attention; with `causal`, tokens do not attend to later ones.

    JAX refuses an odd number of tokens in training, so one is added, to which no token attends. (It means to refuse them
    with a bias alone, but its check counts the empty array that stands for no bias, in 0.10 to 0.12.)
    """
    batch, length, _ = projections.shape
    odd = length % 2
    padded = jnp.pad(projections, [(0, 0), (0, odd), (0, 0)])
    lengths = {"key_value_seq_lengths": jnp.full(batch, length, jnp.int32)} if odd and not causal else {}
    options = {"is_causal": causal, "implementation": implementation, **lengths}
    return attend(*jnp.split(padded, 3, axis=-1), heads, **options)[:, :length]
