"""The commands of a dry run, and arguments that the launch scripts refuse."""

import math
import os
import re
import shlex
import subprocess

import pytest

from cliptail_jax.planning.topologies import find_topology
from tests.launch.hosts import COMMAND, POOL, SLICE, STUDY, launch, stub

pytestmark = pytest.mark.program


def dry_run(script, *arguments):
    """The commands that would run, each as the list of its words."""
    output = launch(script, "--dry_run", *arguments).stdout
    return [shlex.split(line) for line in output.splitlines() if not line.startswith("#")]


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
    result = dry_run("tpu", *SLICE, "--spot", "--fetch=runs/x", "--delete", "--", "python", "-m", "x")
    expected = ON_TPUS.replace("ARCHIVE", result[5][3])
    expected = expected.replace("SSH", "gcloud compute tpus tpu-vm ssh slice --zone=us-central2-b")
    assert [" ".join(words) for words in result] == expected.strip().splitlines()


def test_project_image_and_a_bucket_to_fetch_are_passed_on():
    arguments = ["--project=mine", "--version=special", "--fetch=gs://bucket/runs/x/", "--", "true"]
    result = dry_run("tpu", *SLICE, *arguments)
    assert all("--project=mine" in words for words in result if words[:3] == ["gcloud", "compute", "tpus"])
    assert "--runtime-version=special" in result[3] and "--spot" not in result[3]
    assert result[-1] == ["gcloud", "storage", "rsync", "--recursive", "gs://bucket/runs/x", "runs/x"]


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
    output = launch("tpu", "--dry_run", "--name=a", "--zone=b", f"--type={name}", "--", "true").stdout
    assert f" --accelerator-type={requested} --runtime-version={image}\n" in output
    topology = find_topology(name)
    assert topology == find_topology(requested)
    assert f"# a: REQUESTED as {requested} in b (chips: {math.prod(topology.shape)})\n" in output


def test_a_job_of_slurms_has_one_task_a_node_and_goes_back_into_the_queue_when_stopped(tmp_path):
    *_, job = dry_run(
        "gpu",
        "--slurm",
        "--nodes=2",
        "--gpus=8",
        "--sbatch=--time=1-0",
        "--sbatch=-p a",
        "--",
        *COMMAND,
        "--config.title=Größe",
        "\ta",
    )
    assert {"--nodes=2", "--ntasks-per-node=1", "--gpus-per-node=8", "--requeue", "--time=1-0", "-p a"} <= set(job)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/activate").touch()
    stub(tmp_path / "srun", 'for word; do echo "$word"; done >words; exit "$CODE"')
    stub(tmp_path / "scontrol", 'echo "$@" >>requeued')
    for code in (0, 1, 143):
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", "CODE": str(code)}
        wrapped = ["sh", "-c", job[-1].removeprefix("--wrap=")]  # as sbatch runs it
        assert subprocess.run(wrapped, cwd=tmp_path, env=environment).returncode == code
        words = (tmp_path / "words").read_text(encoding="utf-8").split("\n")
        assert words == ["--kill-on-bad-exit=1", *COMMAND, "--config.title=Größe", "\ta", ""]
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
        ("tpu", ["--name=a", "--zone=b", "--type=v5e-3", "--", "true"], "no slice of 3 chips, only of 1, 4, 8, "),
        ("tpu", ["--name=a", "--zone=b", "--type=v4-12", "--", "true"], "numbers of v4 are multiples of 8"),
        (
            "tpu",
            [*SLICE, "--", "train", f"{__file__}:a=b"],
            f"{__file__}: .* name it as configs/test_launch_commands.py",
        ),
        (
            "tpu",
            [*SLICE, "--", "train", "--config=tests/conftest.py"],
            "tests/conftest.py: the hosts do not have this file",
        ),
        ("tpu", [*SLICE, "--", "train", "--workdir=runs/x"], "--workdir=runs/x: .* --workdir=gs://BUCKET/runs/x"),
        ("tpu", [*SLICE, "--fetch=/runs/x", "--", "true"], "--fetch=/runs/x: give it relative"),
        ("tpu", [*POOL, "--slices=2", "--", *COMMAND], "--slices=2 is for the runs of a study: "),
        ("tpu", [*POOL, "--slices=x", "--", *STUDY], "--slices=x is no number: give one, as --slices=8"),
        ("tpu", [*POOL, "--slices=2", "--", *STUDY[:-1], "--workdir=a"], "needs .* as --workdir=gs://BUCKET/runs/x"),
        ("tpu", [*POOL, "--slices=2", "--fetch=runs/x", "--", *STUDY], "with --slices, give it as gs://BUCKET/x"),
        ("tpu", [*POOL, "--price=cheap", "--", "true"], "--price=cheap is no number: .* --price=1.20"),
        ("gpu", ["--hosts=,", "--", "true"], "--hosts has an empty name"),
        ("gpu", ["--slurm", "--hosts=a", "--", "true"], "--hosts and --slurm exclude each other"),
        ("gpu", ["--slurm", "--", "true"], "--gpus is missing"),
        ("gpu", ["--slurm", "--gpus=x", "--", "true"], "'x' is no number"),
        ("gpu", ["--nodes=2", "--", "true"], "belong to --slurm"),
        ("gpu", ["--stop"], "--stop needs --hosts"),
    ],
)
def test_a_wrong_argument_of_a_launch_script_is_named(script, arguments, message):
    result = launch(script, *arguments, status=2, PATH="/usr/bin:/bin")
    assert re.fullmatch(f"error: .*{message}.*\n", result.stderr), result.stderr


def test_a_dry_run_of_a_pool_prints_a_slices_commands_and_all_runs(cloud):
    """As the study itself lists them."""
    output = launch("tpu", "--dry_run", *POOL, "--slices=2", "--", *STUDY, **cloud).stdout
    lines, study = output.splitlines(), shlex.join(STUDY)
    commands = [shlex.split(line) for line in lines if not line.startswith("#")]
    create = ["gcloud", "compute", "tpus", "queued-resources", "create", "pool-1"]
    assert sum(words[:6] == create for words in commands) == 1
    (start,) = [words[-1] for words in commands if "host.sh start" in words[-1]]
    assert start.startswith(f"--command=bash cliptail_jax/scripts/launch/host.sh start tpu {study} --only=seed_")
    assert "# on each of the slices pool-1 pool-2, as here on the first" in lines
    *run_lines, report = [line for line in lines if line.startswith(f"#   {study}")]
    assert (
        len(run_lines) == 7 and all("--only=seed_" in line for line in run_lines) and report == f"#   {study} --report"
    )


def test_the_studys_own_mistakes_are_found_before_a_slice_is_requested(cloud, tmp_path):
    command = [*STUDY[:2], "configs/study/nix.py", STUDY[-1]]
    result = launch("tpu", *POOL, "--slices=2", "--", *command, status=2, **cloud)
    assert not (tmp_path / "asked").exists()
    assert re.fullmatch("error: config file 'configs/study/nix.py' does not exist; .*\n", result.stderr), result.stderr
