"""The run directory: its files, checkpoints and log, and stopping on request."""

from cliptail_jax.runs.directory import (
    claim,
    difference_to,
    finish,
    forget_after,
    is_finished,
    last_step,
    make_room,
    read_config,
    read_description,
    read_run_frequency,
    trained_on,
    write_description,
)
from cliptail_jax.runs.evaluations import (
    ARRAYS,
    FinishedRun,
    add_summary,
    evaluation_directory,
    last_evaluation,
    last_evaluations,
    read_arrays,
)

__all__ = [
    "ARRAYS",
    "FinishedRun",
    "add_summary",
    "claim",
    "difference_to",
    "evaluation_directory",
    "finish",
    "forget_after",
    "is_finished",
    "last_evaluation",
    "last_evaluations",
    "last_step",
    "make_room",
    "read_arrays",
    "read_config",
    "read_description",
    "read_run_frequency",
    "trained_on",
    "write_description",
]
