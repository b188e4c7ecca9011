"""Whether the machine has TPUs or GPUs, and their libraries on machines without them."""

import glob
import os
import sys
import types
from pathlib import Path

GPU_FILES = ("/dev/nvidia[0-9]*", "/dev/nvidiactl", "/dev/dxg")  # the last one is that of Windows' Linux
CUDA_PLUGINS = ("jax_plugins.xla_cuda12", "jax_plugins.xla_cuda13")
CUDA_KERNELS = (
    "jax_cuda12_plugin",
    "jax_cuda13_plugin",
)  # which JAX imports with its own modules, and which look for drivers
DEVICE_FILES = ("/dev/accel[0-9]*", "/dev/vfio/[0-9]*")
PCI_DEVICES = "/sys/bus/pci/devices/*"
GOOGLE = "0x1ae0"  # the vendor of TPUs, and of the disks and network cards of Google's virtual machines
DISK, NETWORK = "0x01", "0x02"  # the beginnings of PCI classes


def leave_out_libtpu() -> None:
    """On a machine without TPUs, have JAX find no libtpu, which the extra `plan` installs.

    JAX would load it to look for TPUs, which takes a second, and libtpu would print errors that it cannot find the hosts of a TPU
    slice. Other platforms and processes are not affected. A user who asks for TPUs, by JAX_PLATFORMS or JAX_FORCE_TPU_INIT, gets
    them. Call this before JAX is imported.
    """
    if has_tpus() or "tpu" in os.environ.get("JAX_PLATFORMS", "") or "JAX_FORCE_TPU_INIT" in os.environ:
        return
    sys.modules["libtpu"] = None  # `import libtpu` then raises ImportError
    # libtpu sets its own path where it is imported, for example in the notebook that has started this program.
    if Path(os.environ.get("TPU_LIBRARY_PATH", "")).parts[-2:] == ("libtpu", "libtpu.so"):
        del os.environ["TPU_LIBRARY_PATH"]


def restore_libtpu() -> None:
    """Undo `leave_out_libtpu`, for a program that compiles for TPUs."""
    if sys.modules.get("libtpu", True) is None:
        del sys.modules["libtpu"]


def leave_out_cuda() -> None:
    """On a machine without GPUs, have JAX start without its plugins for them, which the extra `plan` installs.

    They would print up to 16 lines of errors. A user who asks for GPUs by JAX_PLATFORMS gets them. Call this before JAX is imported.
    """
    asked_platforms = os.environ.get("JAX_PLATFORMS", "")
    if any(map(glob.glob, GPU_FILES)) or "cuda" in asked_platforms or "gpu" in asked_platforms:
        return
    for name in CUDA_PLUGINS:
        plugin = types.ModuleType(name)
        plugin.initialize = lambda: None
        sys.modules.setdefault(name, plugin)
    for name in CUDA_KERNELS:
        sys.modules.setdefault(name, None)


def restore_cuda() -> None:
    """Undo `leave_out_cuda`, for a program that compiles for GPUs."""
    for name in CUDA_PLUGINS:
        if name in sys.modules and not hasattr(sys.modules[name], "__file__"):
            del sys.modules[name]
    for name in CUDA_KERNELS:
        if sys.modules.get(name, True) is None:
            del sys.modules[name]


def has_tpus() -> bool:
    """Whether the machine has a TPU's device file, or a PCI device of Google that is neither a disk nor a network card."""
    if any(map(glob.glob, DEVICE_FILES)):
        return True
    devices = [Path(path) for path in glob.glob(PCI_DEVICES)]
    return any(
        _read(path / "vendor") == GOOGLE and not _read(path / "class").startswith((DISK, NETWORK)) for path in devices
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
