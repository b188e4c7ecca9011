"""The launch scripts: the commands of a dry run, what they refuse, and whole launches on hosts that are folders."""

import math
import os
import re
import shlex
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from cliptail_jax.planning.topologies import find_topology

SCRIPTS = Path(__file__).parents[1] / "scripts"
COMMAND = ["python", "-m", "cliptail_jax.train", "--config.title=it's $HOME 'a b'"]
SLICE = ["--name=slice", "--zone=us-central2-b", "--type=v4-32"]


def launch(script, *arguments, **environment):
    command = [SCRIPTS / f"launch_{script}.sh", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, **environment})


def dry_run(script, *arguments):
    """The commands that would run, each as the list of its words."""
    done = launch(script, "--dry_run", *arguments)
    assert done.returncode == 0, done.stderr
    return [shlex.split(line) for line in done.stdout.splitlines() if not line.startswith("#")]


ON_TPUS = """
gcloud compute tpus tpu-vm describe slice --zone=us-central2-b --format=value(state)
gcloud compute tpus queued-resources describe slice --zone=us-central2-b --format=value(state.state)
gcloud compute tpus queued-resources delete slice --zone=us-central2-b --force --quiet
gcloud compute tpus queued-resources create slice --zone=us-central2-b --node-id=slice --accelerator-type=v4-32 \
--runtime-version=tpu-ubuntu2204-base --spot
SSH --worker=0 --command=bash cliptail_jax/scripts/launch/host.sh status python -m x
tar --exclude=__pycache__ -czf ARCHIVE cliptail_jax configs scripts pyproject.toml README.md LICENSE
gcloud compute tpus tpu-vm scp ARCHIVE slice:cliptail_jax.tar.gz --zone=us-central2-b --worker=all
SSH --worker=all --command=mkdir -p cliptail_jax && cd cliptail_jax && rm -rf cliptail_jax configs scripts && \
tar -xzf ../cliptail_jax.tar.gz
SSH --worker=all --command=bash cliptail_jax/scripts/launch/host.sh start tpu python -m x
SSH --worker=0 --command=bash cliptail_jax/scripts/launch/host.sh follow
SSH --worker=0 --command=bash cliptail_jax/scripts/launch/host.sh status python -m x
mkdir -p runs
gcloud compute tpus tpu-vm scp --recurse slice:cliptail_jax/runs/x runs/ --zone=us-central2-b --worker=0
gcloud compute tpus queued-resources delete slice --zone=us-central2-b --force --quiet
"""


def test_a_dry_run_on_tpus_prints_every_command_in_order():
    done = dry_run("tpu", *SLICE, "--spot", "--fetch=runs/x", "--delete", "--", "python", "-m", "x")
    expected = ON_TPUS.replace("ARCHIVE", done[5][3])
    expected = expected.replace("SSH", "gcloud compute tpus tpu-vm ssh slice --zone=us-central2-b")
    assert [" ".join(words) for words in done] == expected.strip().splitlines()


def test_project_image_and_a_bucket_to_fetch_are_passed_on():
    arguments = ["--project=mine", "--version=special", "--fetch=gs://bucket/runs/x/", "--", "true"]
    done = dry_run("tpu", *SLICE, *arguments)
    assert all("--project=mine" in words for words in done if words[:3] == ["gcloud", "compute", "tpus"])
    assert "--runtime-version=special" in done[3] and "--spot" not in done[3]
    assert done[-1] == ["gcloud", "storage", "rsync", "--recursive", "gs://bucket/runs/x", "runs/x"]


