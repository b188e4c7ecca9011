"""A run's saved state: what its newest checkpoint has, as Orbax has saved it, and the run without its end."""

import shutil
import warnings
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp

from cliptail_jax.files import write_json
from cliptail_jax.runs.checkpoints import manifest_of, newest_valid_step
from cliptail_jax.runs.directory import read_config


def read_state(workdir: Path) -> dict[str, Any]:
    """The parts of the state as nested dictionaries of arrays, by the names of modules and parameters."""
    checkpoints = workdir / "checkpoints"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sharding info not provided")
        return ocp.PyTreeCheckpointHandler().restore(checkpoints / str(newest_valid_step(checkpoints)) / "default")


def unfinish(workdir: Path) -> Path:
    """Makes a finished run one that was interrupted after its last checkpoint."""
    write_json(workdir / "config.json", {"config": read_config(workdir)})
    (workdir / "sha256.json").unlink()
    return workdir


def without_last_step(workdir: Path) -> Path:
    """Makes a finished run one that was interrupted before its last checkpoint."""
    last = workdir / "checkpoints" / str(newest_valid_step(workdir / "checkpoints"))
    shutil.rmtree(last)
    manifest_of(last).unlink()
    return unfinish(workdir)
