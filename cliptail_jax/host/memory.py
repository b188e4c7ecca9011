"""The C library's allocation of the host's memory."""

import ctypes
import sys

# Of glibc's malloc.h
TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8


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
        libc.mallopt(MMAP_MAX, 0)  # nor map anything apart from the heap
        libc.mallopt(ARENA_MAX, 1)  # one heap for all threads: those of other threads have at most 64 MB each