@pytest.mark.parametrize(
    "name, requested, image",
    [
        ("v4-8", "v4-8", "tpu-ubuntu2204-base"),
        ("v5e-16", "v5litepod-16", "v2-alpha-tpuv5-lite"),
        ("v5litepod-16", "v5litepod-16", "v2-alpha-tpuv5-lite"),
        ("v5p-8", "v5p-8", "v2-alpha-tpuv5"),
        ("v6e-8", "v6e-8", "v2-alpha-tpuv6e"),
    ],
)
def test_a_slice_is_requested_by_the_name_and_with_the_image_that_gcloud_has_for_it(name, requested, image):
    request = dry_run("tpu", "--name=a", "--zone=b", f"--type={name}", "--", "true")[3]
    assert {f"--accelerator-type={requested}", f"--runtime-version={image}"} < set(request)
    topology = find_topology(name)
    assert topology == find_topology(requested)
    printed = launch("tpu", "--dry_run", "--name=a", "--zone=b", f"--type={name}", "--", "true").stdout
    assert f"# a: REQUESTED as {requested} in b (chips: {math.prod(topology.shape)})\n" in printed


def test_a_job_of_slurms_has_one_task_a_node_and_goes_back_into_the_queue_when_stopped(tmp_path):
    *_, job = dry_run("gpu", "--slurm", "--nodes=2", "--gpus=8", "--sbatch=--time=1-0", "--sbatch=-p a", "--", *COMMAND)
    assert {"--nodes=2", "--ntasks-per-node=1", "--gpus-per-node=8", "--requeue", "--time=1-0", "-p a"} <= set(job)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/activate").touch()
    stub(tmp_path / "srun", 'for word; do echo "$word"; done >words; exit "$CODE"')
    stub(tmp_path / "scontrol", 'echo "$@" >>requeued')
    for code in (0, 1, 143):
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", "CODE": str(code)}
        wrapped = ["sh", "-c", job[-1].removeprefix("--wrap=")]  # as sbatch runs it
        assert subprocess.run(wrapped, cwd=tmp_path, env=environment).returncode == code
        assert (tmp_path / "words").read_text().splitlines() == ["--kill-on-bad-exit=1", *COMMAND]
        assert (tmp_path / "requeued").exists() == (code == 143)
    assert (tmp_path / "requeued").read_text() == "requeue 7\n"


@pytest.mark.parametrize(
    "script, arguments, message",
    [
        ("tpu", ["--zone=b", "--type=v4-8", "--", "true"], "--name is missing"),
        ("tpu", SLICE, "no command: put it behind --"),
        ("tpu", ["--name="], "--name needs a value, as --name=VALUE"),
        ("tpu", ["--nmae=a"], "unknown argument '--nmae=a'"),
        ("tpu", [*SLICE, "python"], "unknown argument 'python'; .* comes after --"),
        ("tpu", ["--name=a", "--zone=b", "--type=v9-8", "--", "true"], "--type=v9-8: .* --version"),
        ("tpu", ["--name=a", "--zone=b", "--type=tpu7x-8", "--", "true"], "--type=tpu7x-8: .* have no TPU7x"),
        ("tpu", [*SLICE, "--", "train", "--workdir=runs/x"], "--workdir=runs/x: .* --workdir=gs://BUCKET/runs/x"),
        ("tpu", [*SLICE, "--fetch=/runs/x", "--", "true"], "--fetch=/runs/x: give it relative"),
        ("gpu", ["--hosts=,", "--", "true"], "--hosts has an empty name"),
        ("gpu", ["--slurm", "--hosts=a", "--", "true"], "--hosts and --slurm exclude each other"),
        ("gpu", ["--slurm", "--", "true"], "--gpus is missing"),
        ("gpu", ["--slurm", "--gpus=x", "--", "true"], "'x' is no number"),
        ("gpu", ["--nodes=2", "--", "true"], "belong to --slurm"),
        ("gpu", ["--stop"], "--stop needs --hosts"),
    ],
)
def test_what_cannot_be_launched_is_named(script, arguments, message):
    done = launch(script, *arguments, PATH="/usr/bin:/bin")
    assert done.returncode == 2 and re.fullmatch(f"error: .*{message}.*\n", done.stderr), done.stderr


def stub(path, script):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/usr/bin/env bash\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


