"""The steps in a folder of checkpoints, and the SHA-256 manifests that make them valid."""

import json
import logging
from pathlib import Path

from cliptail_jax.host.files import digest_of_file, files_below, write_text


def manifest_of(step: Path) -> Path:
    return step.with_name(step.name + ".sha256.json")


def file_hashes(step: Path) -> dict[str, str]:
    """The SHA-256 of each file of a checkpoint, by its path below the step's directory."""
    return {str(path.relative_to(step)): digest_of_file(path) for path in sorted(files_below(step))}


def write_manifest(step: Path) -> None:
    write_text(manifest_of(step), json.dumps(file_hashes(step), indent=1))


def corruption(step: Path) -> str | None:
    """The reason why a checkpoint is not valid; None if it is."""
    manifest = manifest_of(step)
    if not manifest.exists():
        return "was not finished"
    try:
        entries = dict(json.loads(manifest.read_bytes()))
    except (ValueError, TypeError, RecursionError):
        return "has an unreadable manifest"
    hashes = file_hashes(step)
    for name in sorted(entries.keys() | hashes.keys()):
        if name not in hashes:
            return f"lacks {name}"
        if entries.get(name) != hashes[name]:
            return f"is corrupt: the sha256 of {name} differs from its manifest"
    return None


def steps_in(directory: Path) -> list[int]:
    return [int(path.name) for path in directory.iterdir() if path.name.isdigit() and path.is_dir()]


def digest(step: Path) -> str:
    """The SHA-256 of a checkpoint's manifest, which identifies its files."""
    return digest_of_file(manifest_of(step))


def newest_valid_step(directory: Path) -> int:
    """The newest valid step, or -1. Skips corrupt steps with a warning."""
    if not directory.exists():
        return -1
    for step in sorted(steps_in(directory), reverse=True):
        reason = corruption(directory / str(step))
        if reason is None:
            return step
        logging.getLogger(__name__).warning("skipping checkpoint %s, which %s", directory / str(step), reason)
    return -1
