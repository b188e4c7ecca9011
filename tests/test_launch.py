"""The launch scripts: the commands of a dry run, what they refuse, and whole launches on hosts that are folders."""

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
    assert find_topology(name) == find_topology(requested)


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
ready() { echo READY >"$CLOUD/slice"; echo ACTIVE >"$CLOUD/request"; mkdir -p "$CLOUD"/{0,1}; }
worker=; command=
for argument; do
  case "$argument" in --worker=*) worker="${argument#*=}" ;; --command=*) command="${argument#*=}" ;; esac
done
[ "$worker" != all ] && workers="$worker" || workers="0 1"
case "$3 $4" in
"tpu-vm describe") cat "$CLOUD/slice" ;;
"queued-resources describe") # each line of the file is a state, the last of which stays
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
    return folders | {"PYTHON": "python3", "LAUNCH_POLL_SECONDS": "0.1"}


def requests(folder):
    return (folder / "asked").read_text().count("compute tpus queued-resources create")


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


WAITING = """\
CREATING: the request for slice is received.
WAITING_FOR_RESOURCES: the request for slice waits in the queue until there are free chips.
PROVISIONING: the request for slice is being fulfilled.
"""


def test_a_request_that_waits_is_named_once_a_state_with_the_command_that_cancels_it(cloud, tmp_path):
    (tmp_path / "queue").write_text("CREATING\n" + 3 * "WAITING_FOR_RESOURCES\n" + 2 * "PROVISIONING\n" + "ACTIVE\n")
    done = launch("tpu", *SLICE, "--", "true", **cloud)
    assert done.returncode == 0, done.stderr
    cancel = (
        "This cancels it, which interrupting this script does not: gcloud compute tpus queued-resources delete slice"
    )
    expected = [f"{line} {cancel} --zone=us-central2-b --force" for line in WAITING.splitlines()]
    assert [line for line in done.stderr.splitlines() if "cancels" in line] == expected


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
    stays = f"the slice slice stays, at its cost; this deletes it: {by_hand}\n"
    assert done.stderr.endswith(stays) != delete


def test_a_slice_whose_results_cannot_be_fetched_stays(cloud, tmp_path):
    done = launch("tpu", *SLICE, "--delete", "--fetch=runs/x", "--", "true", **cloud)
    assert done.returncode == 0 and "the slice slice stays" in done.stderr
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
    saves = (
        'trap "echo saved >$HOME/saved; exit 143" TERM; echo started >>$HOME/started; while true; do sleep 0.1; done'
    )
    command = [SCRIPTS / "launch_tpu.sh", *SLICE, "--", "bash", "-c", saves]
    started = [tmp_path / worker / "started" for worker in "01"]

    def attach(log):
        """A launch that follows the command's log; its own messages are in the file `log`."""
        with log.open("wb") as stderr:
            attached = subprocess.Popen(
                ["env", "--default-signal=INT", *command],  # it is ignored if the tests are in the background
                env={**os.environ, **cloud},
                start_new_session=True,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )
        wait_until(lambda: all(path.exists() for path in started) and "following" in log.read_text())
        return attached

    first = attach(tmp_path / "first")
    os.killpg(first.pid, signal.SIGINT)
    assert first.wait(timeout=60) != 0
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
    "state, message",
    [
        ("FAILED", "the request for slice has failed: see gcloud compute tpus queued-resources describe slice"),
        ("ACTIVE", "slice is ACTIVE, but its slice is gone: start that"),
    ],
)
def test_a_request_that_fails_or_has_lost_its_slice_is_named(cloud, tmp_path, state, message):
    (tmp_path / "request").write_text(state)
    (tmp_path / "slice").touch()
    done = launch("tpu", *SLICE, "--", "true", **cloud | {"LAUNCH_POLL_SECONDS": "0"})
    assert done.returncode == 2 and message in done.stderr


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