GCLOUD = """
echo "$@" >>"$CLOUD/asked"
if [ -s "$CLOUD/refusals" ]; then sed -i 1d "$CLOUD/refusals"; echo "ERROR: PERMISSION_DENIED" >&2; exit 1; fi
ready() { echo READY >"$CLOUD/slice"; echo ACTIVE >"$CLOUD/request"; mkdir -p "$CLOUD"/{0,1}; }
worker=; command=
for argument; do
  case "$argument" in --worker=*) worker="${argument#*=}" ;; --command=*) command="${argument#*=}" ;; esac
done
[ "$worker" != all ] && workers="$worker" || workers="${HOSTS:-0 1}"
case "$3 $4" in
"tpu-vm describe") cat "$CLOUD/slice" || echo NOT_FOUND >&2 ;;
"queued-resources describe") # each line of the file is a state, the last of which stays
  [ -e "$CLOUD/request" ] || { echo NOT_FOUND >&2; exit 1; }
  head -n 1 "$CLOUD/request" && [ $(wc -l <"$CLOUD/request") -le 1 ] || sed -i 1d "$CLOUD/request"
  [ "$(cat "$CLOUD/request")" != ACTIVE ] || [ -e "$CLOUD/slice" ] || ready ;;
"queued-resources create") [ -e "$CLOUD/queue" ] && cp "$CLOUD/queue" "$CLOUD/request" || ready ;;
"queued-resources delete") rm -rf "$CLOUD"/{slice,request,0,1} ;;
"tpu-vm scp") [ ! -e "$CLOUD/unreachable" ] || exit 1; for w in $workers; do cp "$5" "$CLOUD/$w/cliptail_jax.tar.gz"; done ;;
"tpu-vm ssh") for w in $workers; do (cd "$CLOUD/$w" && HOME="$PWD" bash -c "$command") || exit; done ;;
esac
"""
PYTHON = """
[ "$1" != -m ] && exit  # new enough
mkdir -p .venv/bin && touch .venv/bin/activate && ln -sf "$(type -P true)" .venv/bin/python
printf '#!/bin/sh\necho "$@" >>"$CLOUD/installed"\n' >.venv/bin/pip && chmod +x .venv/bin/pip
"""


@pytest.fixture
def cloud(tmp_path):
    """Two hosts that are folders, reached by a `gcloud` of bash; the environment that launches there."""
    stub(tmp_path / "bin/gcloud", GCLOUD)
    stub(tmp_path / "bin/python3", PYTHON)
    stub(tmp_path / "bin/mkdir", 'case "$2" in runs*) ;; *) exec /bin/mkdir "$@" ;; esac')  # none in this checkout
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    folders = {"CLOUD": str(tmp_path), "TMPDIR": str(tmp_path), "PATH": path}
    yield folders | {"PYTHON": "python3", "LAUNCH_POLL_SECONDS": "0.1"}
    for pid in tmp_path.rglob(".cliptail_jax/*/pid"):  # a test that fails may leave a command
        arguments = Path("/proc", pid.read_text().strip(), "cmdline")
        if arguments.exists() and b"launch/host.sh" in arguments.read_bytes():
            os.killpg(int(pid.read_text()), signal.SIGKILL)


def requests(folder):
    return (folder / "asked").read_text().count("compute tpus queued-resources create")


def start_launch(log, *arguments, **environment):
    """A launch in the background, which Ctrl-C interrupts; its own messages go to the file `log`."""
    interruptible = ["env", "--default-signal=INT"]  # it is ignored if the tests are in the background
    command = [*interruptible, SCRIPTS / "launch_tpu.sh", *arguments]
    with log.open("wb") as stderr:
        return subprocess.Popen(
            command,
            env={**os.environ, **environment},
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )


def interrupt(launched):
    os.killpg(launched.pid, signal.SIGINT)
    assert launched.wait(timeout=60) == 130


