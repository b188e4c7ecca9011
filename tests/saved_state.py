"""What a run has saved: its losses, the state of its newest checkpoint as Orbax has saved it; the run without its end."""

import shutil
import warnings
from pathlib import Path
from typing import Any

from orbax.checkpoint import v1 as ocp

from cliptail_jax.host.files import read_lines, write_json
from cliptail_jax.runs.files import read_config
from cliptail_jax.runs.manifests import manifest_of, newest_valid_step


def read_state(workdir: Path) -> dict[str, Any]:
    """The parts of the state as nested dictionaries of arrays, by the names of modules and parameters."""
    checkpoints = workdir / "checkpoints"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sharding info not provided")
        return ocp.load(checkpoints / str(newest_valid_step(checkpoints)))


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


def losses(workdir: Path) -> list[tuple[int, float]]:
    """The steps that a run has logged, each with its loss."""
    return [(line["step"], line["train/loss"]) for line in read_lines(workdir / "metrics.jsonl")]


def damage(step: Path) -> None:
    """Flip one byte of the largest file."""
    largest = max((p for p in step.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(bytes(content))
