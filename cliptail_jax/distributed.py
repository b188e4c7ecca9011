"""Joining the processes of a multi-process run."""

import os

import jax
from jax.experimental import multihost_utils


def initialize() -> None:
    """Join the run that JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID describe, if they are set."""
    address = os.environ.get("JAX_COORDINATOR_ADDRESS")
    if address:
        jax.distributed.initialize(address, int(os.environ["JAX_NUM_PROCESSES"]), int(os.environ["JAX_PROCESS_ID"]))


def agreed(value: int) -> int:
    """The first process's value, in every process: what decides over a collective step must be the same in all."""
    return int(multihost_utils.broadcast_one_to_all(value)) if jax.process_count() > 1 else value
