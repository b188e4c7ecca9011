"""A laboratory to find out why CLIP is robust to long-tailed pre-training data."""

import sys

if sys.argv[:1] == ["-m"]:  # as it is while Python looks for the program `cliptail_jax.NAME`: before its slow imports
    from cliptail_jax.host.memory import keep_freed_memory
    from cliptail_jax.interrupts import exit_on_signal

    exit_on_signal()
    keep_freed_memory()
