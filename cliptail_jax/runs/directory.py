"""Opens a run directory, for a new run or to continue one, and records the end of a run."""

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
    STUDY_FILES,
    SUMMARY,
    read_config,
    read_document,
)
from cliptail_jax.runs.manifests import newest_valid_step
from cliptail_jax.runs.provenance import objective_digest, provenance
from cliptail_jax.runs.records import LogLine, TrainingData

DIGEST = "objective_digest"  # in config.json: of the file of a user's objective, '' for the package's
FlatConfig = Mapping[str, Any]  # the values of a config by dotted key


def open_or_resume(
    workdir: Path, values: FlatConfig, fields: Iterable[Field], data: Mapping[str, Any], overwrite: bool
) -> None:
    """Make `workdir` the run of a config, or continue it.

    Args:
        values: the values of the config by dotted key, from `fields.plain`.
        fields: the fields of a training config.
        data: the number of records and the fingerprint of the training data. Those of the first process count.
        overwrite: whether to replace a run with another config or data.

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
    if jax.process_count() > 1:  # so that no process reads files of the previous run
        multihost_utils.sync_global_devices("opened")


def continues(workdir: Path, values: FlatConfig, fields: Iterable[Field], data: Mapping[str, Any]) -> bool:
    """Whether `workdir` contains a run of this config and data, which `open_or_resume` would continue."""
    can_continue = (
        jax.process_index() == 0 and (workdir / CONFIG).exists() and not obstacle_to(workdir, values, fields, data)
    )
    return broadcast_from_first(can_continue)


def obstacle_to(workdir: Path, values: FlatConfig, fields: Iterable[Field], data: Mapping[str, Any]) -> str:
    """The reason why a run of this config and data cannot continue the one in `workdir`; '' if it can."""
    try:
        check_digests(workdir)
        config, earlier_data = read_config(workdir), read_json(workdir / DATA, TrainingData)
    except UserError as error:
        return f"contains a run that cannot be continued: {error}"
    if name := foreign_file(workdir):
        return f"contains {name}, but no run's {CONFIG}"
    if config is None:
        return ""
    if difference := difference_to(workdir, values, fields):
        return f"contains the run of another config ({difference})"
    if earlier_data is not None and earlier_data != data:
        old_records, new_records = (
            f"{content.get('records'):,} records of fingerprint {str(content.get('fingerprint'))[:12]}"
            for content in (earlier_data, data)
        )
        return (
            f"contains a run on other data: it began with {old_records}, and the config now selects {new_records}, so a file "
            "that it names, or the data set, has changed"
        )
    return ""


def has_something_to_lose(workdir: Path) -> bool:
    """Whether a directory has checkpoints, evaluations or foreign files. A run without these has just begun."""
    if (workdir / "checkpoints").exists() or (workdir / "eval").exists():
        return True
    try:
        return bool(foreign_file(workdir))
    except UserError:
        return True


def foreign_file(workdir: Path) -> str:
    """The name of a file or folder that a run would replace or hide, in a directory without a run; '' for none.

    Raises UserError if config.json cannot be read.
    """
    if read_config(workdir) is not None:
        return ""
    return next((name for name in (*FOLDERS, *FILES, *STUDY_FILES) if (workdir / name).exists()), "")


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
    write_json(workdir / CONFIG, {"config": values, DIGEST: objective_digest(values["objective"]), **provenance()})


def difference_to(workdir: Path, values: FlatConfig, fields: Iterable[Field]) -> str:
    """What differs from the run in `workdir`: a user's objective, or up to three fields; '' if nothing does, or there is no run.

    `fields` are the fields of a training config. Only fields that affect training count. A field that was added to the
    software after the run has its default there.
    """
    config = read_config(workdir)
    if config is None:
        return ""
    is_same = config["objective"] == values.get("objective")  # whose code has been imported
    if is_same and (digest := read_document(workdir).get(DIGEST)) and digest != objective_digest(config["objective"]):
        return f"{config['objective'].rpartition(':')[0]} has changed since it was trained"
    fields = {field.key: field for field in fields}
    sections = {field.key.partition(".")[0] for field in fields.values() if not field.is_incidental}
    keys = fields.keys() | {key for key in config if key.partition(".")[0] in sections}
    run_values = {
        key: config.get(key, plain_value(fields[key].default) if key in fields else None)
        for key in keys
        if not (key in fields and fields[key].is_incidental)
    }
    return difference(run_values, {key: values.get(key) for key in run_values})


def finish(workdir: Path, step: int, seconds: float, spent: Mapping[str, float] = {}) -> None:
    """Record the last step and the duration of a finished run in config.json, and write the digests of its files.

    `spent` has the seconds of the last session by activity.
    """
    document = read_json(workdir / CONFIG)
    write_json(workdir / CONFIG, document | {"finished": {"step": step, "seconds": seconds, "spent": dict(spent)}})
    write_digests(workdir, FILES)


def is_finished(workdir: Path, values: FlatConfig, fields: Iterable[Field]) -> bool:
    """Whether `workdir` contains the run of the config with these values, trained to its end.

    False if one of its files is damaged, which `open_or_resume` reports, or if its last checkpoint is corrupt. True if all
    checkpoints have been removed.
    """
    try:
        check_digests(workdir)
        document = read_document(workdir)
    except UserError:
        return False
    if document is None or "finished" not in document or difference_to(workdir, values, fields):
        return False
    folder, last_step = workdir / "checkpoints", document["finished"].get("step")
    if last_step is None or not folder.exists():
        return True
    return broadcast_from_first(newest_valid_step(folder) if jax.process_index() == 0 else 0) >= last_step


def truncate_logs(workdir: Path, step: int) -> None:
    """Remove log lines after `step`, where the run continues."""
    for path in [workdir / METRICS, *workdir.glob(f"eval/*/{SUMMARY}"), *workdir.glob(f"eval/*/{COUNTS}")]:
        records = [record for record in read_lines(path, LogLine) if record["step"] <= step]
        if path.exists():
            write_text(path, "".join(map(line_of, records)))
