"""Continues a published study: its runs are copied to a work directory, where they count as finished."""

import tempfile
from pathlib import Path

import jax

from cliptail_jax.config.fields import plain
from cliptail_jax.config.files import find_archive, known_archives
from cliptail_jax.evaluation.results import is_evaluated
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import files_below, write_bytes
from cliptail_jax.objectives import FIELDS, objective_class
from cliptail_jax.parallel.distributed import broadcast_from_first
from cliptail_jax.results.archive import unpack
from cliptail_jax.results.run import find_runs
from cliptail_jax.runs.console import log_line
from cliptail_jax.runs.directory import difference_to
from cliptail_jax.runs.files import CONFIG
from cliptail_jax.runs.lock import FILE as LOCK
from cliptail_jax.study.configuration import RunConfigs, StudyConfig
from cliptail_jax.study.stated_claims import FILE as CLAIMS


def add_published(config: StudyConfig, name: str, workdir: Path) -> None:
    """Copy the published runs of a study to its directory, unless they are there.

    They are the runs of the archive `name`, which is the name of the config file, or of an archive NAME_VARIANT, whichever
    has the recipe of `config`.

    Raises:
        UserError: `workdir` contains other files, or no published runs have this config.
    """
    if config.first.transfer:
        raise UserError(
            "--with_published: a transfer needs checkpoints, which published runs do not have: leave it out"
        )
    with tempfile.TemporaryDirectory() as folder:
        source = published_as(config.queue, name, Path(folder))
        # The claims are copied first, so that an interrupted copy is continued.
        file_names = [path.name for path in workdir.iterdir() if path.name != LOCK] if workdir.exists() else []
        if file_names and not (
            CLAIMS in file_names and (workdir / CLAIMS).read_bytes() == (source / CLAIMS).read_bytes()
        ):
            raise UserError(
                f"{workdir} contains {min(file_names)}, and --with_published begins in an empty directory: choose another "
                "--workdir, or leave it out"
            )
        runs = (run.workdir.relative_to(source) for run in find_runs(source))
        if other_runs := [name for name in runs if is_other_run(workdir / name, source / name)]:
            raise UserError(
                f"{workdir / other_runs[0]} is not the published run: choose another --workdir for --with_published, or leave it out"
            )
        if jax.process_index() == 0:
            copy_study(source, workdir)
        broadcast_from_first(True)  # other processes wait for the copy before they read


def is_other_run(workdir: Path, source: Path) -> bool:
    """Whether a directory has a run other than the published one. The software, command and time in config.json count, too."""
    return (workdir / CONFIG).exists() and (workdir / CONFIG).read_bytes() != (source / CONFIG).read_bytes()


def published_as(queue: RunConfigs, name: str, folder: Path) -> Path:
    """Unpack into `folder` the published runs that are runs of this queue. Raises UserError if there are none."""
    names = [archive for archive in known_archives() if archive == name or archive.startswith(f"{name}_")]
    obstacles = []
    for candidate in names or [name]:
        source = unpack(find_archive(candidate), folder)
        if not (obstacle := obstacle_to(queue, source)):
            return source
        obstacles.append(f"{candidate}: {obstacle}")
    raise UserError(
        f"the published runs are not those of this config ({'; '.join(obstacles)}): go back to their recipe and seeds, or leave "
        "out --with_published"
    )


def obstacle_to(queue: RunConfigs, source: Path) -> str:
    """The first difference of published runs from those of a queue, which may have more; '' if there is none."""
    for run in find_runs(source):
        name = str(run.workdir.relative_to(source))
        if name not in queue:
            return f"this config has no run {name}"
        config = queue[name]
        if difference := difference_to(run.workdir, plain(config), FIELDS):
            return f"{name}: {difference}"
        if not is_evaluated(run.workdir, config.eval, objective_class(config.objective).uses_prompts):
            return f"{name} was evaluated on other sets or with other settings"
    return ""


def copy_study(source: Path, workdir: Path) -> None:
    """Copy the claims and those runs that are not in `workdir`."""
    new_runs = [run for run in find_runs(source) if not (workdir / run.workdir.relative_to(source) / CONFIG).exists()]
    files = [source / CLAIMS]
    for run in new_runs:  # config.json makes a directory a run, so it is the last
        files += sorted(files_below(run.workdir), key=lambda file: file.name == CONFIG)
    for file in files:
        target = workdir / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(target, file.read_bytes())
    if new_runs:
        log_line(f"{workdir}: {len(new_runs)} published runs of {source.name}")
