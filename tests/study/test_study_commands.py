"""The commands that train the runs of a study one by one: printed, and submitted to a stand-in for SLURM."""

import os
import shlex
import sys

import pytest

from cliptail_jax.host.errors import UserError
from cliptail_jax.study.configuration import typed_study
from cliptail_jax.study.launch import part_commands, report_command, submit_to_slurm
from cliptail_jax.study.run import matching
from configs.study import quickstart
from tests.commands import study

COMMAND = "cliptail study mine.py --workdir=runs/q '--config.title=a b'"
NAMES = ["seed_12/sl", "seed_12_mirrored/sl"]

# sbatch runs the job at once, with srun as SLURM has it, and notes its options.
SBATCH = """#!/bin/bash
echo "$@" >> $NOTES
number=$(wc -l < $NOTES)
for option in "$@"; do
  case "$option" in
  --array=0-*) tasks=${option#--array=0-} ;;
  --wrap=*) script=${option#--wrap=} ;;
  esac
done
for task in $(seq 0 ${tasks:-0}); do
  SLURM_JOB_ID=$number SLURM_ARRAY_TASK_ID=$task sh -c "$script" || echo "task $task: $?" >> $NOTES.failed
done
echo "$number;cluster"
"""


def test_each_run_and_the_report_have_a_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "orig_argv", ["python", "/env/bin/cliptail", *shlex.split(COMMAND)[1:], "--launch=print"])
    assert study(["quickstart", "--workdir=runs/q", "--launch=print"]) == 0
    *commands, report = capsys.readouterr().out.splitlines()
    directories = list(typed_study(quickstart.get_config()).queue)
    assert directories[:2] == NAMES and len(directories) == 8
    assert commands == [f"{COMMAND} --only={name}" for name in directories] and report == f"{COMMAND} --report"


@pytest.mark.parametrize(
    "flags",
    [
        "--launch=slurm --sbatch=--time=1 --sbatch --mem=2 --budget=60",
        "--only 'a*' --report",
        "-launch=slurm -only b -sbatch=--time=1",
        "--launch print",
        "--until-decided --max-pairs=3",
        "--until_decided=a,b --max_pairs 3",
    ],
)
def test_commands_of_parts_have_no_flags_of_the_whole(flags):
    assert part_commands(f"{COMMAND} {flags}", ["a*"]) == {"a*": f"{COMMAND} --only='a*'"}
    assert report_command(f"{COMMAND} {flags}") == f"{COMMAND} --report"
    assert part_commands("", ["a"]) == {}  # of a notebook


def test_names_and_patterns_choose_runs_of_all_seeds_or_one():
    directories = ["seed_0/sl", "seed_0/clip", "seed_1/sl", "seed_1/clip", "clip_all"]
    assert matching([], directories) == directories
    assert matching(["clip"], directories) == ["seed_0/clip", "seed_1/clip"]
    assert matching(["clip*", "seed_1/*"], directories) == ["seed_0/clip", "seed_1/sl", "seed_1/clip", "clip_all"]
    with pytest.raises(UserError, match=r"--only=seed_0/clop is not a run of this study \(did you mean seed_0/clip"):
        matching(["sl", "seed_0/clop"], directories)