def test_a_launch_requests_a_slice_runs_on_all_hosts_shows_the_log_and_cleans_up(cloud, tmp_path):
    command = ["bash", "-c", 'echo "$1, $PWD"; pwd >>"$CLOUD/ran"', "-", "it's $HOME"]
    done = launch("tpu", *SLICE, "--delete", "--", *command, **cloud)
    assert done.returncode == 0, done.stderr
    assert f"it's $HOME, {tmp_path}/0/cliptail_jax\n" in done.stdout  # the first host's output
    ran = (tmp_path / "ran").read_text().split()
    assert sorted(ran) == [f"{tmp_path}/{worker}/cliptail_jax" for worker in (0, 1)]
    assert not (tmp_path / "slice").exists() and requests(tmp_path) == 1
    installed = (tmp_path / "installed").read_text().splitlines()
    assert len(installed) == 2 and all(line.endswith("--editable .[tpu]") for line in installed)  # nothing to test with


STATES = """\
slice: REQUESTED as v4-32 in us-central2-b (chips: 16)
slice: CREATING (the request is received)
slice: WAITING_FOR_RESOURCES (in the queue until there are free chips)
slice: PROVISIONING (the chips are found, and the slice is being made)
slice: ACTIVE READY
"""


def test_each_state_of_a_request_is_one_line(cloud, tmp_path):
    (tmp_path / "queue").write_text("CREATING\n" + 3 * "WAITING_FOR_RESOURCES\n" + 2 * "PROVISIONING\n" + "ACTIVE\n")
    done = launch("tpu", *SLICE, "--", "true", **cloud)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("slice: ")][:-1] == STATES.splitlines()


def test_a_preempted_slice_is_requested_anew_and_the_command_goes_on(cloud, tmp_path):
    # The first host's first session loses the slice: the hosts' files go, and the request is suspended.
    preempt = 'rm "$CLOUD"/slice; echo SUSPENDED >"$CLOUD/request"; rm -rf "$CLOUD"/[01]'
    second = 'case "$PWD" in */1/*) exit ;; esac; [ $(grep -c "resources create" "$CLOUD/asked") = 2 ]'
    command = ["bash", "-c", f'{second} && echo ran >"$CLOUD/again" || {{ {preempt}; }}']
    done = launch("tpu", *SLICE, "--", *command, **cloud)
    assert done.returncode == 0, done.stderr
    assert requests(tmp_path) == 2 and (tmp_path / "again").exists()


def test_a_command_that_saves_on_sigterm_is_run_again(cloud, tmp_path):
    command = ["bash", "-c", 'echo x >>"$HOME/ran"; [ $(wc -l <"$HOME/ran") = 2 ] || exit 143']
    done = launch("tpu", *SLICE, "--", *command, **cloud)
    assert done.returncode == 0, done.stderr
    assert requests(tmp_path) == 1


@pytest.mark.parametrize("delete", [True, False])
def test_a_failure_ends_the_launch_with_its_status_its_log_and_its_files(cloud, tmp_path, delete):
    arguments = [*SLICE, "--fetch=gs://bucket/runs/x", *["--delete"] * delete]
    done = launch("tpu", *arguments, "--", "bash", "-c", "echo broken; exit 7", **cloud)
    assert done.returncode == 7 and "broken" in done.stdout and "failed with status 7" in done.stderr
    assert "storage rsync --recursive gs://bucket/runs/x " in (tmp_path / "asked").read_text()
    assert (tmp_path / "slice").exists() != delete
    by_hand = "gcloud compute tpus queued-resources delete slice --zone=us-central2-b --force"
    stays = f"slice stays, at its cost; this deletes it: {by_hand}\n"
    assert done.stderr.endswith(stays) != delete


def test_a_slice_whose_results_cannot_be_fetched_stays(cloud, tmp_path):
    done = launch("tpu", *SLICE, "--delete", "--fetch=runs/x", "--", "true", **cloud)
    assert done.returncode == 0 and "slice stays" in done.stderr
    assert (tmp_path / "slice").exists()


def test_old_code_does_not_run_where_the_new_cannot_be_copied(cloud, tmp_path):
    assert launch("tpu", *SLICE, "--", "true", **cloud).returncode == 0
    (tmp_path / "unreachable").touch()
    done = launch("tpu", *SLICE, "--", "bash", "-c", 'touch "$CLOUD/ran"', **cloud)
    assert done.returncode == 2 and "slice cannot be reached" in done.stderr
    assert not (tmp_path / "ran").exists()


