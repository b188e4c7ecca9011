"""The files of a run directory, which the README lists."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from etils import epath
from jax.experimental import multihost_utils
from jaxtyping import Int

from cliptail_jax.concepts.frequency_tables import read_frequency
from cliptail_jax.config.fields import Field, plain_value
from cliptail_jax.errors import UserError
from cliptail_jax.files import (
    DIGESTS,
    check_digests,
    line_of,
    read_json,
    read_lines,
    write_digests,
    write_json,
    write_text,
)
from cliptail_jax.parallel.distributed import broadcast_from_first
from cliptail_jax.runs.checkpoints import newest_valid_step
from cliptail_jax.runs.provenance import provenance

Values = Mapping[str, Any]  # of a config, by dotted key
METRICS, SUMMARY = "metrics.jsonl", "summary.jsonl"
CONFIG, DATA, DESCRIPTION, FREQUENCY = "config.json", "variant.json", "model.json", "class_frequency.tsv"
# What a run writes beside config.json.
FOLDERS = ("checkpoints", "eval", "tensorboard")
LOGS = (METRICS, FREQUENCY, "initialization.tsv")
DOCUMENTS = (DESCRIPTION, DATA, "tokenizer.json", "words.json", "towers.json", CONFIG)


def open_or_resume(
    workdir: Path, values: Values, fields: Iterable[Field], data: Mapping[str, Any], overwrite: bool
) -> None:
    """Make `workdir` the run of a config, or continue it.

    Args:
        values: those of the config by dotted key, as `fields.plain` gives them.
        data: number of records and fingerprint of the training data. Those of the first process count.

    Raises:
        UserError: `workdir` holds the run of another config or of other data, or checkpoints of an unknown run.
    """
    obstacle = obstacle_to(workdir, values, fields, data) if jax.process_index() == 0 else ""
    began = (workdir / "checkpoints").exists()  # without checkpoints there is nothing to lose
    if broadcast_from_first(bool(obstacle) and began and not overwrite):
        raise UserError(
            f"{workdir} {obstacle or 'is refused by the first process'}; choose another --workdir or pass --overwrite"
        )
    if jax.process_index() == 0:  # the first process writes for all
        prepare_directory(workdir, values, bool(obstacle))
        write_json(workdir / DATA, data)
    if jax.process_count() > 1:  # no process reads files of the previous run
        multihost_utils.sync_global_devices("claimed")


def obstacle_to(workdir: Path, values: Values, fields: Iterable[Field], data: Mapping[str, Any]) -> str:
    """Why the run in `workdir` is not continued by one of this config and data; '' if it is, or there is none."""
    try:
        check_digests(workdir)
        held, trained = read_config(workdir), read_json(workdir / DATA)
    except UserError as error:
        return f"holds a run that cannot be continued: {error}"
    if not held:
        return (
            "has checkpoints, but no config.json that says of which run" if (workdir / "checkpoints").exists() else ""
        )
    if difference := difference_to(workdir, values, fields):
        return f"holds the run of another config ({difference})"
    if trained is not None and trained != data:
        return (
            f"holds a run on other data: it began with {summary_of(trained)}, and the config now selects "
            f"{summary_of(data)}, so a file that it names, or the data set, has changed"
        )
    return ""


def summary_of(data: Mapping[str, Any]) -> str:
    return f"{data.get('records'):,} records of fingerprint {str(data.get('fingerprint'))[:12]}"


def prepare_directory(workdir: Path, values: Values, replace: bool) -> None:
    """Write config.json, after removing another run's files if `replace`."""
    if replace:
        for name in FOLDERS:
            epath.Path(workdir / name).rmtree(missing_ok=True)
        for name in (*LOGS, *DOCUMENTS):
            (workdir / name).unlink(missing_ok=True)
    (workdir / DIGESTS).unlink(missing_ok=True)
    workdir.mkdir(parents=True, exist_ok=True)
    for left in (*workdir.glob("*.partial"), *workdir.glob("eval/*/*.partial")):  # by a kill
        left.unlink()
    write_json(workdir / CONFIG, {"config": values, **provenance()})


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


def finish(workdir: Path, step: int, seconds: float) -> None:
    """Record in config.json that the run is finished, its last step and duration, and write the digests of its files."""
    noted = read_json(workdir / CONFIG)
    write_json(workdir / CONFIG, noted | {"finished": {"step": step, "seconds": seconds}})
    write_digests(workdir, (*LOGS, *DOCUMENTS))


def is_finished(workdir: Path, values: Values, fields: Iterable[Field]) -> bool:
    """Whether `workdir` holds the run of the config with these values, trained to its end.

    It does not if a file is damaged, which `open_or_resume` reports, or its last checkpoint is corrupt. If checkpoints were
    removed altogether, its results count.
    """
    try:
        check_digests(workdir)
        written = read_json(workdir / CONFIG)
    except UserError:
        return False
    if written is None or "finished" not in written or difference_to(workdir, values, fields):
        return False
    folder, last = workdir / "checkpoints", written["finished"].get("step")
    if last is None or not folder.exists():
        return True
    return broadcast_from_first(newest_valid_step(folder) if jax.process_index() == 0 else 0) >= last


def last_step(workdir: Path) -> int | None:
    """The step at which the run in `workdir` has ended; None if it has not, or is of a version that did not record it."""
    written = read_json(workdir / CONFIG) or {}
    return written.get("finished", {}).get("step")


def read_run_frequency(folder: Path) -> tuple[tuple[str, ...], Int[np.ndarray, " class"]]:
    """The class names and counts that a run, or one of its evaluations, has written. Raises UserError on damage."""
    return read_frequency(folder / FREQUENCY)


def read_config(workdir: Path) -> dict[str, Any] | None:
    """The flat config of the run in `workdir`; None if there is none. Raises UserError if it is damaged."""
    written = read_json(workdir / CONFIG)
    return written and written.get("config")


def truncate_logs(workdir: Path, step: int) -> None:
    """Remove log lines after `step`, from which the run is continued."""
    for path in [workdir / METRICS, *workdir.glob(f"eval/*/{SUMMARY}")]:
        kept = [record for record in read_lines(path) if record["step"] <= step]
        if path.exists():
            write_text(path, "".join(map(line_of, kept)))


def write_description(workdir: Path, document: Mapping[str, Any]) -> None:
    """Write the description of the run's model, which is needed to open it."""
    write_json(workdir / DESCRIPTION, document)


def read_description(workdir: Path) -> dict[str, Any] | None:
    """The description that `write_description` wrote; None if there is none."""
    return read_json(workdir / DESCRIPTION)
