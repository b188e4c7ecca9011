"""Runs commands on a Dask cluster, which a lab starts with dask-jobqueue, dask-cuda or dask-kubernetes.

Each command is a task that runs in a separate process, such as `cliptail study CONFIG --only=RUN`. If a worker is lost, the
command starts again on another worker and continues from its last checkpoint.
"""

import contextlib
import ctypes
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from cliptail_jax.host.dask import check_dask
from cliptail_jax.host.errors import UserError
from cliptail_jax.runs.provenance import command, without_flags

TIMEOUT_SECONDS = 30  # seconds until a scheduler must have answered
MAX_ERROR_CHARACTERS = 2000  # the last characters of a command's errors
PR_SET_PDEATHSIG = 1


def run_on_dask(commands: Mapping[str, str], workdir: Path, scheduler: str) -> dict[str, str]:
    """Run commands on the workers of a cluster, or without one on this machine, with a worker for each core.

    Commands run in the current folder. All workers must see this folder and `workdir`.

    Args:
        commands: the command lines by name.
        workdir: the folder to which they write.
        scheduler: the address of the cluster's scheduler, such as 'tcp://host:8786'; '' for this machine.

    Returns:
        The reasons why commands failed, by name.

    Raises:
        UserError: Dask is not installed, the scheduler does not answer, or a worker does not see a folder.
    """
    check_dask()
    from distributed import Client, LocalCluster, as_completed
    from distributed.scheduler import KilledWorker

    failures = {}
    with contextlib.ExitStack() as open_until_the_end:
        cluster = scheduler or open_until_the_end.enter_context(LocalCluster(threads_per_worker=1))
        try:
            client = open_until_the_end.enter_context(Client(cluster, timeout=TIMEOUT_SECONDS))
        except (OSError, TimeoutError, ValueError) as error:
            raise UserError(
                f"--scheduler={scheduler} does not answer ({error}): give the address that it prints"
            ) from None
        folder, workdir = Path.cwd(), workdir.absolute()
        workdir.mkdir(parents=True, exist_ok=True)
        for worker, missing_path in client.run(missing_folder, [folder, workdir]).items():
            if missing_path:
                raise UserError(
                    f"the worker {worker} does not see {missing_path}: use a folder that all machines share"
                )
        tqdm.write(f"{len(commands)} runs on Dask's workers; their progress is on {client.dashboard_link}")
        futures = {client.submit(execute, line, folder, pure=False): name for name, line in commands.items()}
        for future in tqdm(as_completed(list(futures)), total=len(futures), desc="runs", disable=None):
            try:
                failure = future.result()
            except KilledWorker as error:
                failure = f"its workers were lost, {error.last_worker.address} at last"
            if failure:
                failures[futures[future]] = failure
                tqdm.write(f"error: {futures[future]}: {failure}")
    return failures


def run_models_on_dask(directories: Mapping[str, Path], field: str, workdir: Path, scheduler: str) -> dict[str, str]:
    """Run this program's command once for each model on the workers of a cluster, as `run_on_dask` does.

    Args:
        directories: the work directory of each model's command, by the model's name.
        field: the config field of the models' names.
    """
    program = without_flags(command(), ("--runner", "--scheduler", "--workdir", f"--config.{field}"))
    if not program:
        raise UserError("--runner=dask is for a program that a command starts")
    options = {
        name: [f"--workdir={directory}", f"--config.{field}=({name!r},)"] for name, directory in directories.items()
    }
    return run_on_dask({name: f"{program} {shlex.join(words)}" for name, words in options.items()}, workdir, scheduler)


def missing_folder(folders: list[Path]) -> Path | None:
    """The first folder that does not exist, or None."""
    return next((folder for folder in folders if not folder.is_dir()), None)


def execute(line: str, folder: Path) -> str:
    """Execute a command, which ends when this process ends. Returns the reason of a failure, else ''.

    `python` and `cliptail` are the programs beside the Python of this process, even if its environment is not active.
    """

    def end_with_worker() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    libc = ctypes.CDLL(None)
    start = end_with_worker if hasattr(libc, "prctl") else None  # Linux has it
    environment = os.environ | {"PATH": os.pathsep.join([os.path.dirname(sys.executable), *os.get_exec_path()])}
    try:
        process = subprocess.Popen(
            shlex.split(line), cwd=folder, env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=start
        )
    except OSError as error:
        return f"{error.strerror}: {error.filename}"
    errors = ""
    for text in process.stderr:  # the worker's log shows it, too
        print(text, end="", flush=True)
        errors = (errors + text)[-MAX_ERROR_CHARACTERS:]
    if process.wait():
        lines = errors.strip().splitlines() or [f"status {process.returncode}"]
        return lines[-1].removeprefix("error: ")
    return ""