def wait_until(is_so, seconds=60):
    deadline = time.time() + seconds
    while not is_so():
        assert time.time() < deadline
        time.sleep(0.05)


def test_a_launch_that_is_interrupted_goes_on_where_it_was_and_stop_ends_the_command(cloud, tmp_path):
    saves = 'trap "echo saved >$HOME/saved; exit 143" TERM; echo started >>$HOME/started'
    command = ["bash", "-c", f"{saves}; while true; do sleep 0.1; done"]
    started = [tmp_path / worker / "started" for worker in "01"]

    def attach(log):
        """A launch that follows the command's log."""
        attached = start_launch(log, *SLICE, "--", *command, **cloud)
        wait_until(lambda: all(path.exists() for path in started) and "following" in log.read_text())
        return attached

    first = attach(tmp_path / "first")
    interrupt(first)
    assert "slice stays, at its cost" in (tmp_path / "first").read_text()
    other = launch("tpu", *SLICE, "--", "true", **cloud)
    assert other.returncode == 2 and "runs another command; --stop ends it" in other.stderr
    second = attach(tmp_path / "second")
    stop = launch("tpu", *SLICE, "--stop", **cloud)
    assert stop.returncode == 0
    assert second.wait(timeout=60) == 143
    assert "stays, at its cost" in stop.stderr and "stays, at its cost" in (tmp_path / "second").read_text()
    wait_until(lambda: all((tmp_path / worker / "saved").exists() for worker in "01"))
    assert started[0].read_text() == "started\n"  # the second launch has not started it again


@pytest.mark.parametrize(
    "files, message",
    [
        ({"request": "FAILED", "slice": ""}, "slice FAILED: see gcloud compute tpus queued-resources describe slice"),
        ({"request": "ACTIVE", "slice": ""}, "slice is ACTIVE, but its slice is gone: start that"),
        ({"refusals": "1\n2\n"}, "error: gcloud has no answer on slice: ERROR: PERMISSION_DENIED"),
    ],
)
def test_a_request_that_fails_has_lost_its_slice_or_is_not_answered_is_named(cloud, tmp_path, files, message):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    done = launch("tpu", *SLICE, "--", "true", **cloud | {"LAUNCH_POLL_SECONDS": "0"})
    assert done.returncode == 2 and message in done.stderr and requests(tmp_path) == 0


def test_no_host_runs_old_code_where_one_cannot_be_given_the_new(cloud, tmp_path):
    stub(tmp_path / "bin/ssh", 'case "$4" in *start*) touch "$CLOUD/ran" ;; esac')
    stub(tmp_path / "bin/scp", 'case "$4" in one:*) exit 3 ;; esac')
    done = launch("gpu", "--hosts=one,two", "--", "true", **cloud)
    assert done.returncode == 3 and not (tmp_path / "ran").exists()


def test_several_hosts_without_a_scheduler_run_the_command_each(cloud, tmp_path):
    stub(tmp_path / "bin/ssh", 'mkdir -p "$CLOUD/$3" && cd "$CLOUD/$3" && HOME="$PWD" bash -c "$4"')
    stub(tmp_path / "bin/scp", 'host="${4%%:*}"; mkdir -p "$CLOUD/$host" && cp "$3" "$CLOUD/$host/${4#*:}"')
    command = ["bash", "-c", 'echo "$JAX_COORDINATOR_ADDRESS $JAX_PROCESS_ID/$JAX_NUM_PROCESSES" | tee "$HOME/seen"']
    done = launch("gpu", "--hosts=me@one,two", "--port=99", "--", *command, **cloud)
    assert done.returncode == 0 and "one:99 0/2" in done.stdout, done.stderr
    wait_until(lambda: (tmp_path / "two/seen").exists())
    assert (tmp_path / "two/seen").read_text() == "one:99 1/2\n"


