"""Opening a run directory: whether a run can be made there or continued, and the end of a run."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
from etils import epath
from jax.experimental import multihost_utils

from cliptail_jax.config.fields import Field, difference, plain_value
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import (
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
from cliptail_jax.runs.files import (
    CONFIG,
    COUNTS,
    DATA,
    FILES,
    FOLDERS,
    METRICS,
    OF_STUDIES,
    SUMMARY,
    read_config,
    read_document,
)
from cliptail_jax.runs.manifests import newest_valid_step
from cliptail_jax.runs.provenance import provenance
from cliptail_jax.runs.records import LogLine, TrainingData

FlatConfig = Mapping[str, Any]  # of a config, by dotted key


def open_or_resume(
    workdir: Path, values: FlatConfig, fields: Iterable[Field], data: Mapping[str, Any], overwrite: bool
) -> None:
    """Make `workdir` the run of a config, or continue it.

    Args:
        values: of the config by dotted key, as `fields.plain` gives them.
        data: number of records and fingerprint of the training data. Those of the first process count.

    Raises:
        UserError: `workdir` contains a run with another config or data, or files of another program.
    """
    obstacle = obstacle_to(workdir, values, fields, data) if jax.process_index() == 0 else ""
    if broadcast_from_first(bool(obstacle) and has_something_to_lose(workdir) and not overwrite):
        raise UserError(
            f"{workdir} {obstacle or 'is refused by the first process'}; choose another --workdir or pass --overwrite"
        )
    if jax.process_index() == 0:  # the first process writes for all
        prepare_directory(workdir, values, replace=bool(obstacle))
        write_json(workdir / DATA, data)
    if jax.process_count() > 1:  # no process reads files of the previous run
        multihost_utils.sync_global_devices("opened")


def continues(workdir: Path, values: FlatConfig, fields: Iterable[Field], data: Mapping[str, Any]) -> bool:
    """Whether `workdir` contains a run of this config and data, which `open_or_resume` would continue."""
    found = jax.process_index() == 0 and (workdir / CONFIG).exists() and not obstacle_to(workdir, values, fields, data)
    return broadcast_from_first(found)


def obstacle_to(workdir: Path, values: FlatConfig, fields: Iterable[Field], data: Mapping[str, Any]) -> str:
    """The reason why a run of this config and data cannot continue the one in `workdir`; '' if it can."""
    try:
        check_digests(workdir)
        config, earlier = read_config(workdir), read_json(workdir / DATA, TrainingData)
    except UserError as error:
        return f"contains a run that cannot be continued: {error}"
    if name := foreign_file(workdir):
        return f"contains {name}, but no run's {CONFIG}"
    if config is None:
        return ""
    if difference := difference_to(workdir, values, fields):
        return f"contains the run of another config ({difference})"
    if earlier is not None and earlier != data:
        before, now = (
            f"{of.get('records'):,} records of fingerprint {str(of.get('fingerprint'))[:12]}" for of in (earlier, data)
        )
        return (
            f"contains a run on other data: it began with {before}, and the config now selects {now}, so a file that it names, "
            "or the data set, has changed"
        )
    return ""


def has_something_to_lose(workdir: Path) -> bool:
    """Whether a directory has checkpoints, evaluations or foreign files. A run without them has just begun."""
    if (workdir / "checkpoints").exists() or (workdir / "eval").exists():
        return True
    try:
        return bool(foreign_file(workdir))
    except UserError:
        return True


def foreign_file(workdir: Path) -> str:
    """The name of a foreign file or folder that a run would replace or hide, in a directory without a run; '' for none.

    Raises UserError if config.json cannot be read.
    """
    if read_config(workdir) is not None:
        return ""
    return next((name for name in (*FOLDERS, *FILES, *OF_STUDIES) if (workdir / name).exists()), "")


def prepare_directory(workdir: Path, values: FlatConfig, replace: bool) -> None:
    """Write config.json, after removing another run's files if `replace`."""
    if replace:
        for name in FOLDERS:
            epath.Path(workdir / name).rmtree(missing_ok=True)
        for name in FILES:
            (workdir / name).unlink(missing_ok=True)
    (workdir / DIGESTS).unlink(missing_ok=True)
    workdir.mkdir(parents=True, exist_ok=True)
    for partial in (*workdir.glob("*.[0-9]*.partial"), *workdir.glob("eval/*/*.[0-9]*.partial")):  # of a killed program
        partial.unlink()
    write_json(workdir / CONFIG, {"config": values, **provenance()})


def difference_to(workdir: Path, values: FlatConfig, fields: Iterable[Field]) -> str:
    """Up to three fields in which the config of the run in `workdir` has other values; '' for none, or no run.

    `fields` are the fields of a training config. Only fields that affect training count. A field that was added after
    the run has its default there.
    """
    config = read_config(workdir)
    if config is None:
        return ""
    fields = {field.key: field for field in fields}
    trains = {field.key.partition(".")[0] for field in fields.values() if not field.is_incidental}
    keys = fields.keys() | {key for key in config if key.partition(".")[0] in trains}
    before = {
        key: config.get(key, plain_value(fields[key].default) if key in fields else None)
        for key in keys
        if not (key in fields and fields[key].is_incidental)
    }
    return difference(before, {key: values.get(key) for key in before})


def finish(workdir: Path, step: int, seconds: float, spent: Mapping[str, float] = {}) -> None:
    """Record the last step and the duration of a finished run in config.json, and write the digests of its files.

    `spent` has the seconds of the last session by what it did.
    """
    document = read_json(workdir / CONFIG)
    write_json(workdir / CONFIG, document | {"finished": {"step": step, "seconds": seconds, "spent": dict(spent)}})
    write_digests(workdir, FILES)


def is_finished(workdir: Path, values: FlatConfig, fields: Iterable[Field]) -> bool:
    """Whether `workdir` contains the run of the config with these values, trained to its end.

    False if one of its files is damaged, which `open_or_resume` reports, or its last checkpoint is corrupt. The checkpoints may
    have been removed altogether.
    """
    try:
        check_digests(workdir)
        written = read_document(workdir)
    except UserError:
        return False
    if written is None or "finished" not in written or difference_to(workdir, values, fields):
        return False
    folder, last = workdir / "checkpoints", written["finished"].get("step")
    if last is None or not folder.exists():
        return True
    return broadcast_from_first(newest_valid_step(folder) if jax.process_index() == 0 else 0) >= last


def truncate_logs(workdir: Path, step: int) -> None:
    """Remove the log lines after `step`, from which the run continues."""
    for path in [workdir / METRICS, *workdir.glob(f"eval/*/{SUMMARY}"), *workdir.glob(f"eval/*/{COUNTS}")]:
        kept = [record for record in read_lines(path, LogLine) if record["step"] <= step]
        if path.exists():
            write_text(path, "".join(map(line_of, kept)))
