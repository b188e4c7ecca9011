"""The C library's allocation of the host's memory, and the limit on it."""

import ctypes
import resource
import sys

# Of glibc's malloc.h
TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8
# A small run on a CPU takes 3 GB of addresses, and compiling a large model takes more.
ADDRESSES = 8e9


def keep_freed_memory() -> None:
    """Have glibc keep freed memory for later allocations.

    On CPUs, XLA allocates the temporary arrays of a step and frees them at its end. By default, glibc returns large ones to
    the system, which clears all of their pages again in each step: a quarter of the time of a small model's step. Kept memory
    has no effect on any number.

    Threads that have already allocated memory are not affected, so call this before JAX starts its threads. Other C libraries
    are not changed.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(TRIM_THRESHOLD, -1)  # never give the heap's end back
        libc.mallopt(MMAP_MAX, 0)  # never map memory outside the heap
        libc.mallopt(ARENA_MAX, 1)  # one heap for all threads: those of other threads have at most 64 MB each


def address_limit_warning() -> str:
    """A warning if the limit on the process's addresses is so low that XLA may abort; else ''."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY or limit >= ADDRESSES:
        return ""
    return (
        f"this process may use {limit / 1e9:.1f} GB of addresses (ulimit -v), and beyond that XLA aborts with std::bad_alloc: "
        "run `ulimit -v unlimited` before"
    )
