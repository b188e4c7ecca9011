"""Archives of studies, NAME.tar.xz: the files with their results, so that a new statistic needs no training.

An unpacked archive is the directory of a study whose runs have finished and whose checkpoints were removed.
"""

import contextlib
import dataclasses
import io
import lzma
import re
import shlex
import tarfile
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from cliptail_jax.config.files import ARCHIVE
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import DIGESTS, digest_of, json_text, line_of, npz, write_bytes
from cliptail_jax.results.directory import Contents, read_directory
from cliptail_jax.results.run import Run
from cliptail_jax.results.study import Study, by_replicate
from cliptail_jax.results.transfers import FILE as TRANSFERS
from cliptail_jax.results.transfers import predictions_path
from cliptail_jax.runs.evaluations import ARRAYS, evaluation_directory, read_arrays
from cliptail_jax.runs.files import CONFIG, COUNTS, DATA, FORECASTS, FREQUENCY, LOSS, METRICS, STUDY_FILES, SUMMARY
from cliptail_jax.runs.provenance import CLONE, history, without_flags
from cliptail_jax.runs.records import LogLine

STUDY, CLAIMS = STUDY_FILES
Files = dict[str, bytes]  # contents by path
OMITTED_ARRAYS = ("per_class_accuracy", "per_class_predictions", "predicted")  # the first two follow from the confusion
NOT_IN_HISTORY = " (not in the history)"  # mark after a commit that nobody can check out
LOCAL_PATH = re.compile(r"""(?:^|["'=\s])((?:~?/[\w.]|gs://)[^"'\s]*)""")  # a path that exists on one machine


