"""Descriptions of GPUs in the text form of XLA's GpuTargetConfigProto, so that XLA compiles without a GPU."""

import contextlib
from collections.abc import Iterator
from unittest import mock

from cliptail_jax.models import cudnn_attention

# The SXM modules. Sources: NVIDIA's architecture white papers of A100 (GA100) and H100 (GH100), the CUDA C++ Programming
# Guide's table of compute capabilities, and the data sheet of H200, which differs from H100 only in its memory.
H100 = {
    "core_count": 132,
    "fpus_per_core": 128,
    "clock_rate_ghz": 1.98,
    "l2_cache_size": 50 * 2**20,
    "shared_memory_per_core": 228 * 2**10,
    "shared_memory_per_block_optin": 227 * 2**10,
    "memory_bandwidth": 3_352_320_000_000,
    "device_memory_size": 84_978_434_048,
}
A100 = {
    "core_count": 108,
    "fpus_per_core": 64,
    "clock_rate_ghz": 1.41,
    "l2_cache_size": 40 * 2**20,
    "shared_memory_per_core": 164 * 2**10,
    "shared_memory_per_block_optin": 163 * 2**10,
    "memory_bandwidth": 2_039_000_000_000,
    "device_memory_size": 85_095_874_560,
}
H200 = H100 | {"memory_bandwidth": 4_800_000_000_000, "device_memory_size": 150_754_820_096}
COMMON = {
    "threads_per_block_limit": 1024,
    "threads_per_warp": 32,
    "threads_per_core_limit": 2048,
    "block_dim_limit_x": 2**31 - 1,
    "block_dim_limit_y": 2**16 - 1,
    "block_dim_limit_z": 2**16 - 1,
    "registers_per_core_limit": 2**16,
    "registers_per_block_limit": 2**16,
    "shared_memory_per_block": 48 * 2**10,
}
# For each kind of GPU: its description, name and compute capability.
GPUS = {
    "a100": (A100, "NVIDIA A100-SXM4-80GB", 8),
    "h100": (H100, "NVIDIA H100 80GB HBM3", 9),
    "h200": (H200, "NVIDIA H200", 9),
}
CUDNN = 9, 8, 0  # version


@contextlib.contextmanager
def with_cudnn() -> Iterator[None]:
    """In this context, JAX traces cuDNN's attention even if this machine lacks the library."""
    version = 10000 * CUDNN[0] + 100 * CUDNN[1] + CUDNN[2]
    traces = mock.patch("jax._src.cudnn.fused_attention_stablehlo.check_cudnn_version", lambda: version)
    with traces, mock.patch.object(cudnn_attention, "is_installed", lambda: True):
        yield


def gpu_target(kind: str) -> str:
    """The target configuration of an 'a100', 'h100' or 'h200'."""
    description, name, capability = GPUS[kind]
    info = "\n".join(f"  {key}: {value}" for key, value in (COMMON | description).items())
    return f"""
gpu_device_info {{
{info}
  cuda_compute_capability {{ major: {capability} minor: 0 }}
}}
platform_name: "CUDA"
dnn_version_info {{ major: {CUDNN[0]} minor: {CUDNN[1]} patch: {CUDNN[2]} }}
device_description_str: "{name}"
"""
