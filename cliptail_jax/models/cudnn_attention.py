"""Self-attention on GPUs by cuDNN, which keeps scores on the chip and computes them again in the backward pass."""

import functools

import jax
import jax.numpy as jnp

from cliptail_jax.models.attention import States, attend
from cliptail_jax.models.attention_kernel import Projections

AMPERE = 8.0  # the lowest compute capability that cuDNN's attention supports
MAX_HEAD_WIDTH = 128  # channels of a head on all such GPUs


def is_supported(projections: Projections, heads: int) -> bool:
    """Whether the traced function is for GPUs, as its mesh shows, and cuDNN supports these arrays and GPUs."""
    device, width = jax.sharding.get_abstract_mesh().abstract_device, projections.shape[2] // (3 * heads)
    if device is None or device.platform != "gpu" or projections.dtype not in (jnp.bfloat16, jnp.float16):
        return False
    # A machine that only plans a run has none.
    capabilities = [gpu.compute_capability for gpu in jax.local_devices() if gpu.platform == "gpu"]
    # AMD's capabilities are names such as gfx90a.
    are_recent = all(number[:1].isdigit() and float(number) >= AMPERE for number in capabilities)
    return are_recent and width <= MAX_HEAD_WIDTH and width % 8 == 0 and is_installed()


@functools.cache
def is_installed() -> bool:
    """Whether JAX finds a cuDNN that has attention for this machine's GPUs.

    JAX raises an error when it traces attention without one. Nothing is computed, so exhausted memory is no such error.
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
    padding = length % 2
    projections = jnp.pad(projections, [(0, 0), (0, padding), (0, 0)])
    lengths = {"key_value_seq_lengths": jnp.full(batch, length, jnp.int32)} if padding and not causal else {}
    options = {"is_causal": causal, "implementation": implementation, **lengths}
    return attend(*jnp.split(projections, 3, axis=-1), heads, **options)[:, :length]