def write_archive(workdir: Path, file: Path) -> None:
    """Write the archive of a study's finished runs. Its bytes depend only on its contents.

    The archive has no checkpoints, no predictions of single images, and no paths of this machine. Commits of runs are marked
    if the history of this clone lacks them.

    Raises:
        UserError: `workdir` contains no study, a file is damaged, or a config names a path of this machine.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz", preset=9 | lzma.PRESET_EXTREME) as archive:
        for name, content in sorted(files_of_study(workdir, file.name.removesuffix(ARCHIVE)).items()):
            entry = tarfile.TarInfo(name)  # by default, it has no owner and no time
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    write_bytes(file, buffer.getvalue())


def unpack(file: Path, folder: Path) -> Path:
    """Unpack an archive into a new directory in `folder` with its name, and return this directory.

    Raises UserError if the archive is damaged.
    """
    directory = folder / file.name.removesuffix(ARCHIVE)
    try:
        content = io.BytesIO(lzma.decompress(file.read_bytes()))  # decompressing the whole file checks its checksum
        with tarfile.open(fileobj=content, mode="r:") as archive:
            archive.extractall(directory, filter="data")
    except (tarfile.TarError, lzma.LZMAError, KeyError) as error:  # a link to an absent file is a KeyError
        raise UserError(f"{file} is damaged ({error}): restore it from a copy, or install the package again") from None
    return directory


@contextlib.contextmanager
def opened_archive(file: Path) -> Iterator[Contents]:
    """The contents of an archive, whose files exist in this context. Raises UserError if the archive is damaged."""
    with tempfile.TemporaryDirectory() as folder:
        yield read_directory(unpack(file, Path(folder)))


def files_of_study(workdir: Path, name: str) -> Files:
    """The files of an archive of this name. Raises UserError like `write_archive`."""
    contents = read_directory(workdir)
    if contents.problems:
        raise UserError(contents.problems[0])
    if contents.study is None or not (workdir / CLAIMS).exists():
        raise UserError(f"{workdir} contains no study: give the directory of one")
    replicates = by_replicate(contents.study, contents.runs)
    runs = [run for replicate in replicates for seed_runs in replicate for run in seed_runs.values()]
    files = {STUDY: study_text(contents.study, name).encode(), CLAIMS: (workdir / CLAIMS).read_bytes()}
    if (forecasts := workdir / FORECASTS).exists():
        files[FORECASTS] = forecasts.read_bytes()
    for run in runs:
        files |= {f"{run.workdir.relative_to(workdir)}/{path}": content for path, content in files_of_run(run).items()}
    for folder in dict.fromkeys(run.workdir.parent for run in runs):
        transfer_files = files_of_transfer([run for run in runs if run.workdir.parent == folder])
        files |= {str(folder.relative_to(workdir) / path): content for path, content in transfer_files.items()}
    for path, content in files.items():
        if path.endswith((".json", ".jsonl")) and (match := LOCAL_PATH.search(content.decode())):
            raise UserError(f"{workdir / path} names {match[1]}, a path of this machine, which is not published")
    return files


def study_text(study: Study, name: str) -> str:
    """The content of study.json, with commands that any machine can repeat."""
    commands = {run: portable(command, name) for run, command in study.commands.items()}
    study = dataclasses.replace(study, command=portable(study.command, name), commands=commands, failures={})
    return json_text(dataclasses.asdict(study))


def portable(command: str, name: str) -> str:
    """A command line with the work directory runs/NAME and without other paths of this machine."""
    if not command:
        return ""
    words = shlex.split(without_flags(command, ("--workdir", "--with_published", "--config.data_dir")))
    return shlex.join([*(word for word in words if not LOCAL_PATH.search(word)), f"--workdir=runs/{name}"])


def files_of_run(run: Run) -> Files:
    """The files of a run, with their digests, by their paths in its directory."""
    document = {key: value for key, value in run.document.items() if key != "command"}  # the study has it
    document["config"] = run.config | {"data.data_dir": ""}
    if "commit" in document:
        document["commit"] = marked(document["commit"], history(CLONE))
    log = ({key: value for key, value in line.items() if key in LogLine.__annotations__} for line in run.log)
    files = {CONFIG: json_text(document).encode(), METRICS: "".join(map(line_of, log)).encode()}
    files |= read_existing(run.workdir, (FREQUENCY, DATA, LOSS))
    files[DIGESTS] = json_text({name: digest_of([content]) for name, content in files.items()}).encode()
    for set_name in run.sets:
        folder = evaluation_directory(run.workdir, set_name)
        arrays = {
            name: array for name, array in read_arrays(run.workdir, set_name).items() if name not in OMITTED_ARRAYS
        }
        set_files = read_existing(folder, (SUMMARY, COUNTS, FREQUENCY)) | {ARRAYS: npz(arrays)}
        files |= {str(folder.relative_to(run.workdir) / name): content for name, content in set_files.items()}
    return files


def marked(commit: str, commits: Collection[str]) -> str:
    """A commit, with a mark if the commits of the history lack it. An empty history is unknown, and marks nothing."""
    if not commits or commit.removesuffix("-dirty") in commits or commit.endswith(NOT_IN_HISTORY):
        return commit
    return commit + NOT_IN_HISTORY


def read_existing(folder: Path, names: tuple[str, ...]) -> Files:
    """The contents of those files that exist."""
    return {name: (folder / name).read_bytes() for name in names if (folder / name).exists()}


def files_of_transfer(runs: list[Run]) -> Files:
    """The results of the transfer of one seed's runs, by their paths beside the runs. The models are the names of runs."""
    files: Files = {}
    lines: list[dict[str, Any]] = []
    for run in runs:
        for result in run.transfers:
            line = result | {"model": run.workdir.name}
            line["origin"] = {key: value for key, value in result.get("origin", {}).items() if key != "command"}
            lines.append(line)
            arrays = predictions_path(run.workdir.parent / "transfer", result)
            if arrays.exists():
                files[str(predictions_path(Path("transfer"), line))] = arrays.read_bytes()
    return files | ({f"transfer/{TRANSFERS}": "".join(map(line_of, lines)).encode()} if lines else {})
