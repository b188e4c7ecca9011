"""Calls in processes that crash, fail, or end well."""

import subprocess
import sys

# In a program of their own: a fork of pytest would have JAX's locks, but not its threads.
CALL = """
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
    return os.getpid()

times = []
try:
    print({call}, len(times))
except Crash as error:
    print("crash:", error)
"""


def call(text):
    return subprocess.run([sys.executable, "-c", CALL.format(call=text)], capture_output=True, text=True)


def test_a_crash_is_an_exception_and_leaves_no_trace():
    done = call("run_in_subprocess(crash)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "crash: SIGSEGV\n", "")
    assert call("run_in_subprocess(lambda: os._exit(3))").stdout == "crash: exit status 3\n"
    assert call("run_in_subprocess(give_up)").stdout == "crash: exit status 1: ERROR: unknown flag\n"


def test_the_outcome_comes_back_and_so_do_the_programs_own_warnings():
    assert call("run_in_subprocess(lambda: {'a': 1})").stdout == "{'a': 1} 0\n"
    done = call("run_in_subprocess(warn) != os.getpid()")
    assert (done.stdout, done.stderr) == ("True 0\n", "note: a warning\n")


def test_an_error_is_raised_with_the_trace_of_where_it_happened():
    done = call("run_in_subprocess(lambda: 1 / 0)")
    assert done.returncode == 1 and "ZeroDivisionError" in done.stderr and "in _send_outcome" in done.stderr


def test_waiting_is_called_until_it_is_over():
    assert int(call("run_in_subprocess(lambda: time.sleep(1.2), lambda: times.append(1))").stdout.split()[1]) in (
        1,
        2,
        3,
    )
