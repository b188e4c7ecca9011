"""Runs a program several times in forks of one process that has imported it, since imports take most of the time of short runs."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
# For each list of arguments, a fork writes its output, its errors and its exit status to files.
SERVER = """
import importlib, json, os, runpy, sys
program, folder, commands = json.loads(sys.stdin.read())
sys.modules.pop(importlib.import_module(program).__name__)  # it runs as __main__
for number, arguments in enumerate(commands):
    if not (child := os.fork()):
        for name, stream in (("stdout", 1), ("stderr", 2)):
            os.dup2(os.open(f"{folder}/{number}.{name}", os.O_WRONLY | os.O_CREAT), stream)
        sys.argv = [program, *arguments]
        runpy.run_module(program, run_name="__main__", alter_sys=True)
        sys.exit(0)
    _, status = os.waitpid(child, 0)
    with open(f"{folder}/{number}.status", "w") as file:
        file.write(str(os.waitstatus_to_exitcode(status)))
"""


def run_forked(
    program: str,
    commands: Sequence[Sequence[str]],
    environment: dict[str, str] | None = None,
    preamble: str = "",
    cwd: Path = ROOT,
) -> list[subprocess.CompletedProcess]:
    """The outcomes of `python -m PROGRAM` with each list of arguments in a folder. `preamble` is code that runs before."""
    with tempfile.TemporaryDirectory() as folder:
        given = json.dumps([program, folder, list(map(list, commands))])
        environment = os.environ | (environment or {})
        subprocess.run(
            [sys.executable, "-c", preamble + SERVER], input=given, cwd=cwd, env=environment, text=True, check=True
        )

        def outcome(number: int) -> subprocess.CompletedProcess:
            stdout, stderr, status = (
                (Path(folder) / f"{number}.{name}").read_text() for name in ("stdout", "stderr", "status")
            )
            return subprocess.CompletedProcess(commands[number], int(status), stdout, stderr)

        return list(map(outcome, range(len(commands))))
