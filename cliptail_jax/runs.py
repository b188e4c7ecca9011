"""The files of a run directory, as the README lists them: written by the programs, read by the study and the figures."""

import dataclasses
import importlib.metadata
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from etils import epath
from jax.experimental import multihost_utils
from jaxtyping import Float, Int
from ml_collections import ConfigDict

from cliptail_jax.configuration import base_config, plain, what_trains
from cliptail_jax.errors import UserError
from cliptail_jax.files import append_text, is_remote, load_arrays, write_text
from cliptail_jax.frequency_tables import read_frequency

PACKAGES = ("cliptail_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")


def claim(workdir: Path, config: ConfigDict, overwrite: bool) -> None:
    """Make `workdir` the run of `config`, or go on with it; refuse if it holds another config's run."""
    difference = difference_to(workdir, config)
    began = (workdir / "checkpoints").exists()  # a config that failed before that holds nothing worth keeping
    if difference and began and not overwrite:
        raise UserError(
            f"{workdir} holds the run of another config ({difference}); choose another --workdir or pass --overwrite"
        )
    if jax.process_index() == 0:  # the first process writes for all
        make_room(workdir, config, bool(difference))
    if jax.process_count() > 1:  # and no other reads what the last run has left
        multihost_utils.sync_global_devices("claimed")


def make_room(workdir: Path, config: ConfigDict, replace: bool) -> None:
    if replace:
        for name in ("checkpoints", "eval", "tensorboard"):
            epath.Path(workdir / name).rmtree(missing_ok=True)
        for name in (
            "metrics.jsonl",
            "class_frequency.tsv",
            "variant.json",
            "tokenizer.json",
            "initialization.tsv",
            "towers.json",
        ):
            (workdir / name).unlink(missing_ok=True)
    workdir.mkdir(parents=True, exist_ok=True)
    software = {"python": sys.version.split()[0]}
    for package in PACKAGES:
        software[package] = importlib.metadata.version(package)
    write_json(workdir / "config.json", {"config": plain(config), "software": software})


def difference_to(workdir: Path, config: ConfigDict) -> str:
    """How the run in `workdir` was trained otherwise than `config` says: up to three keys, '' if not at all, or no run."""
    held = read_config(workdir)
    if held is None:
        return ""
    # A field that came after the run has its default there.
    held, wanted = what_trains(plain(base_config()) | held), what_trains(plain(config))
    changed = [key for key in held | wanted if held.get(key) != wanted.get(key)]
    more = f", and {len(changed) - 3} more" if len(changed) > 3 else ""
    return ", ".join(f"{key}={held.get(key)!r} not {wanted.get(key)!r}" for key in changed[:3]) + more


def finish(workdir: Path, seconds: float) -> None:
    """Note in config.json that the run is at its end, and how long it took."""
    noted = json.loads((workdir / "config.json").read_text())
    write_json(workdir / "config.json", noted | {"finished": {"seconds": seconds}})


def is_finished(workdir: Path, config: ConfigDict) -> bool:
    """Whether `workdir` holds the run of `config`, trained to its end."""
    path = workdir / "config.json"
    return path.exists() and "finished" in json.loads(path.read_text()) and not difference_to(workdir, config)


def trained_on(workdir: Path) -> tuple[int, float]:
    """Of a finished run the number of its images, and how many seconds it took."""
    _, frequency = read_frequency(workdir / "class_frequency.tsv")
    return int(frequency.sum()), json.loads((workdir / "config.json").read_text())["finished"]["seconds"]


def read_config(workdir: Path) -> dict[str, Any] | None:
    """The flat config of the run in `workdir`; None if there is none."""
    path = workdir / "config.json"
    return json.loads(path.read_text()).get("config") if path.exists() else None


@dataclasses.dataclass
class FinishedRun:
    """What a finished run has to say about an evaluation set, by its last evaluation there."""

    evaluated_on: str
    summary: dict[str, Any]
    class_names: tuple[str, ...]
    frequency: Int[np.ndarray, "class"]
    accuracy: Float[np.ndarray, "class"]  # 0..1, nan for a class without examples
    predictions: Int[np.ndarray, "class"]
    tail: Int[np.ndarray, "tail"]  # ids of the classes that the summary's tail is the mean of

    @classmethod
    def read(cls, workdir: Path, evaluated_on: str) -> "FinishedRun":
        directory = evaluation_directory(workdir, evaluated_on)
        summary = last_evaluation(workdir, evaluated_on)
        # A set with other classes than the run's has a table of its own, or no frequency that is known.
        own = directory / "class_frequency.tsv"
        class_names, frequency = read_frequency(own if own.exists() else workdir / "class_frequency.tsv")
        arrays = load_arrays(directory / "latest.npz")
        if "tail" not in arrays:
            raise UserError(
                f"{workdir} was not trained on the classes of {evaluated_on}: a study compares runs on theirs"
            )
        return cls(
            evaluated_on=evaluated_on,
            summary=summary,
            class_names=class_names,
            frequency=frequency,
            accuracy=arrays["per_class_accuracy"],
            predictions=arrays["per_class_predictions"],
            tail=arrays["tail"],
        )


def last_evaluation(workdir: Path, name: str) -> dict[str, Any] | None:
    """The summary of the run's last evaluation on the set 'name:split', None if there is none."""
    summaries = list(read_lines(evaluation_directory(workdir, name) / "summary.jsonl"))
    return summaries[-1] if summaries else None


def evaluation_directory(workdir: Path, name: str) -> Path:
    """Where the evaluations on the set 'name:split' are."""
    return workdir / "eval" / name.replace(":", "_").replace("/", "_")


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(finite(value), indent=1) + "\n")


def finite(value: Any) -> Any:
    """The value with None for nan and infinities, which JSON has no words for."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def append_line(path: Path, record: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    drop_cut_off_line(path)
    append_text(path, json.dumps(finite(record)) + "\n")


def drop_cut_off_line(path: Path) -> None:
    """What a kill may have left of a last line, which `read_lines` leaves out, would spoil the next one."""
    if is_remote(path) or not path.exists():  # an object is written whole
        return
    with open(path, "rb+") as file:
        if file.seek(0, os.SEEK_END) and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a .jsonl file; none if there is no such file. A last line that was cut off is left out."""
    if path.exists():
        for line in path.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                yield json.loads(line)


def forget_after(workdir: Path, step: int) -> None:
    """Drop what was logged after `step`, from where the run now goes on."""
    for path in [workdir / "metrics.jsonl", *workdir.glob("eval/*/summary.jsonl")]:
        kept = [record for record in read_lines(path) if record["step"] <= step]
        if path.exists():
            write_text(path, "".join(json.dumps(record) + "\n" for record in kept))
