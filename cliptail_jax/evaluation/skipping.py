"""Actions that may fail for one of several models, in all processes or in one."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from cliptail_jax.host.errors import reason_of

REASON = 512  # bytes of the reason, which processes exchange


class Skipped(Exception):
    """Raised to skip a model; the message is the reason, in one line."""


def on_all_processes(action: Callable[[], Any]) -> Any:
    """The result of `action`. If it fails in any process, all raise Skipped, so that none waits for another.

    This applies to any exception: downloaded files may be corrupt in any way, and the next model has other files.
    """
    result, reason = None, ""
    try:
        result = action()
    except Exception as error:
        reason = reason_of(error)
    if reason := first_reason(reason):
        raise Skipped(reason)
    return result


def first_reason(reason: str) -> str:
    """The reason of the first process that has one, in every process; '' if none has."""
    if jax.process_count() == 1:
        return reason
    row = np.frombuffer(reason.encode()[:REASON].ljust(REASON), np.uint8)
    rows = multihost_utils.process_allgather(row)
    return next((text for row in rows if (text := row.tobytes().decode(errors="ignore").strip())), "")
