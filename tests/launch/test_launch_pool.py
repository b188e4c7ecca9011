"""Studies on several slices."""

import re
from pathlib import Path

import pytest

from tests.launch.hosts import POOL, STUDY, interrupt, launch, requests, start_launch, wait_until

pytestmark = pytest.mark.program


def trained(folder):
    """The runs that were trained, and the report, in their order; and the number of slices that trained."""
    lines = [line.split() for line in (folder / "trained").read_text().splitlines()]
    return [job for _, job in lines], len({name for name, _ in lines})


def test_slices_share_the_runs_of_a_study_write_the_report_once_and_are_deleted(clouds, tmp_path):
    environment = clouds | {"RUNS": "5", "RUN": "echo $job; sleep 0.5"}
    result = launch("tpu", *POOL, "--slices=2", "--price=36000", "--", *STUDY, **environment)
    jobs, slices = trained(tmp_path)
    assert sorted(jobs[:-1]) == list("12345") and jobs[-1] == "report" and slices == 2
    lines = result.stderr.splitlines()
    for name in ("pool-1", "pool-2"):
        assert not (tmp_path / name / "slice").exists()
        states = [line.split(";")[0] for line in lines if line.startswith(name)]
        assert states[:2] == [f"{name}: REQUESTED as v5litepod-1 in b (chips: 1)", f"{name}: ACTIVE READY"]
        assert states.count(f"{name}: ACTIVE READY") == 1 and states[-1] == f"{name}: is being deleted"
    assert re.search(r"^pool-\d: seed_0/2 is done; \$\d+\.\d\d so far$", result.stderr, re.MULTILINE)
    spent = re.fullmatch(r"5 of 5 runs are done; \$(\d+)\.00 so far", lines[-1])
    assert spent and int(spent[1]) >= 10 * 3 * 1  # a second costs $10, and three jobs take more than one each
    assert re.search(r"^pool-\d: 3$", result.stdout, re.MULTILINE)  # the runs' logs


def test_the_run_of_a_preempted_slice_goes_on_and_the_slice_is_requested_again(clouds, tmp_path):
    # The slice that has the second run is lost; the other one is busy until that is there again.
    preempted = """
      if [ "$job" = 2 ] && [ ! -e "$CLOUD/../lost" ]; then
        echo "$CLOUD" >"$CLOUD/../lost"; rm -r "$CLOUD/slice" "$CLOUD/0"; echo SUSPENDED >"$CLOUD/request"; exit 143
      fi
      until [ $(cat "$CLOUD"/../*/asked | grep -c "resources create") = 3 ]; do sleep 0.1; done
    """
    result = launch("tpu", *POOL, "--slices=2", "--", *STUDY, **clouds | {"RUN": preempted})
    lost = Path((tmp_path / "lost").read_text().strip())
    assert (
        requests(lost) == 2 and f"{lost.name}: SUSPENDED (the slice is lost, and is requested again)" in result.stderr
    )
    jobs, _ = trained(tmp_path)
    assert sorted(jobs[:-1]) == list("122") and jobs[-1] == "report"


def test_a_slice_that_does_not_answer_for_a_while_keeps_its_run(clouds, tmp_path):
    silent = 'seq 5 >"$CLOUD/../refusals.$job"; mv "$CLOUD/../refusals.$job" "$CLOUD/refusals"'
    once = f'[ "$job" != 1 ] || [ -e "$CLOUD/refusals" ] || {{ {silent}; }}'
    result = launch("tpu", *POOL, "--slices=1", "--", *STUDY, **clouds | {"RUN": once})
    assert "pool-1: is lost or does not answer" in result.stderr
    assert trained(tmp_path) == ([*"112", "report"], 1) and requests(tmp_path / "pool-1") == 1


def queue(folder, name, state):
    """A request for the slice will stay in this state."""
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "queue").write_text(f"{state}\n")


def test_a_run_waits_for_no_slice_and_a_request_that_no_run_needs_is_cancelled_or_not_made(clouds, tmp_path):
    queue(tmp_path, "pool-2", "WAITING_FOR_RESOURCES")
    result = launch("tpu", *POOL, "--slices=3", "--", *STUDY, **clouds)
    assert trained(tmp_path) == ([*"12", "report"], 1)
    waiting = "pool-2: WAITING_FOR_RESOURCES (in the queue until there are free chips)"
    assert result.stderr.count(waiting) == 1 and not (tmp_path / "pool-2/request").exists()
    assert not (tmp_path / "pool-3").exists()  # there are two runs


def test_a_run_that_fails_is_named_and_the_others_are_done(clouds, tmp_path):
    fails = '[ "$job" != 2 ] || { echo "error: no such head" >&2; exit 2; }'
    arguments = [*POOL, "--slices=2", "--fetch=gs://bucket/runs/study", "--", *STUDY]
    result = launch("tpu", *arguments, status=2, **clouds | {"RUN": fails})
    jobs, _ = trained(tmp_path)
    assert sorted(jobs[:-1]) == list("12") and jobs[-1] == "report"
    assert "seed_0/2 failed with status 2: no such head\n" in result.stderr
    assert result.stderr.endswith("error: failed: seed_0/2; the same command line tries again\n1 of 2 runs are done\n")
    assert "--recursive gs://bucket/runs/study runs/study" in (tmp_path / "asked").read_text()


def test_a_request_that_fails_leaves_the_runs_to_the_other_slices(clouds, tmp_path):
    queue(tmp_path, "pool-1", "FAILED")
    result = launch("tpu", *POOL, "--slices=2", "--", *STUDY, **clouds)
    assert trained(tmp_path) == ([*"12", "report"], 1)
    assert "error: pool-1 FAILED: see gcloud compute tpus queued-resources describe pool-1" in result.stderr
    queue(tmp_path, "pool-2", "FAILED")
    result = launch("tpu", *POOL, "--slices=2", "--", *STUDY, status=2, **clouds)
    assert "error: not done: seed_0/1, seed_0/2" in result.stderr
    assert result.stderr.endswith("0 of 2 runs are done\n")


def test_ctrl_c_names_what_costs_money_and_the_same_command_line_goes_on_with_the_runs(clouds, tmp_path):
    queue(tmp_path, "pool-2", "WAITING_FOR_RESOURCES")
    arguments, log = [*POOL, "--slices=2", "--price=1.20", "--", *STUDY], tmp_path / "log"
    waits = clouds | {"RUN": 'while [ ! -e "$CLOUD/../go" ]; do sleep 0.1; done'}
    first = start_launch(log, *arguments, **waits)
    wait_until(lambda: (tmp_path / "trained").exists() and "pool-2: WAITING" in log.read_text())
    interrupt(first)
    *_, said, note, requested = log.read_text().splitlines()
    assert re.fullmatch(r"interrupted; what runs .* goes on, and the same command line .*; \$0\.\d\d so far", said)
    delete = "gcloud compute tpus queued-resources delete {} --zone=b --force".format
    assert note == f"pool-1 stays, at its cost; this deletes it: {delete('pool-1')}"
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
    launch("tpu", *POOL, "--slices=2", "--stop", **clouds)
    assert pool.wait(timeout=60) == 2
    said = (tmp_path / "log").read_text()
    assert "error: not done: seed_0/1, seed_0/2" in said
    for name in ("pool-1", "pool-2"):
        assert f"{name} stays, at its cost" in said and (tmp_path / name / "slice").exists()
