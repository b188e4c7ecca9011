"""Starts programs as forks of a process that has imported them, since imports take most of the time of short runs."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Forks a program for each line that it reads, and prints its number; writes the exit status to a file of that name.
SERVER = """
import contextlib, gc, importlib, json, os, resource, runpy, signal, sys

gc.disable()
folder, *modules = sys.argv[1:]
for module in modules:
    importlib.import_module(module)
gc.freeze()  # else each fork visits all that was imported when it ends, which takes a second
gc.enable()

def note_ended(*_):
    with contextlib.suppress(ChildProcessError):  # there is none
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            path = f"{folder}/{ended[0]}"  # another child may end meanwhile, which calls this once more
            with open(f"{path}.partial", "w") as file:
                file.write(str(os.waitstatus_to_exitcode(ended[1])))
            os.rename(f"{path}.partial", path)

def run(program, arguments, environment, streams, limit):
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()
    os.environ |= environment
    for descriptor, path in enumerate(streams):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOCTTY), descriptor)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    if not hasattr(sys.modules[program], "__path__"):  # a package runs its module __main__
        del sys.modules[program]  # it runs as __main__
    sys.argv = [program, *arguments]
    runpy.run_module(program, run_name="__main__", alter_sys=True)
    sys.exit(0)

signal.signal(signal.SIGCHLD, note_ended)
for line in iter(sys.stdin.readline, ""):
    if child := os.fork():
        print(child, flush=True)
    else:
        run(*json.loads(line))
"""


def with_devices(number: int) -> str:
    """The compiler's flags of the tests, for another number of devices: the last of a flag's values counts."""
    return f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={number}"


class Fork:
    """A program that runs, with what `subprocess.Popen` has for one. It is interrupted by Ctrl-C even in the background."""

    def __init__(self, pid: int, status: Path, streams: Sequence[str]):
        self.pid, self.returncode = pid, None
        self._status, (_, self._stdout, self._stderr) = status, streams

    def poll(self) -> int | None:
        if self.returncode is None and self._status.exists():
            self.returncode = int(self._status.read_text())
        return self.returncode

    def wait(self, timeout: float = 600.0) -> int:
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("a fork", timeout)
            time.sleep(0.01)
        return self.returncode

    def errors(self) -> str:
        """What it has written to stderr, unless that is a terminal, which has it."""
        return "" if self._stderr.startswith("/dev/") else Path(self._stderr).read_text(encoding="utf-8")

    def communicate(self, timeout: float = 600.0) -> tuple[str, str]:
        """What it wrote to stdout and stderr, once it has ended."""
        self.wait(timeout)
        return Path(self._stdout).read_text(encoding="utf-8"), self.errors()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it with the processes that it has started, and wait for its end."""
        os.killpg(self.pid, signal.SIGKILL)
        self.wait()


class ForkServer:
    """Forks programs from a process that has imported these modules. The process ends with the tests, or when it is closed.

    `preamble` is code that runs before, in the folder `cwd` and with the variables of `environment`.
    """

    def __init__(
        self,
        modules: Iterable[str],
        environment: dict[str, str] | None = None,
        preamble: str = "",
        cwd: Path = ROOT,
    ):
        self._folder = tempfile.TemporaryDirectory(prefix="forks-")
        self._started = 0
        command = [sys.executable, "-c", preamble + SERVER, self._folder.name, *modules]
        environment = os.environ | (environment or {})
        self._process = subprocess.Popen(
            command, cwd=cwd, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def start(
        self,
        program: str,
        arguments: Iterable[str],
        environment: dict[str, str] | None = None,
        stderr: str = "",
        limit: int = 0,
    ) -> Fork:
        """Starts `python -m PROGRAM` with these arguments and variables; `stderr` is a file or terminal.

        It can write files of `limit` bytes at most; 0 for any.
        """
        self._started += 1
        stdout, new = (f"{self._folder.name}/{self._started}.{name}" for name in ("stdout", "stderr"))
        streams = [os.devnull, stdout, stderr or new]
        print(
            json.dumps([program, [*arguments], environment or {}, streams, limit]), file=self._process.stdin, flush=True
        )
        pid = int(self._process.stdout.readline())
        return Fork(pid, Path(self._folder.name, str(pid)), streams)

    def close(self) -> None:
        self._process.communicate()
        self._folder.cleanup()


def run_forked(
    program: str,
    commands: Sequence[Sequence[str]],
    environment: dict[str, str] | None = None,
    preamble: str = "",
    cwd: Path = ROOT,
) -> list[subprocess.CompletedProcess]:
    """The outcomes of `python -m PROGRAM` with each list of arguments, one after the other, in forks of a new process."""
    server, outcomes = ForkServer([program], environment, preamble, cwd), []
    for arguments in commands:
        fork = server.start(program, arguments)
        stdout, stderr = fork.communicate()
        outcomes.append(subprocess.CompletedProcess(arguments, fork.returncode, stdout, stderr))
    server.close()
    return outcomes
