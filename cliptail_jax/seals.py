"""Digests of files, by which damage to them is noticed: `sha256.json` in their folder, from name to SHA-256."""

import json
from pathlib import Path
from typing import Any

from cliptail_jax.errors import UserError
from cliptail_jax.files import digest_of, digest_of_file, finite, read_lines, write_bytes, write_text

FILE = "sha256.json"
ABSENT = ""  # the digest of a file that may not be there yet


def write_sealed(path: Path, content: str | bytes) -> None:
    """Writes a file atomically, and its digest. A program that is killed in between leaves one or the other whole."""
    content = content.encode() if isinstance(content, str) else content
    seals, digest = _read(path.parent), digest_of([content])
    before = seals.get(path.name, [ABSENT])[-1]
    _write(path.parent, seals | {path.name: [before, digest]})
    write_bytes(path, content)
    _write(path.parent, seals | {path.name: [digest]})


def seal(*paths: Path) -> None:
    """Writes the digests of files in one folder, of those that exist, as they are now."""
    folder = paths[0].parent
    _write(folder, _read(folder) | {path.name: [digest_of_file(path)] for path in paths if path.exists()})


def unseal(path: Path) -> None:
    """Removes the digest of a file that is going to change."""
    if path.name in (seals := _read(path.parent)):
        _write(path.parent, {name: digests for name, digests in seals.items() if name != path.name})


def write_sealed_json(path: Path, value: Any) -> None:
    """As `files.write_json`, with a seal."""
    write_sealed(path, json.dumps(finite(value), indent=1) + "\n")


def check_seal(path: Path) -> None:
    """Raises UserError if a file is not as `write_sealed` wrote it. One that has no digest passes."""
    digests = _read(path.parent).get(path.name, [ABSENT])
    if not path.exists():
        if ABSENT in digests:
            return
        raise UserError(
            f"{path} is missing: restore it from a copy, or, if you have removed it, remove its entry from {FILE} "
            "beside it"
        )
    if digests != [ABSENT] and digest_of_file(path) not in digests:
        raise UserError(
            f"{path} is damaged or was changed by hand: its SHA-256 is not the one in {FILE} beside it; restore it "
            f"from a copy, or, if the change is yours, remove its entry from {FILE}"
        )


def check_sealed_folder(folder: Path) -> None:
    """Raises UserError if one of the files in a folder that have digests is missing, or not as it was written."""
    for name in _read(folder):
        check_seal(folder / name)


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


def read_sealed_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a JSON-lines file; none if there is none. Raises UserError if it is damaged."""
    check_seal(path)
    return list(read_lines(path))


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
