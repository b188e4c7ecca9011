"""The results of a transfer, one for each model, set and method, and their files in the work directory.

results.jsonl                        a line for each result; the last line of a model, set and method counts
predictions/MODEL/SET-METHOD.npz     of a probe or fine-tuning the `predictions` and `labels` of the test images that
                                     could be read, and their indices in the split (`records`); of VOC `scores`
                                     [image, class] in place of predictions; of few-shot the `accuracies` of the
                                     episodes, in 0..1
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cliptail_jax.errors import UserError
from cliptail_jax.files import load_arrays, read_lines, save_arrays
from cliptail_jax.pretrained.hub import slug
from cliptail_jax.runs.console import log_line

Result = dict[str, Any]
ResultKey = Mapping[str, str]  # model, set and method
Settings = dict[str, Any]  # what the numbers of a result depend on, as JSON has it


def name_of(key: ResultKey) -> str:
    return f"{key['model']} on {key['set']} by {key['method']}"


def file_name(name: str) -> str:
    """A set's name, or that of a source, as a part of a file name."""
    return re.sub(r"[^\w.-]+", "_", name)


def predictions_path(workdir: Path, key: ResultKey) -> Path:
    """The file of the arrays of a result."""
    return workdir / "predictions" / slug(key["model"]) / f"{file_name(key['set'])}-{key['method']}.npz"


def write_predictions(workdir: Path, key: ResultKey, settings: Settings, arrays: Mapping[str, np.ndarray]) -> None:
    path = predictions_path(workdir, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_arrays(path, **arrays, settings=np.array(json.dumps(settings)))


def finished_result(workdir: Path, key: ResultKey, settings: Settings) -> Result | None:
    """The last line of a key in results.jsonl, if it and the arrays have these settings; None otherwise."""
    path = predictions_path(workdir, key)
    try:
        if not path.exists() or json.loads(str(load_arrays(path)["settings"])) != settings:
            return None
    except (UserError, KeyError, ValueError) as error:
        log_line(f"note: {path} is damaged ({error}); its result is computed again")
        return None
    lines = [line for line in read_lines(workdir / "results.jsonl") if line | key == line]
    return lines[-1] if lines and lines[-1]["settings"] == settings else None
