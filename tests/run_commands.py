"""Small runs as command lines: starting them, waiting for what they do, and ending them."""

import contextlib
import functools
import signal
import socket
import sys
import time
from pathlib import Path

from cliptail_jax.config.fields import flatten
from configs import sup
from tests.forked_programs import ForkServer, with_devices
from tests.saved_state import losses
from tests.tiny_runs import tiny

STOPPED = 128 + signal.SIGTERM


def run_config(family, glyphs_dir, **more):
    """The config of a small run of three steps an epoch, with `more` fields, whose names have __ for a dot."""
    config = tiny(family, glyphs_dir)
    config.update_from_flattened_dict({key.replace("__", "."): value for key, value in more.items()})
    return config


def command(workdir, glyphs_dir, family=sup, **more):
    """The command line of such a run."""
    name = family.__name__.rpartition(".")[2]
    before = dict(flatten(family.get_config("data=glyphs_lt")))
    changed = [(key, value) for key, value in flatten(run_config(family, glyphs_dir, **more)) if value != before[key]]
    program = [sys.executable, "-m", "cliptail_jax", "train", f"configs/{name}.py:data=glyphs_lt"]
    return [*program, f"--workdir={workdir}", *(f"--config.{key}={value}" for key, value in changed)]


@functools.cache
def training_programs() -> ForkServer:
    """The process of which all tests fork programs that train. The last two, programs import when they need them."""
    return ForkServer(
        ["cliptail_jax.jobs.train", "cliptail_jax.jobs.evaluate", "tests.study.train_three", "pandas", "scipy.stats"]
    )


def start(arguments, stderr="", limit=0, **environment):
    """A fork with one device and these variables, of the program in a command line; see `ForkServer.start`."""
    _, _, program, *flags = arguments
    return training_programs().start(program, flags, {"XLA_FLAGS": with_devices(1), **environment}, stderr, limit)


def start_pair(arguments, first={}, second={}, by_slurm=False):
    """Two processes of one device each, with environment variables of their own, which join by JAX's variables or SLURM's."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    if by_slurm:
        step = {"JOB_ID": "1", "NTASKS": "2", "STEP_NUM_TASKS": "2", "STEP_NUM_NODES": "1"}
        step["STEP_NODELIST"] = "localhost"
        joined = {f"SLURM_{name}": value for name, value in step.items()} | {"JAX_COORDINATOR_PORT": port}
        numbers = ("SLURM_PROCID", "SLURM_LOCALID")
    else:
        joined = {"JAX_COORDINATOR_ADDRESS": f"localhost:{port}", "JAX_NUM_PROCESSES": "2"}
        numbers = ("JAX_PROCESS_ID",)
    return [
        start(arguments, **joined, **dict.fromkeys(numbers, str(number)), **more)
        for number, more in enumerate((first, second))
    ]


def wait_until(condition, process):
    deadline = time.time() + 120
    while not condition():
        assert process.poll() is None and time.time() < deadline, process.errors()
        time.sleep(0.02)


def wait_for_step(step, workdir, process):
    wait_until(lambda: len(losses(workdir)) >= step, process)


def wait_for_checkpoint(workdir, process):
    """Wait for one more checkpoint than there is."""

    def newest():
        manifests = (workdir / "checkpoints").glob("*.sha256.json")
        return max((int(path.name.partition(".")[0]) for path in manifests), default=0)

    saved = newest()
    wait_until(lambda: newest() > saved, process)


def finish(*processes, code=0):
    """What each wrote to stderr, at the end with this exit status."""
    errors = []
    for process in processes:
        errors.append(process.communicate(timeout=200)[1])
        assert process.returncode == code, errors[-1]
    return errors


def terminate(*processes):
    """Send SIGTERM, and see them stop."""
    for process in processes:
        process.send_signal(signal.SIGTERM)
    return finish(*processes, code=STOPPED)


def workers_of(pid):
    """The processes of multiprocessing that a process has started, but for the one that looks after shared memory."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid and "spawn_main" in (folder / "cmdline").read_text():
                found.append(int(folder.name))
    return found
