"""Writes the results of a transfer, and finds finished ones; `cliptail_jax.results.transfers` reads them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cliptail_jax.errors import UserError
from cliptail_jax.files import load_arrays, read_lines, save_arrays
from cliptail_jax.results.transfers import FILE, Transfer, TransferKey, predictions_path
from cliptail_jax.runs.console import log_line

Settings = dict[str, Any]  # what the numbers of a result depend on, as JSON has it


def name_of(key: TransferKey) -> str:
    return f"{key['model']} on {key['set']} by {key['method']}"


def write_predictions(workdir: Path, key: TransferKey, settings: Settings, arrays: Mapping[str, np.ndarray]) -> None:
    path = predictions_path(workdir, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_arrays(path, **arrays, settings=np.array(json.dumps(settings)))


def finished_result(workdir: Path, key: TransferKey, settings: Settings) -> Transfer | None:
    """The last line of a key in results.jsonl, if it and the arrays have these settings; None otherwise."""
    path = predictions_path(workdir, key)
    try:
        if not path.exists() or json.loads(str(load_arrays(path)["settings"])) != settings:
            return None
    except (UserError, KeyError, ValueError) as error:
        log_line(f"note: {path} is damaged ({error}); its result is computed again")
        return None
    lines = [line for line in read_lines(workdir / FILE) if line | key == line]
    return lines[-1] if lines and lines[-1]["settings"] == settings else None
