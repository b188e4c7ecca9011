"""Launches on one slice, and on several hosts without a scheduler."""

import subprocess

import pytest

from tests.launch.hosts import SLICE, interrupt, launch, requests, start_launch, stub, wait_until

pytestmark = pytest.mark.program


def test_a_launch_requests_a_slice_runs_on_all_hosts_shows_the_log_and_cleans_up(cloud, tmp_path):
    command = ["bash", "-c", 'echo "$1, $PWD"; pwd >>"$CLOUD/ran"', "-", "it's $HOME"]
    result = launch("tpu", *SLICE, "--delete", "--", *command, **cloud)
    assert f"it's $HOME, {tmp_path}/0/cliptail_jax\n" in result.stdout  # the first host's output
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
    result = launch("tpu", *SLICE, "--", "true", **cloud)
    assert [line for line in result.stderr.splitlines() if line.startswith("slice: ")][:-1] == STATES.splitlines()


def test_a_preempted_slice_is_requested_anew_and_the_command_goes_on(cloud, tmp_path):
    # The first host's first session loses the slice: the hosts' files go, and the request is suspended.
    preempt = 'rm "$CLOUD"/slice; echo SUSPENDED >"$CLOUD/request"; rm -rf "$CLOUD"/[01]'
    second = 'case "$PWD" in */1/*) exit ;; esac; [ $(grep -c "resources create" "$CLOUD/asked") = 2 ]'
    command = ["bash", "-c", f'{second} && echo ran >"$CLOUD/again" || {{ {preempt}; }}']
    launch("tpu", *SLICE, "--", *command, **cloud)
    assert requests(tmp_path) == 2 and (tmp_path / "again").exists()


def test_a_command_that_saves_on_sigterm_is_run_again(cloud, tmp_path):
    command = ["bash", "-c", 'echo x >>"$HOME/ran"; [ $(wc -l <"$HOME/ran") = 2 ] || exit 143']
    launch("tpu", *SLICE, "--", *command, **cloud)
    assert requests(tmp_path) == 1


@pytest.mark.parametrize("delete", [True, False])
def test_a_failure_ends_the_launch_with_its_status_its_log_and_its_files(cloud, tmp_path, delete):
    arguments = [*SLICE, "--fetch=gs://bucket/runs/x", *["--delete"] * delete]
    result = launch("tpu", *arguments, "--", "bash", "-c", "echo broken; exit 7", status=7, **cloud)
    assert "broken" in result.stdout and "failed with status 7" in result.stderr
    assert "storage rsync --recursive gs://bucket/runs/x " in (tmp_path / "asked").read_text()
    assert (tmp_path / "slice").exists() != delete
    by_hand = "gcloud compute tpus queued-resources delete slice --zone=us-central2-b --force"
    stays = f"slice stays, at its cost; this deletes it: {by_hand}\n"
    assert result.stderr.endswith(stays) != delete


def test_a_slice_whose_results_cannot_be_fetched_stays(cloud, tmp_path):
    result = launch("tpu", *SLICE, "--delete", "--fetch=runs/x", "--", "true", **cloud)
    assert "slice stays" in result.stderr and (tmp_path / "slice").exists()


def test_old_code_does_not_run_where_the_new_cannot_be_copied(cloud, tmp_path):
    launch("tpu", *SLICE, "--", "true", **cloud)
    (tmp_path / "unreachable").touch()
    result = launch("tpu", *SLICE, "--", "bash", "-c", 'touch "$CLOUD/ran"', status=2, **cloud)
    assert "slice cannot be reached" in result.stderr and not (tmp_path / "ran").exists()


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
    other = launch("tpu", *SLICE, "--", "true", status=2, **cloud)
    assert "runs another command; --stop ends it" in other.stderr
    second = attach(tmp_path / "second")
    stop = launch("tpu", *SLICE, "--stop", **cloud)
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
    result = launch("tpu", *SLICE, "--", "true", status=2, **cloud | {"LAUNCH_POLL_SECONDS": "0"})
    assert message in result.stderr and requests(tmp_path) == 0


def test_no_host_runs_old_code_where_one_cannot_be_given_the_new(cloud, tmp_path):
    stub(tmp_path / "bin/ssh", 'case "$4" in *start*) touch "$CLOUD/ran" ;; esac')
    stub(tmp_path / "bin/scp", 'case "$4" in one:*) exit 3 ;; esac')
    launch("gpu", "--hosts=one,two", "--", "true", status=3, **cloud)
    assert not (tmp_path / "ran").exists()


def test_several_hosts_without_a_scheduler_run_the_command_each(cloud, tmp_path):
    stub(tmp_path / "bin/ssh", 'mkdir -p "$CLOUD/$3" && cd "$CLOUD/$3" && HOME="$PWD" bash -c "$4"')
    stub(tmp_path / "bin/scp", 'host="${4%%:*}"; mkdir -p "$CLOUD/$host" && cp "$3" "$CLOUD/$host/${4#*:}"')
    command = ["bash", "-c", 'echo "$JAX_COORDINATOR_ADDRESS $JAX_PROCESS_ID/$JAX_NUM_PROCESSES" | tee "$HOME/seen"']
    result = launch("gpu", "--hosts=me@one,two", "--port=99", "--", *command, **cloud)
    assert "one:99 0/2" in result.stdout
    wait_until(lambda: (tmp_path / "two/seen").exists())
    assert (tmp_path / "two/seen").read_text() == "one:99 1/2\n"
    state = next((tmp_path / "two/.cliptail_jax").iterdir())
    with subprocess.Popen(["bash", "-c", "exec -a 'bash scripts/launch/host.sh attend' sleep 100"]) as other:
        (state / "pid").write_text(f"{other.pid}\n")
        result = launch("gpu", "--hosts=me@one,two", "--port=99", "--", "true", **cloud, status=2)
        other.kill()
    assert "error: two runs another command; --stop ends it" in result.stderr
