"""Results of transfers to other sets, one for each model, set and method, read from their files.

results.jsonl                        a line for each result; the last line of a model, set and method counts
predictions/MODEL/SET-METHOD.npz     for a probe or fine-tuning, the `predictions` and `labels` of the test images that
                                     could be read, and their indices in the split (`records`); for VOC, `scores`
                                     [image, class] instead of predictions; for few-shot, the `accuracies` of the
                                     episodes, in 0..1
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Required, TypedDict

from cliptail_jax.host.files import read_lines
from cliptail_jax.pretrained.hub import slug
from cliptail_jax.runs.records import Origin

FILE = "results.jsonl"
METHODS = {"probe": "Linear probe", "few_shot": "Few-shot", "finetune": "Fine-tuning"}  # with titles
Transfer = dict[str, Any]  # a result
TransferSettings = dict[str, Any]  # the settings on which the numbers of a result depend, as in JSON


class TransferLine(TypedDict, total=False):
    """The parts of a result that programs read."""

    model: Required[str]
    set: Required[str]
    method: Required[Literal["probe", "few_shot", "finetune"]]
    score: Required[float | None]
    margin: float | None
    sizes: dict[str, int]
    settings: dict[str, Any]
    origin: Origin


TransferKey = Mapping[str, str]  # model, set and method


def read_transfers(workdir: Path) -> list[Transfer]:
    """The results of a transfer. Raises UserError if they are damaged."""
    results = read_lines(workdir / FILE, TransferLine)
    return list({tuple(result.get(key) for key in ("model", "set", "method")): result for result in results}.values())


def file_name(name: str) -> str:
    """The name of a set or of a source as a part of a file name."""
    return re.sub(r"[^\w.-]+", "_", name)


def predictions_path(workdir: Path, key: TransferKey) -> Path:
    """The file of the arrays of a result."""
    return workdir / "predictions" / slug(key["model"]) / f"{file_name(key['set'])}-{key['method']}.npz"
