"""Commands that train the runs of a study one by one on several machines, which are printed or submitted to SLURM."""

import shlex
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import digest_of, is_remote, write_text
from cliptail_jax.runs.provenance import without_flags

# Flags that apply only to the command of a whole study.
STUDY_FLAGS = "--launch --sbatch --runner --scheduler --budget --only --report --noreport".split()
STUDY_FLAGS += ["--until_decided", "--max_pairs"]  # the directory records them
# A job that SIGTERM has ended has saved its state; it goes back into the queue.
REQUEUE = "code=$?; [ $code != 143 ] || scontrol requeue $SLURM_JOB_ID; exit $code"


def part_commands(command: str, names: Iterable[str]) -> dict[str, str]:
    """The command of a study with --only=NAME, by name; empty if the command is not known, as in a notebook."""
    if not command:
        return {}
    study_command = without_flags(command, STUDY_FLAGS)
    if "\n" in study_command:
        raise UserError("an argument of the command has a line break, and a command of a run is one line: leave it out")
    return {name: f"{study_command} --only={shlex.quote(name)}" for name in names}


def report_command(command: str) -> str:
    """The command of a study that only writes its report."""
    return f"{without_flags(command, STUDY_FLAGS)} --report"


def check_slurm(workdir: Path) -> None:
    """Raise UserError if there is no sbatch, or if `workdir` is in a bucket."""
    if is_remote(workdir):
        raise UserError(f"--launch=slurm needs a --workdir that the nodes share, and {workdir} is in a bucket")
    if not shutil.which("sbatch"):
        raise UserError(
            "sbatch is missing: --launch=slurm is for a login node of SLURM; --launch=print prints the commands"
        )


def submit_to_slurm(command: str, names: Sequence[str], workdir: Path, options: Sequence[str]) -> None:
    """Submit a job array with a task for each run, and a job that reports when they have ended.

    A task whose time is up saves its state, and SLURM requeues it. `options` are further options of sbatch, such as
    '--time=1-0'.

    Raises:
        UserError: There is no sbatch, it refuses a job, or `workdir` is in a bucket.
    """
    check_slurm(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{line}\n" for line in part_commands(command, names).values())
    commands = workdir / f"commands_{digest_of([lines.encode()])[:8]}.txt"  # tasks of an earlier array have their own
    write_text(commands, lines)
    line = f'eval "exec $(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {shlex.quote(str(commands))})"'
    task = f"srun --kill-on-bad-exit=1 bash -c {shlex.quote(line)}; {REQUEUE}"
    array = [f"--array=0-{len(names) - 1}", "--requeue", "--open-mode=append", "--signal=TERM@300"]
    job = sbatch(workdir, "%A_%a", [*array, *options], task)
    try:
        report = sbatch(workdir, "%j", [f"--dependency=afterany:{job}", *options], report_command(command))
    except UserError as error:
        raise UserError(f"{error}; the runs are in the queue as job {job}, which scancel {job} removes") from None
    print(
        f"submitted {len(names)} runs as job {job}, and the report as job {report}; their logs are {workdir}/slurm-*.log"
    )


def sbatch(workdir: Path, log: str, options: Sequence[str], script: str) -> str:
    """Submit a script with sbatch, and return the number of the job. Raises UserError if sbatch refuses it."""
    arguments = [
        "--parsable",
        "--job-name=cliptail_jax",
        f"--output={workdir}/slurm-{log}.log",
        *options,
        f"--wrap={script}",
    ]
    result = subprocess.run(["sbatch", *arguments], capture_output=True, text=True)
    if result.returncode:
        raise UserError(f"sbatch refuses the job: {result.stderr.strip() or result.stdout.strip()}")
    return result.stdout.strip().partition(";")[0]