STUDY = "python -m cliptail_jax.study --config=configs/study/quickstart.py --workdir=gs://bucket/runs/study".split()
POOL = ["--name=pool", "--zone=b", "--type=v5e-1"]
# The program that is launched: it lists $RUNS runs, or trains one by $RUN, or reports.
TRAIN = """
case "$*" in
*--launch=print) for run in $(seq "$RUNS"); do echo "python -m cliptail_jax.study --only=seed_0/$run"; done
  echo "python -m cliptail_jax.study --report" ;;
*)
  job="${!#}" && job="${job##*[-/]}" && echo "${CLOUD##*/} $job" >>"$CLOUD/../trained" && eval "$RUN" ;;
esac
"""


@pytest.fixture
def clouds(cloud, tmp_path):
    """Any number of slices, each a folder with a host and the files of `cloud`; the environment that launches there."""
    stub(tmp_path / "bin/gcloud_of_one", GCLOUD)
    of_one = 'name="${5%%:*}"; [ "$4" = scp ] && name="${6%%:*}"; [ "$1" = storage ] || export CLOUD="$CLOUD/$name"'
    stub(tmp_path / "bin/gcloud", f'{of_one} ; mkdir -p "$CLOUD"; exec gcloud_of_one "$@"')
    stub(tmp_path / "bin/python", TRAIN)
    return cloud | {"HOSTS": "0", "RUNS": "2", "RUN": "true"}


def trained(folder):
    """The runs that were trained, and the report, in their order; and the number of slices that trained."""
    slices, jobs = zip(*(line.split() for line in (folder / "trained").read_text().splitlines()), strict=True)
    return list(jobs), len(set(slices))


def test_slices_share_the_runs_of_a_study_write_the_report_once_and_are_deleted(clouds, tmp_path):
    environment = clouds | {"RUNS": "5", "RUN": "echo $job; sleep 0.5"}
    done = launch("tpu", *POOL, "--slices=2", "--price=36000", "--", *STUDY, **environment)
    assert done.returncode == 0, done.stderr
    jobs, slices = trained(tmp_path)
    assert sorted(jobs[:-1]) == list("12345") and jobs[-1] == "report" and slices == 2
    lines = done.stderr.splitlines()
    for name in ("pool-1", "pool-2"):
        assert not (tmp_path / name / "slice").exists()
        states = [line.split(";")[0] for line in lines if line.startswith(name)]
        assert states[:2] == [f"{name}: REQUESTED as v5litepod-1 in b (chips: 1)", f"{name}: ACTIVE READY"]
        assert states.count(f"{name}: ACTIVE READY") == 1 and states[-1] == f"{name}: is being deleted"
    assert re.search(r"^pool-\d: seed_0/2 is done; \$\d+\.\d\d so far$", done.stderr, re.MULTILINE)
    spent = re.fullmatch(r"5 of 5 runs are done; \$(\d+)\.00 so far", lines[-1])
    assert spent and int(spent[1]) >= 10 * 3 * 1  # a second costs $10, and three jobs take more than one each
    assert re.search(r"^pool-\d: 3$", done.stdout, re.MULTILINE)  # the runs' logs


def test_more_slices_than_runs_are_not_requested(clouds, tmp_path):
    done = launch("tpu", *POOL, "--slices=3", "--", *STUDY, **clouds)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "pool-2").exists() and not (tmp_path / "pool-3").exists()


def test_the_run_of_a_preempted_slice_goes_on_and_the_slice_is_requested_again(clouds, tmp_path):
    # The slice that has the second run is lost; the other one is busy until that is there again.
    preempted = """
      if [ "$job" = 2 ] && [ ! -e "$CLOUD/../lost" ]; then
        echo "$CLOUD" >"$CLOUD/../lost"; rm -r "$CLOUD/slice" "$CLOUD/0"; echo SUSPENDED >"$CLOUD/request"; exit 143
      fi
      until [ $(cat "$CLOUD"/../*/asked | grep -c "resources create") = 3 ]; do sleep 0.1; done
    """
    done = launch("tpu", *POOL, "--slices=2", "--", *STUDY, **clouds | {"RUN": preempted})
    assert done.returncode == 0, done.stderr
    lost = Path((tmp_path / "lost").read_text().strip())
    assert requests(lost) == 2 and f"{lost.name}: SUSPENDED (the slice is lost, and is requested again)" in done.stderr
    jobs, _ = trained(tmp_path)
    assert sorted(jobs[:-1]) == list("122") and jobs[-1] == "report"


