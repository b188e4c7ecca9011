"""Known errors of XLA's compiler for CPUs, which are excluded."""

import os
import sys
import warnings

FLAG = "--xla_cpu_experimental_ynn_fusion_type"
# Fused reductions are silently wrong in 0.10.2 (jax-ml/jax#39103), and crash or never end in both (#39257, #40412).
FAULTY_JAXLIBS = ("0.10.2", "0.11.0")


def turn_off_faulty_fusions() -> None:
    """Turn off XLA's fused reductions on CPUs, with XLA_FLAGS, if this version of jaxlib has errors in them.

    A value of the flag that the user has set stays. XLA reads XLA_FLAGS when JAX creates its first backend; a call after that
    issues a warning.
    """
    from jaxlib import __version__  # fast to import: it imports neither JAX nor XLA

    flags = os.environ.get("XLA_FLAGS", "")
    if __version__ not in FAULTY_JAXLIBS or FLAG in flags:
        return
    jax_backends = sys.modules.get("jax._src.xla_bridge")  # there is no public function that creates no backend
    if jax_backends and jax_backends.backends_are_initialized():
        warnings.warn(
            f"JAX {__version__} has computed before cliptail_jax was imported, so its fused reductions on CPUs, which can be "
            f"wrong, stay on: import cliptail_jax first, or set XLA_FLAGS={FLAG}=",
            stacklevel=2,
        )
        return
    os.environ["XLA_FLAGS"] = f"{flags} {FLAG}=".strip()


def fusions_warning() -> str:
    """A warning that faulty fusions are on; '' if they are turned off, or if this version of jaxlib has none."""
    from jaxlib import __version__

    if __version__ not in FAULTY_JAXLIBS or f"{FLAG}=" in os.environ.get("XLA_FLAGS", "").split():
        return ""
    return f"warning: fused reductions on CPUs, which can be wrong in jaxlib {__version__}, are on; XLA_FLAGS={FLAG}= turns them off"
