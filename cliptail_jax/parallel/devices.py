"""The peak speed of devices."""

import jax

# Peak dense bfloat16 TFLOP/s by the start of JAX's device kind; the first match counts. Sources: the "TPU versions" pages of
# cloud.google.com/tpu/docs (a TPU7x chip, of 2,307, has two devices), and NVIDIA's data sheets of the SXM modules of A100, H100
# and H200 (without sparsity).
PEAK_TFLOPS = {
    "TPU v4": 275,
    "TPU v5 lite": 197,
    "TPU v5e": 197,
    "TPU v5": 459,
    "TPU v6": 918,
    "TPU7x": 1153.5,
    "NVIDIA A100": 312,
    "NVIDIA H100 PCIe": 756,
    "NVIDIA H100": 989,
    "NVIDIA H200": 989,
}


def peak_flops(kind: str | None = None) -> float | None:
    """Dense bfloat16 operations per second of a device of a kind, by default of this machine's; None if unknown."""
    kind = kind or jax.devices()[0].device_kind
    return next((1e12 * peak for start, peak in PEAK_TFLOPS.items() if kind.startswith(start)), None)