def test_a_slice_that_does_not_answer_for_a_while_keeps_its_run(clouds, tmp_path):
    silent = 'seq 5 >"$CLOUD/../refusals.$job"; mv "$CLOUD/../refusals.$job" "$CLOUD/refusals"'
    once = f'[ "$job" != 1 ] || [ -e "$CLOUD/refusals" ] || {{ {silent}; }}'
    done = launch("tpu", *POOL, "--slices=1", "--", *STUDY, **clouds | {"RUN": once})
    assert done.returncode == 0 and "pool-1: is lost or does not answer" in done.stderr, done.stderr
    assert trained(tmp_path) == ([*"112", "report"], 1) and requests(tmp_path / "pool-1") == 1


def queue(folder, name, state):
    """A request for the slice will stay in this state."""
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "queue").write_text(f"{state}\n")


def test_a_run_waits_for_no_slice_and_a_request_that_no_run_needs_is_cancelled(clouds, tmp_path):
    queue(tmp_path, "pool-2", "WAITING_FOR_RESOURCES")
    done = launch("tpu", *POOL, "--slices=2", "--", *STUDY, **clouds)
    assert done.returncode == 0, done.stderr
    assert trained(tmp_path) == ([*"12", "report"], 1)
    waiting = "pool-2: WAITING_FOR_RESOURCES (in the queue until there are free chips)"
    assert done.stderr.count(waiting) == 1 and not (tmp_path / "pool-2/request").exists()


def test_a_run_that_fails_is_named_and_the_others_are_done(clouds, tmp_path):
    fails = '[ "$job" != 2 ] || { echo "error: no such head" >&2; exit 2; }'
    done = launch("tpu", *POOL, "--slices=2", "--fetch=gs://bucket/runs/study", "--", *STUDY, **clouds | {"RUN": fails})
    assert done.returncode == 2
    jobs, _ = trained(tmp_path)
    assert sorted(jobs[:-1]) == list("12") and jobs[-1] == "report"
    assert "seed_0/2 failed with status 2: no such head\n" in done.stderr
    assert done.stderr.endswith("error: failed: seed_0/2; the same command line tries again\n1 of 2 runs are done\n")
    assert "--recursive gs://bucket/runs/study runs/study" in (tmp_path / "asked").read_text()


def test_a_request_that_fails_leaves_the_runs_to_the_other_slices(clouds, tmp_path):
    queue(tmp_path, "pool-1", "FAILED")
    done = launch("tpu", *POOL, "--slices=2", "--", *STUDY, **clouds)
    assert done.returncode == 0 and trained(tmp_path) == ([*"12", "report"], 1), done.stderr
    assert "error: pool-1 FAILED: see gcloud compute tpus queued-resources describe pool-1" in done.stderr
    queue(tmp_path, "pool-2", "FAILED")
    done = launch("tpu", *POOL, "--slices=2", "--", *STUDY, **clouds)
    assert done.returncode == 2 and "error: not done: seed_0/1, seed_0/2" in done.stderr
    assert done.stderr.endswith("0 of 2 runs are done\n")


