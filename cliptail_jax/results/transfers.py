"""Results of transfers to other sets, one for each model, set and method, read from their files.

results.jsonl                        a line for each result; the last line of a model, set and method counts
predictions/MODEL/SET-METHOD.npz     of a probe or fine-tuning the `predictions` and `labels` of the test images that
                                     could be read, and their indices in the split (`records`); of VOC `scores`
                                     [image, class] in place of predictions; of few-shot the `accuracies` of the
                                     episodes, in 0..1
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Required, TypedDict

from cliptail_jax.files import read_lines
from cliptail_jax.pretrained.hub import slug
from cliptail_jax.runs.records import Origin

FILE = "results.jsonl"
METHODS = {"probe": "Linear probe", "few_shot": "Few-shot", "finetune": "Fine-tuning"}  # with titles
Transfer = dict[str, Any]  # a result
TransferSettings = dict[str, Any]  # what the numbers of a result depend on, as JSON has it


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


def by_column(transfers: Mapping[str, Sequence[Transfer]]) -> tuple[list[str], dict[str, list[list[Transfer]]]]:
    """The results of each group of runs or model as a table with a column for each set and method: titles, and rows."""
    columns = list(dict.fromkeys((result["set"], result["method"]) for own in transfers.values() for result in own))
    titles = [f"{on}: {METHODS[method].lower()} %" for on, method in columns]
    rows = {
        name: [[result for result in own if (result["set"], result["method"]) == column] for column in columns]
        for name, own in transfers.items()
        if own
    }
    return titles, rows


def file_name(name: str) -> str:
    """A set's name, or that of a source, as a part of a file name."""
    return re.sub(r"[^\w.-]+", "_", name)


def predictions_path(workdir: Path, key: TransferKey) -> Path:
    """The file of the arrays of a result."""
    return workdir / "predictions" / slug(key["model"]) / f"{file_name(key['set'])}-{key['method']}.npz"
