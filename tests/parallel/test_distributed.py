"""Which processes join which run: by the three variables, by SLURM, and on the hosts of a TPU slice."""

import io
import os
import types

import jax
import pytest

from cliptail_jax.host.errors import UserError
from cliptail_jax.parallel import distributed


@pytest.fixture
def joins(monkeypatch):
    """The arguments that JAX is asked to join with, on a machine without a TPU and with no variable set."""
    for name in list(os.environ):
        if name.startswith(("SLURM_", "TPU_", "JAX_COORDINATOR", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")):
            monkeypatch.delenv(name)
    calls = []
    jax = types.SimpleNamespace(
        config=types.SimpleNamespace(jax_platforms=None),
        distributed=types.SimpleNamespace(
            initialize=lambda *args, **options: calls.append((args, options)), is_initialized=lambda: False
        ),
    )
    monkeypatch.setattr(distributed, "jax", jax)
    return calls


@pytest.fixture
def on_tpu(joins, monkeypatch):
    """As JAX says that it has found a TPU."""
    monkeypatch.setattr(distributed.jax.config, "jax_platforms", "tpu,cpu")


@pytest.fixture
def metadata(monkeypatch):
    """What Google Cloud's metadata server, by its attribute, answers."""
    answers = {}

    def urlopen(request, timeout):
        place, _, name = request.full_url.rpartition("/")
        is_known = place == "http://metadata.google.internal/computeMetadata/v1/instance/attributes"
        if not is_known or name not in answers or request.headers != {"Metadata-flavor": "Google"}:
            raise OSError("HTTP Error 404: Not Found")
        return io.BytesIO(answers[name].encode())

    monkeypatch.setattr(distributed.urllib.request, "urlopen", urlopen)
    return answers


def set_all(monkeypatch, **variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))


def test_the_three_variables_come_before_all_else(joins, monkeypatch):
    set_all(monkeypatch, JAX_COORDINATOR_ADDRESS="a:1", JAX_NUM_PROCESSES=3, JAX_PROCESS_ID=2, SLURM_STEP_NUM_TASKS=9)
    distributed.initialize()
    assert joins == [(("a:1", 3, 2), {"cluster_detection_method": "deactivate"})]


def test_a_program_that_another_continues_joins_once(joins, monkeypatch):
    set_all(monkeypatch, JAX_COORDINATOR_ADDRESS="a:1", JAX_NUM_PROCESSES=3, JAX_PROCESS_ID=2)
    monkeypatch.setattr(distributed.jax.distributed, "is_initialized", lambda: True)
    distributed.initialize()
    assert joins == []


@pytest.mark.parametrize("address, processes, process", [("a", 2, 0), ("a:1", 2, ""), ("a:1", 2, 2), ("a:1", "two", 0)])
def test_variables_that_describe_no_process_are_named(joins, monkeypatch, address, processes, process):
    set_all(monkeypatch, JAX_COORDINATOR_ADDRESS=address, JAX_NUM_PROCESSES=processes, JAX_PROCESS_ID=process)
    with pytest.raises(UserError, match=f"JAX_NUM_PROCESSES='{processes}'.*needs the address as HOST:PORT"):
        distributed.initialize()
    assert joins == []


def test_the_tasks_of_an_srun_join_and_one_that_has_its_node_alone_takes_all_gpus(joins, monkeypatch):
    set_all(monkeypatch, SLURM_STEP_NUM_TASKS=2, SLURM_STEP_NUM_NODES=2, SLURM_GPUS_ON_NODE=4)
    distributed.initialize()
    set_all(monkeypatch, SLURM_STEP_NUM_TASKS=8)
    distributed.initialize()  # JAX then takes the GPU of the task's number
    assert [options for _, options in joins] == [
        {"num_processes": 2, "local_device_ids": [0, 1, 2, 3]},
        {"num_processes": 8, "local_device_ids": None},
    ]


@pytest.mark.parametrize(
    "variables", [{}, {"SLURM_NTASKS": 8, "SLURM_STEP_NUM_TASKS": 1}, {"SLURM_NTASKS": 8}]
)  # nothing, a single task, a shell in a larger job
def test_a_process_without_others_does_not_join(joins, monkeypatch, variables):
    set_all(monkeypatch, **variables)
    distributed.initialize()
    assert joins == []


@pytest.mark.parametrize(
    "endpoints, names, hosts",
    [
        ("10.0.0.1", None, 1),
        ("unknown:a:10.0.0.1,unknown:b:10.0.0.2", None, 2),
        (None, "localhost", 1),  # Kubernetes lists the hosts itself
        (None, "a,b,c", 3),
    ],
)
def test_the_hosts_of_a_tpu_slice_join(joins, on_tpu, metadata, monkeypatch, endpoints, names, hosts):
    if endpoints:
        metadata["worker-network-endpoints"] = endpoints
    if names:
        set_all(monkeypatch, TPU_WORKER_HOSTNAMES=names)
    assert distributed.tpu_hosts() == hosts
    distributed.initialize()
    assert joins == [((), {})] * (hosts > 1)


def test_a_tpu_whose_slice_nobody_knows_is_an_error_that_says_what_to_set(joins, on_tpu, metadata, monkeypatch):
    monkeypatch.setattr(distributed.time, "sleep", lambda seconds: None)
    with pytest.raises(UserError, match="does not report how many hosts.*404.*TPU_SKIP_MDS_QUERY=1"):
        distributed.initialize()
    monkeypatch.setenv("TPU_SKIP_MDS_QUERY", "1")
    distributed.initialize()
    assert joins == []


def test_on_a_tpu_a_program_told_to_use_the_cpu_asks_nobody(joins, monkeypatch):
    monkeypatch.setattr(distributed.jax.config, "jax_platforms", "cpu")
    assert distributed.tpu_hosts() == 1


@pytest.mark.parametrize("kind", [jax.errors.JaxRuntimeError, ValueError])  # jax raises either, by when it notices
def test_a_collective_that_fails_ends_the_process_in_a_line(kind, monkeypatch):
    exits = []
    monkeypatch.setattr(distributed, "end_at_once", lambda *line_and_status: exits.append(line_and_status))
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with distributed.exit_if_peer_lost():
        raise kind("UNKNOWN: Gloo AllGather failed: Connection reset by peer\nmore")
    ((line, status),) = exits
    assert status == 2 and line.startswith("error: another process of the run has ended") and "\n" not in line
    with pytest.raises(kind, match="shapes"), distributed.exit_if_peer_lost():
        raise kind("incompatible shapes")
