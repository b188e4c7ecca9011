"""Slices of TPUs and hosts of GPUs by their cloud names, and the devices that XLA compiles for.

The number in the name of a v4, v5p or tpu7x slice counts TensorCores, two a chip; that of a v5e or v6e slice counts chips.
`gcloud` calls v5e slices v5litepod. `h100x8` is a host with eight GPUs, `h100x8x4` are four such hosts.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
from jax.experimental import topologies

from cliptail_jax.host.accelerators import restore_libtpu
from cliptail_jax.host.errors import UserError, did_you_mean
from cliptail_jax.planning.gpus import GPUS, gpu_target

GB, TERA = 1e9, 1e12


@dataclasses.dataclass(frozen=True)
class Chip:
    """A chip and its published peaks.

    Attributes:
        memory: bytes of HBM.
        flops: dense bfloat16 operations per second.
        hbm: bytes per second of HBM.
        link: bytes per second that it sends over all its links to other chips of a slice or host.
        network: bytes per second that its share of the host's network sends to other slices or hosts.
        devices: JAX devices per chip.
    """

    name: str
    memory: float
    flops: float
    hbm: float
    link: float
    network: float
    devices: int = 1


# TPUs: docs.cloud.google.com/tpu/docs, the pages "TPU v4", "TPU v5e", "TPU v5p", "TPU v6e" and "TPU7x". `link` is the
# interconnect of a chip in one direction, `network` a chip's share of the host's network cards. GPUs: NVIDIA's data sheets of
# the SXM modules of A100 (80 GB), H100 and H200, without sparsity; `link` is NVLink in one direction, `network` one 400 Gb/s
# card per GPU (200 Gb/s for A100), as in DGX systems.
CHIPS = {
    "v4": Chip("TPU v4", 32 * 2**30, 275 * TERA, 1228 * GB, 300 * GB, 6.25 * GB),
    "v5e": Chip("TPU v5e", 16 * 2**30, 197 * TERA, 819 * GB, 200 * GB, 3.125 * GB),
    "v5p": Chip("TPU v5p", 95 * 2**30, 459 * TERA, 2765 * GB, 600 * GB, 6.25 * GB),
    "v6e": Chip("TPU v6e", 32 * 2**30, 918 * TERA, 1638 * GB, 400 * GB, 12.5 * GB),
    "tpu7x": Chip("TPU7x", 192 * 2**30, 2307 * TERA, 7380 * GB, 600 * GB, 12.5 * GB, devices=2),
    "a100": Chip("NVIDIA A100 80GB", 80 * 2**30, 312 * TERA, 2039 * GB, 300 * GB, 25 * GB),
    "h100": Chip("NVIDIA H100", 80 * 2**30, 989 * TERA, 3350 * GB, 450 * GB, 50 * GB),
    "h200": Chip("NVIDIA H200", 141 * GB, 989 * TERA, 4800 * GB, 450 * GB, 50 * GB),
}

# Chips along each axis of a slice, by the number in its name.
FLAT = {1: (1, 1), 4: (2, 2), 8: (2, 4), 16: (4, 4), 32: (4, 8), 64: (8, 8), 128: (8, 16), 256: (16, 16)}
CUBIC = {8: (2, 2, 1), 16: (2, 2, 2), 32: (2, 2, 4), 64: (2, 4, 4), 128: (4, 4, 4), 256: (4, 4, 8), 512: (4, 8, 8)}
SHAPES = {"v4": CUBIC, "v5e": FLAT, "v5p": CUBIC, "v6e": FLAT, "tpu7x": CUBIC}
GCLOUD = {"v5litepod": "v5e"}  # gcloud's names of kinds that the documentation calls otherwise
GPUS_OF_A_HOST = 8
COMPILERS = {"TPU": "jax[tpu]", "GPU": "jax[cuda12]"}  # packages with the compilers


@dataclasses.dataclass(frozen=True)
class Topology:
    """The chips that a run is planned for.

    Attributes:
        name: its name, with the kind of chip as in `CHIPS`.
        chip: the kind of chip.
        shape: for TPUs, the chips along each axis of a slice; for GPUs, the GPUs per host and the number of hosts.
        slices: the number of TPU slices.
    """

    name: str
    chip: Chip
    shape: tuple[int, ...]
    slices: int = 1

    @property
    def is_tpu(self) -> bool:
        return self.chip.name.startswith("TPU")

    @property
    def chips(self) -> int:
        return math.prod(self.shape) * self.slices

    @property
    def hosts(self) -> int:
        """The number of machines. Each has up to eight v5e or v6e chips, four other TPU chips, or eight GPUs."""
        if not self.is_tpu:
            return self.shape[1]
        return math.ceil(math.prod(self.shape) / math.prod(self._host_shape)) * self.slices

    @property
    def _host_shape(self) -> tuple[int, int, int]:
        """Chips of a host along each axis."""
        if len(self.shape) == 2 and math.prod(self.shape) <= 8:
            return (*self.shape, 1)
        return (2, 2, 1)

    @property
    def cache(self) -> int:
        """Bytes of a GPU's cache of HBM; 0 for TPUs, whose compiler places arrays on the chip."""
        return 0 if self.is_tpu else GPUS[self._gpu][0]["l2_cache_size"]

    @property
    def _gpu(self) -> str:
        return self.name.split("x")[0]

    @property
    def compiler_options(self) -> dict[str, Any]:
        """XLA's options for compiling without the chips. They turn off the tuning of kernels, which needs a GPU."""
        return {} if self.is_tpu else {"xla_gpu_enable_triton_gemm": False, "xla_gpu_autotune_level": 0}

    def devices(self) -> Sequence[jax.Device]:
        """The devices that XLA compiles for. Raises UserError if the compiler is not installed."""
        kind, describe = ("TPU", self._describe_tpus) if self.is_tpu else ("GPU", self._describe_gpus)
        if self.is_tpu:
            restore_libtpu()
        try:
            return topologies.get_topology_desc(**describe()).devices
        except (RuntimeError, ImportError, ValueError) as error:
            raise UserError(
                f"{self.name}: the {kind} compiler cannot be loaded ({str(error).splitlines()[0]}): install it with "
                f"pip install '{COMPILERS[kind]}', or both compilers with pip install 'cliptail_jax[plan]'"
            ) from None

    def _describe_tpus(self) -> dict[str, Any]:
        kind = self.name.split("-")[0]
        return {
            "platform": "tpu",
            "topology_name": f"{kind}:{'x'.join(map(str, self.shape))}",
            "num_slices": self.slices,
            "chip_config_name": "megacore" if kind in ("v4", "v5p") else "default",
            "chips_per_host_bounds": self._host_shape,
        }

    def _describe_gpus(self) -> dict[str, Any]:
        gpus, hosts = self.shape
        name, target = f"1x{hosts}x{gpus}", gpu_target(self._gpu)
        return {"platform": "cuda", "topology_name": name, "topology": name, "target_config": target}


