"""The files of a run directory, which the README lists."""

import importlib.metadata
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
from etils import epath
from jax.experimental import multihost_utils

from cliptail_jax.concepts.frequency_tables import read_frequency
from cliptail_jax.config.fields import Field, plain_value
from cliptail_jax.errors import UserError
from cliptail_jax.files import read_lines, write_json, write_text

Values = Mapping[str, Any]  # of a config, by dotted key
DESCRIPTION = "model.json"
# What a run writes beside config.json.
FOLDERS = ("checkpoints", "eval", "tensorboard")
LOGS = ("metrics.jsonl", "class_frequency.tsv", "initialization.tsv")
DOCUMENTS = (DESCRIPTION, "variant.json", "tokenizer.json", "towers.json")
PACKAGES = ("cliptail_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")


def claim(workdir: Path, values: Values, fields: Iterable[Field], overwrite: bool) -> None:
    """Make `workdir` the run of a config, or continue it.

    `values` are those of the config by dotted key, as `fields.plain` gives them. Raises UserError if `workdir` holds the
    run of another config.
    """
    difference = difference_to(workdir, values, fields)
    began = (workdir / "checkpoints").exists()  # without checkpoints there is nothing to lose
    if difference and began and not overwrite:
        raise UserError(
            f"{workdir} holds the run of another config ({difference}); choose another --workdir or pass --overwrite"
        )
    if jax.process_index() == 0:  # the first process writes for all
        make_room(workdir, values, bool(difference))
    if jax.process_count() > 1:  # no process reads files of the previous run
        multihost_utils.sync_global_devices("claimed")


def make_room(workdir: Path, values: Values, replace: bool) -> None:
    """Write config.json, after removing another run's files if `replace`."""
    if replace:
        for name in FOLDERS:
            epath.Path(workdir / name).rmtree(missing_ok=True)
        for name in (*LOGS, *DOCUMENTS):
            (workdir / name).unlink(missing_ok=True)
    workdir.mkdir(parents=True, exist_ok=True)
    software = {"python": sys.version.split()[0]} | {name: importlib.metadata.version(name) for name in PACKAGES}
    write_json(workdir / "config.json", {"config": values, "software": software})


def difference_to(workdir: Path, values: Values, fields: Iterable[Field]) -> str:
    """In which fields the run in `workdir` was trained with other values: up to three of them, '' for none, or no run.

    `fields` are those of a training config. A field that was added after the run has its default there.
    """
    held = read_config(workdir)
    if held is None:
        return ""
    fields = {field.key: field for field in fields}
    trains = {field.key.partition(".")[0] for field in fields.values() if not field.is_incidental}
    changed = {}
    for key in fields.keys() | {key for key in held if key.partition(".")[0] in trains}:
        field = fields.get(key)
        default = plain_value(field.default) if field else None
        if not (field and field.is_incidental) and held.get(key, default) != values.get(key):
            changed[key] = f"{key}={held.get(key, default)!r} not {values.get(key)!r}"
    more = f", and {len(changed) - 3} more" if len(changed) > 3 else ""
    return ", ".join(changed[key] for key in sorted(changed)[:3]) + more


def finish(workdir: Path, seconds: float) -> None:
    """Record in config.json that the run is finished, and its duration."""
    noted = json.loads((workdir / "config.json").read_text())
    write_json(workdir / "config.json", noted | {"finished": {"seconds": seconds}})


def is_finished(workdir: Path, values: Values, fields: Iterable[Field]) -> bool:
    """Whether `workdir` holds the run of the config with these values, trained to its end."""
    written = read_json(workdir / "config.json")
    return written is not None and "finished" in written and not difference_to(workdir, values, fields)


def trained_on(workdir: Path) -> tuple[int, float]:
    """The number of training images of a finished run, and its duration in seconds."""
    _, frequency = read_frequency(workdir / "class_frequency.tsv")
    return int(frequency.sum()), json.loads((workdir / "config.json").read_text())["finished"]["seconds"]


def read_config(workdir: Path) -> dict[str, Any] | None:
    """The flat config of the run in `workdir`; None if there is none."""
    written = read_json(workdir / "config.json")
    return written and written.get("config")


def forget_after(workdir: Path, step: int) -> None:
    """Remove log lines after `step`, from which the run is continued."""
    for path in [workdir / "metrics.jsonl", *workdir.glob("eval/*/summary.jsonl")]:
        kept = [record for record in read_lines(path) if record["step"] <= step]
        if path.exists():
            write_text(path, "".join(json.dumps(record) + "\n" for record in kept))


def write_description(workdir: Path, document: Mapping[str, Any]) -> None:
    """Write the description of the run's model, which is needed to open it."""
    write_json(workdir / DESCRIPTION, document)


def read_description(workdir: Path) -> dict[str, Any] | None:
    """The description that `write_description` wrote; None if there is none."""
    return read_json(workdir / DESCRIPTION)


def read_json(path: Path) -> dict[str, Any] | None:
    """The document in a file; None if there is no file."""
    return json.loads(path.read_text()) if path.exists() else None
