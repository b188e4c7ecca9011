"""Digests of small files, by which damage to them is noticed: `sha256.json` in their folder, from name to SHA-256."""

import json
from pathlib import Path
from typing import Any

from cliptail_jax.errors import UserError
from cliptail_jax.files import digest_of, finite, write_text

FILE = "sha256.json"


def write_sealed(path: Path, text: str) -> None:
    """Writes a text file atomically, and its digest. A program that is killed in between leaves one or the other whole."""
    seals, digest = _read(path.parent), digest_of([text.encode()])
    _write(path.parent, seals | {path.name: [*seals.get(path.name, [])[-1:], digest]})  # before and after
    write_text(path, text)
    _write(path.parent, seals | {path.name: [digest]})


def write_sealed_json(path: Path, value: Any) -> None:
    """As `files.write_json`, with a seal."""
    write_sealed(path, json.dumps(finite(value), indent=1) + "\n")


def check_seal(path: Path) -> None:
    """Raises UserError if a file is not as `write_sealed` wrote it. One that does not exist, or has no digest, passes."""
    digests = _read(path.parent).get(path.name)
    if digests and path.exists() and digest_of([path.read_bytes()]) not in digests:
        raise UserError(
            f"{path} is damaged or was changed by hand: its SHA-256 is not the one in {FILE} beside it; restore it "
            f"from a copy, or, if the change is yours, remove its entry from {FILE}"
        )


def read_sealed_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None if there is none. Raises UserError if it is damaged."""
    if not path.exists():
        return None
    check_seal(path)
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({error}): restore it from a copy") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged (it holds no JSON object): restore it from a copy")
    return content


def _read(folder: Path) -> dict[str, list[str]]:
    path = folder / FILE
    if not path.exists():
        return {}
    try:
        seals = json.loads(path.read_bytes())
        return {str(name): [str(digest) for digest in digests] for name, digests in seals.items()}
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise UserError(
            f"{path} is damaged: restore it from a copy, or remove it if the other files are whole"
        ) from None


def _write(folder: Path, seals: dict[str, list[str]]) -> None:
    write_text(folder / FILE, json.dumps(seals, indent=1) + "\n")
