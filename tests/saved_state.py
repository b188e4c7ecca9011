"""The training state in a run's newest checkpoint, as Orbax has saved it."""

import warnings
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp

from cliptail_jax.runs.checkpoints import newest_valid_step


def read_state(workdir: Path) -> dict[str, Any]:
    """The parts of the state as nested dictionaries of arrays, by the names of modules and parameters."""
    checkpoints = workdir / "checkpoints"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sharding info not provided")
        return ocp.PyTreeCheckpointHandler().restore(checkpoints / str(newest_valid_step(checkpoints)) / "default")
