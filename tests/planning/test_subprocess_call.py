"""Calls in subprocesses that crash, fail, or end well."""

import subprocess
import sys

# In a program of their own: a fork of pytest would have JAX's locks, but not its threads.
CALLS = """
import os, signal, sys, time
from cliptail_jax.planning.subprocess_call import Crash, run_in_subprocess

def crash():
    os.write(2, b"*** a library's trace ***")
    os.kill(os.getpid(), signal.SIGSEGV)

def give_up():
    os.write(2, b"reading flags\\nERROR: unknown flag\\n")
    os._exit(1)

def warn():
    print("note: a warning", file=sys.stderr)
    return os.getpid() != parent

parent, times = os.getpid(), []
for call in (crash, lambda: os._exit(3), give_up, lambda: {"a": 1}, warn):
    try:
        print(run_in_subprocess(call))
    except Crash as error:
        print("crash:", error)
run_in_subprocess(lambda: time.sleep(1.2), lambda: times.append(1))
print(len(times) in (1, 2, 3), flush=True)
run_in_subprocess(lambda: 1 / 0)
"""


def test_outcomes_and_crashes_come_back_and_libraries_output_does_not():
    done = subprocess.run([sys.executable, "-c", CALLS], capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "crash: SIGSEGV", "crash: exit status 3", "crash: exit status 1: ERROR: unknown flag", "{'a': 1}", "True", "True"
    ]  # fmt: skip
    note, *trace = done.stderr.splitlines()
    assert note == "note: a warning"  # the program's own
    assert done.returncode == 1 and "ZeroDivisionError" in trace[-1] + done.stderr and "in _send_outcome" in done.stderr
