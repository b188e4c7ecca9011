"""Which claims of a study were stated before its first run: `claims.json` has them."""

import json
from collections.abc import Iterable
from pathlib import Path

import jax
from ml_collections import ConfigDict

from cliptail_jax.config.fields import plain
from cliptail_jax.seals import check_seal, write_sealed_json

FILE = "claims.json"


def stated_claims(claims: ConfigDict, workdir: Path, directories: Iterable[str]) -> set[str]:
    """The keys of the claims that are as they were when the study began, which is now if none of its runs is there.

    Args:
        claims: the claims by key.
        workdir: the study's directory.
        directories: of its runs, in `workdir`.
    """
    now, path = {key: plain(claim) for key, claim in claims.items()}, workdir / FILE
    check_seal(path)
    if path.exists():
        before = json.loads(path.read_text())
    else:
        before = {} if any((workdir / name).exists() for name in directories) else now
        if jax.process_index() == 0:
            workdir.mkdir(parents=True, exist_ok=True)
            write_sealed_json(path, before)
    return {key for key, claim in now.items() if before.get(key) == claim}