@pytest.mark.parametrize(("flags", "complaint"), [
    ("--only=a --report", "--only trains runs and writes no report"),
    ("--only=a,b --budget=3", "--budget is for the whole study"),
    ("--report --budget=3", "--budget is for the whole study"),
    ("--budget=nan", "--budget must be a positive number of minutes"),
    ("--budget=inf", "--budget must be a positive"),
    ("--budget=1e-400", "--budget must be a positive"),
    ("--launch=slurm --budget=3", "--budget is for the whole study"),
    ("--launch=print --report", "--launch=print trains nothing here: leave out --report and --runner"),
    ("--launch=print --sbatch=--time=1", "--sbatch needs --launch=slurm"),
    ("--only=,", "--only= is not a run of this study"),
    ("--until_decided --report", "--until_decided is for the whole study: leave it out with --only, --rep"),
    ("--until_decided=a --only=a", "--until_decided is for the whole study"),
    ("--until_decided --runner=dask", "--until_decided is for the whole study"),
    ("--max_pairs=3", "--max_pairs=3 is for a study that adds pairs: add --until_decided"),
    ("--until_decided=clip_od", "--until_decided=clip_od is not a claim of this study (did you mean clip_odds"),
    ("--runner=dask --jobs=2", "--runner=dask trains runs as workers become free"),
    (
        "--until_decided --config.seeds=8",
        "--config.seeds sets a fixed number of seeds, but --until_decided adds them",
    ),
])  # fmt: skip
def test_flags_that_do_not_fit_are_a_line(flags, complaint, tmp_path, capsys):
    assert study(["quickstart", f"--workdir={tmp_path}", *flags.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and complaint in line


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A folder with stand-ins for SLURM's programs and for `cliptail`, which notes its arguments or is stopped."""
    programs = {
        "sbatch": SBATCH,
        # SIGTERM for the process that it starts, as SLURM has it when the time is up.
        "srun": """#!/bin/bash
shift
"$@" &
while [ ! -e $NOTES.stop ] && kill -0 $! 2>/dev/null; do sleep 0.02; done
[ ! -e $NOTES.stop ] || { rm $NOTES.stop; kill $!; }
wait $!
""",
        "scontrol": '#!/bin/bash\necho "$@" >> $NOTES.requeued\n',
        "cliptail": '#!/bin/bash\necho "$@" >> $NOTES.ran\n[[ "$*" == *stopped* ]] || exit 0\n'
        'trap "echo saved >> $NOTES.saved; exit 143" TERM\ntouch $NOTES.stop\nsleep 5 & wait\n',
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    return tmp_path


def test_slurm_runs_a_task_for_each_run_requeues_stopped_ones_and_reports(slurm, tmp_path, capsys):
    submit_to_slurm(
        f"{COMMAND} --launch=slurm", ["seed_0/sl", "it's", "stopped"], tmp_path / "work dir", ["--time=1-0"]
    )
    ran = part_commands(COMMAND, ["seed_0/sl", "it's", "stopped"]).values()
    noted = (tmp_path / "notes.ran").read_text()
    assert noted.splitlines() == [" ".join(shlex.split(line)[1:]) for line in [*ran, report_command(COMMAND)]]
    array, report = (tmp_path / "notes").read_text().splitlines()[0], (tmp_path / "notes").read_text().splitlines()[-1]
    assert all(
        option in array for option in ("--array=0-2", "--requeue", "--signal=TERM@300", "--time=1-0", "--parsable")
    )
    assert "--dependency=afterany:1 --time=1-0" in report
    assert (tmp_path / "notes.saved").read_text() == "saved\n"
    assert (tmp_path / "notes.requeued").read_text() == "requeue 1\n"
    assert (tmp_path / "notes.failed").read_text() == "task 2: 143\n"
    assert "submitted 3 runs as job 1, and the report as job" in capsys.readouterr().out
    first = {file: file.read_text() for file in (tmp_path / "work dir").glob("commands_*.txt")}
    submit_to_slurm(COMMAND, ["seed_1/sl"], tmp_path / "work dir", [])
    assert len(first) == 1 and all(file.read_text() == text for file, text in first.items())  # its tasks may wait
    assert "--only=seed_1/sl" in (tmp_path / "notes.ran").read_text().splitlines()[-2]


def test_slurm_that_is_missing_or_refuses_is_one_line(slurm, tmp_path, monkeypatch):
    (tmp_path / "sbatch").write_text("#!/bin/bash\necho 'invalid partition' >&2\nexit 1\n")
    with pytest.raises(UserError, match="sbatch refuses the job: invalid partition"):
        submit_to_slurm(COMMAND, ["a"], tmp_path, [])
    (tmp_path / "sbatch").write_text('#!/bin/bash\n[[ "$*" != *--dependency* ]] || { echo no >&2; exit 1; }\necho 7\n')
    with pytest.raises(
        UserError, match="refuses the job: no; the runs are in the queue as job 7, which scancel 7 removes"
    ):
        submit_to_slurm(COMMAND, ["a"], tmp_path, [])
    with pytest.raises(UserError, match="an argument of the command has a line break"):
        submit_to_slurm(f"{COMMAND} '--config.title=a\nb'", ["a"], tmp_path, [])
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="sbatch is missing: --launch=slurm is for a login node"):
        submit_to_slurm(COMMAND, ["a"], tmp_path, [])