def find_topology(name: str, slices: int = 1) -> Topology:
    """The topology of a name such as 'v5e-8', 'v5litepod-8' (the same slice) or 'h100x8x4'.

    Raises UserError with the nearest name if there is none.

    >>> find_topology("h100x8x4").chips
    32
    """
    kind, _, number = name.partition("-")
    kind = GCLOUD.get(kind, kind)
    if kind in SHAPES and number.isdecimal() and int(number) in SHAPES[kind]:
        return Topology(f"{kind}-{int(number)}", CHIPS[kind], SHAPES[kind][int(number)], slices)
    kind, *numbers = name.split("x")
    if kind in GPUS and 1 <= len(numbers) <= 2 and all(part.isdecimal() and int(part) > 0 for part in numbers):
        gpus, hosts = int(numbers[0]), int((numbers[1:] or ["1"])[0])
        if slices > 1:
            raise UserError(f"{name}: --slices is for TPUs; name the hosts, as in {name}x{slices}")
        if gpus <= GPUS_OF_A_HOST and (hosts == 1 or gpus == GPUS_OF_A_HOST):
            return Topology(name, CHIPS[kind], (gpus, hosts))
    raise UserError(
        f"unknown topology '{name}'{did_you_mean(name, names(), cutoff=0.5)}: there are "
        + ", ".join(f"{kind}-{{{','.join(map(str, shapes))}}}" for kind, shapes in SHAPES.items())
        + ", and GPUs as h100x8 or h100x8x4 (a100, h100, h200; up to 8 a host)"
    )


def names() -> list[str]:
    """The names of TPU slices, and of one host of each kind of GPU."""
    slices = [f"{kind}-{number}" for kind, shapes in SHAPES.items() for number in shapes]
    return slices + [f"{kind}x{gpus}" for kind in GPUS for gpus in (1, 2, 4, 8)]
