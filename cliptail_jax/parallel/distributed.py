"""Joins the processes of a multi-process run."""

import contextlib
import os
import re
import time
import urllib.request
from collections.abc import Iterator

import jax
from jax.experimental import multihost_utils

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.interrupts import end_at_once

VARIABLES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
ATTEMPTS = 3  # to get the hosts of a TPU slice


def initialize() -> None:
    """Joins the other processes of the run, if there are any and this one has not joined them.

    The processes are described by JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID; else they are the tasks of a
    SLURM step (one `srun`); else the hosts of a Cloud TPU slice.

    Raises:
        UserError: the three variables are incomplete, or the number of hosts of the TPU slice is unknown.
    """
    if jax.distributed.is_initialized():
        return
    if os.environ.get("JAX_COORDINATOR_ADDRESS"):
        address, processes, process = described_processes()
        # Under SLURM, JAX would otherwise give each process only the device with the number of its task.
        jax.distributed.initialize(address, processes, process, cluster_detection_method="deactivate")
    elif slurm("STEP_NUM_TASKS") > 1:
        jax.distributed.initialize(num_processes=slurm("STEP_NUM_TASKS"), local_device_ids=slurm_devices())
    elif tpu_hosts() > 1:
        jax.distributed.initialize()


def described_processes() -> tuple[str, int, int]:
    """The coordinator's address, the number of processes, and the number of this process."""
    address, *numbers = (os.environ.get(name, "") for name in VARIABLES)
    processes, process = (int(number) if number.isdecimal() else -1 for number in numbers)
    if ":" not in address or not 0 <= process < processes:
        settings = " ".join(f"{name}='{os.environ.get(name, '')}'" for name in VARIABLES)
        raise UserError(
            f"{settings}: a process needs the address as HOST:PORT, a number of processes, and its own from 0 on"
        )
    return address, processes, process


def slurm(name: str) -> int:
    """The number in SLURM's environment variable of this name; 0 if it is not set."""
    return int(os.environ.get(f"SLURM_{name}") or 0)


def slurm_devices() -> list[int] | None:
    """All GPUs of a task that has its node to itself. None if a node has several tasks: JAX selects a GPU for each."""
    if slurm("STEP_NUM_TASKS") > slurm("STEP_NUM_NODES"):
        return None
    return list(range(slurm("GPUS_ON_NODE"))) or None


def tpu_hosts() -> int:
    """The number of hosts of this host's TPU slice; 1 without a TPU."""
    # JAX sets the platforms if it finds a TPU and the user has not set them.
    if not (jax.config.jax_platforms or "").startswith("tpu"):
        return 1
    hosts = os.environ.get("TPU_WORKER_HOSTNAMES")  # on Kubernetes
    if hosts is None and "TPU_SKIP_MDS_QUERY" not in os.environ:  # set where there is no metadata server
        hosts = slice_endpoints()
    return len((hosts or "").split(","))


def slice_endpoints() -> str:
    """The slice's endpoints in Google Cloud's metadata server: one per host, separated by commas."""
    server = os.environ.get("GCE_METADATA_IP", "metadata.google.internal")
    url = f"http://{server}/computeMetadata/v1/instance/attributes/worker-network-endpoints"
    request = urllib.request.Request(url, headers={"Metadata-Flavor": "Google"})
    for attempt in range(ATTEMPTS):
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.read().decode()
        except OSError as error:
            reason = error
            time.sleep(attempt)
    raise UserError(
        f"this machine has a TPU, but {server} does not report how many hosts its slice has ({reason}): set "
        "TPU_SKIP_MDS_QUERY=1 if it is the only one, else JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID"
    )


LOST = re.compile("Gloo|NCCL|peer|coordination|heartbeat|UNAVAILABLE|DEADLINE_EXCEEDED", re.IGNORECASE)


@contextlib.contextmanager
def exit_if_peer_lost() -> Iterator[None]:
    """Exits with one line and status 2 if a computation fails because another process of the run has ended.

    It exits at once: in an ordinary exit, JAX's shutdown and Orbax's save wait minutes for all processes.
    """
    try:
        yield
    except (jax.errors.JaxRuntimeError, ValueError) as error:  # ValueError: a collective fails at its start
        if jax.process_count() == 1 or not LOST.search(str(error)):
            raise
        reason = str(error).partition("\n")[0]
        end_at_once(f"error: another process of the run has ended or cannot be reached ({reason})", 2)


def broadcast_from_first(value: int) -> int:
    """The first process's value, for decisions that must be the same in all processes."""
    return int(multihost_utils.broadcast_one_to_all(value)) if jax.process_count() > 1 else value
