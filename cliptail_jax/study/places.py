"""Finds the places where runs train at the same time: a core of the CPU, or a chip of the accelerators, for each."""

import contextlib
import glob
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import jax
from jax.extend.backend import clear_backends

from cliptail_jax.host import accelerators
from cliptail_jax.host.cores import usable_cores
from cliptail_jax.host.errors import UserError

DEVICE_FILES = ("/dev/nvidia[0-9]*", *accelerators.DEVICE_FILES)  # of GPUs and TPUs
PROBE = "import jax; print(jax.default_backend(), len({str(getattr(d, 'coords', d.id)) for d in jax.local_devices()}))"
TPU_PORT = 8476  # the first of libtpu's ports, one a process


class Place(NamedTuple):
    """The part of this machine that a process uses.

    Attributes:
        environment: variables that make one chip the only one that the process sees; none if it uses all chips, or the CPU.
        cores: the cores of the CPU that it may use; none if it takes a core that no other study uses.
    """

    environment: Mapping[str, str] = {}
    cores: frozenset[int] = frozenset()


def find_places(jobs: int | None = None, runs: int | None = None) -> list[Place]:
    """The places of `jobs` runs that train at the same time; none if runs train one after the other, on all devices.

    By default, there is a place for each core or, if there are accelerators and at least as many `runs`, for each chip. Call
    this before JAX starts its devices, since a chip belongs to one process.

    Raises:
        UserError: `jobs` is above 1 where runs cannot train at the same time, or above the number of chips.
    """
    if jobs == 1:
        return []
    obstacle = ""
    if jax.distributed.is_initialized():
        obstacle = "this program has several processes"
    elif not hasattr(os, "sched_setaffinity"):
        obstacle = "this system does not give a process a core of its own"
    elif chips := local_chips():
        if jobs and jobs > len(chips):
            raise UserError(
                f"--jobs={jobs}: this machine has {len(chips)} chips, and a run needs one: give at most so many"
            )
        if not jobs and (len(chips) == 1 or (runs or len(chips)) < len(chips)):
            return []
        return with_cores(chips[:jobs])
    elif jax.default_backend() != "cpu" or jax.device_count() > 1:
        obstacle = f"this program has {jax.device_count()} devices ({jax.devices()[0].device_kind})"
    if not obstacle:
        return [Place()] * min(jobs or usable_cores(), usable_cores())
    if jobs:
        raise UserError(f"--jobs={jobs}: runs train at the same time on cores or chips, and {obstacle}: leave it out")
    return []


def local_chips() -> list[dict[str, str]]:
    """For each chip of this machine, the variables that make it the only one; none without accelerators.

    A separate process counts the chips with JAX, and frees them when it ends.
    """
    platforms = jax.config.jax_platforms or ""
    if platforms.startswith("cpu") or not any(map(glob.glob, DEVICE_FILES)):
        return []
    words = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True).stdout.split()
    kind, number = (words[-2], int(words[-1])) if len(words) >= 2 else ("cpu", 0)
    return [environment_of(kind, chip) for chip in range(number)] if kind in ("gpu", "tpu") else []


def environment_of(kind: str, chip: int) -> dict[str, str]:
    """Variables that make a GPU or a TPU chip the only one that a process sees.

    Sources: JAX's documentation of GPUs; libtpu's documentation of several processes on a host that do not communicate.
    """
    variable = {"gpu": "CUDA_VISIBLE_DEVICES", "tpu": "TPU_VISIBLE_CHIPS"}[kind]
    visible, port = os.environ.get(variable), str(TPU_PORT + chip)
    variables = {variable: visible.split(",")[chip] if visible else str(chip)}
    if kind == "gpu":
        return variables
    return variables | {
        "TPU_PROCESS_BOUNDS": "1,1,1",
        "TPU_CHIPS_PER_PROCESS_BOUNDS": "1,1,1",
        "TPU_MESH_CONTROLLER_ADDRESS": f"localhost:{port}",
        "TPU_MESH_CONTROLLER_PORT": port,
    }


def with_cores(chips: Sequence[Mapping[str, str]]) -> list[Place]:
    """A place for each chip; the places divide the cores of this process among them."""
    cores = sorted(os.sched_getaffinity(0))
    bounds = [len(cores) * number // len(chips) for number in range(len(chips) + 1)]
    return [Place(chip, frozenset(cores[low:high] or cores)) for chip, low, high in zip(chips, bounds, bounds[1:])]


def are_chips(places: Sequence[Place]) -> bool:
    return any(place.environment for place in places)


def whole_machine() -> Place:
    """The place of a run that needs all chips."""
    return Place(cores=frozenset(os.sched_getaffinity(0)))


@contextlib.contextmanager
def leave_chips(places: Sequence[Place]) -> Iterator[None]:
    """In this context, JAX computes on the CPU and leaves the chips of `places` to their processes."""
    if not are_chips(places):
        yield
        return
    platforms = jax.config.jax_platforms
    jax.config.update("jax_platforms", "cpu")
    try:
        yield
    finally:
        jax.config.update("jax_platforms", platforms)
        clear_backends()