def test_ctrl_c_names_what_costs_money_and_the_same_command_line_goes_on_with_the_runs(clouds, tmp_path):
    queue(tmp_path, "pool-2", "WAITING_FOR_RESOURCES")
    arguments, log = [*POOL, "--slices=2", "--price=1.20", "--", *STUDY], tmp_path / "log"
    waits = clouds | {"RUN": 'while [ ! -e "$CLOUD/../go" ]; do sleep 0.1; done'}
    first = start_launch(log, *arguments, **waits)
    wait_until(lambda: (tmp_path / "trained").exists() and "pool-2: WAITING" in log.read_text())
    interrupt(first)
    *_, said, there, requested = log.read_text().splitlines()
    assert re.fullmatch(r"interrupted; what runs .* goes on, and the same command line .*; \$0\.\d\d so far", said)
    delete = "gcloud compute tpus queued-resources delete {} --zone=b --force".format
    assert there == f"pool-1 stays, at its cost; this deletes it: {delete('pool-1')}"
    assert requested == f"pool-2 stays requested, and costs money once it is there; this cancels it: {delete('pool-2')}"
    again = start_launch(log, *arguments, **waits)
    wait_until(lambda: (tmp_path / "pool-1/asked").read_text().count("host.sh follow") == 2)
    (tmp_path / "go").touch()
    assert again.wait(timeout=120) == 0, log.read_text()
    assert trained(tmp_path) == ([*"12", "report"], 1)  # the first one is not started again


def test_stop_ends_the_runs_of_all_slices_and_the_launch_leaves_them(clouds, tmp_path):
    saves = clouds | {"RUN": 'trap "exit 143" TERM; while true; do sleep 0.1; done'}
    pool = start_launch(tmp_path / "log", *POOL, "--slices=2", "--", *STUDY, **saves)
    wait_until(lambda: (tmp_path / "trained").exists() and trained(tmp_path)[1] == 2)
    assert launch("tpu", *POOL, "--slices=2", "--stop", **clouds).returncode == 0
    assert pool.wait(timeout=60) == 2
    said = (tmp_path / "log").read_text()
    assert "error: not done: seed_0/1, seed_0/2" in said
    for name in ("pool-1", "pool-2"):
        assert f"{name} stays, at its cost" in said and (tmp_path / name / "slice").exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--slices=2", "--", *COMMAND], "--slices=2 is for the runs of a study: .*"),
        (["--slices=x", "--", *STUDY], "--slices=x is no number: give one, as --slices=8"),
        (["--slices=2", "--", *STUDY[:-1], "--workdir=a"], "--slices=2 needs .* as --workdir=gs://BUCKET/runs/x"),
        (["--slices=2", "--fetch=runs/x", "--", *STUDY], "--fetch=runs/x: with --slices, give it as gs://BUCKET/x"),
        (["--price=cheap", "--", "true"], "--price=cheap is no number: .* --price=1.20"),
    ],
)
def test_what_a_pool_cannot_do_is_named(clouds, arguments, message):
    done = launch("tpu", *POOL, *arguments, **clouds)
    assert done.returncode == 2 and re.fullmatch(f"error: {message}\n", done.stderr), done.stderr


def test_a_dry_run_of_a_pool_prints_a_slices_commands_and_all_runs(cloud):
    """As the study itself lists them."""
    done = launch("tpu", "--dry_run", *POOL, "--slices=2", "--", *STUDY, **cloud)
    assert done.returncode == 0, done.stderr
    lines, study = done.stdout.splitlines(), shlex.join(STUDY)
    commands = [shlex.split(line) for line in lines if not line.startswith("#")]
    create = ["gcloud", "compute", "tpus", "queued-resources", "create", "pool-1"]
    assert sum(words[:6] == create for words in commands) == 1
    (start,) = [words[-1] for words in commands if "host.sh start" in words[-1]]
    assert start.startswith(f"--command=bash cliptail_jax/scripts/launch/host.sh start tpu {study} --only=seed_")
    assert "# on each of the slices pool-1 pool-2, as here on the first" in lines
    *others, report = [line for line in lines if line.startswith(f"#   {study}")]
    assert len(others) == 5 and all("--only=seed_" in line for line in others) and report == f"#   {study} --report"


def test_the_studys_own_mistakes_are_found_before_a_slice_is_requested(cloud, tmp_path):
    command = [*STUDY[:3], "--config=configs/study/nix.py", STUDY[-1]]
    done = launch("tpu", *POOL, "--slices=2", "--", *command, **cloud)
    assert done.returncode == 2 and not (tmp_path / "asked").exists()
    assert re.fullmatch("error: config file 'configs/study/nix.py' does not exist; .*\n", done.stderr), done.stderr
