"""The run directory: its files, checkpoints and log, and stopping on request."""

from cliptail_jax.runs.directory import (
    difference_to,
    finish,
    foreign_file,
    is_finished,
    last_step,
    number_of_records,
    open_or_resume,
    prepare_directory,
    read_config,
    read_description,
    read_run_frequency,
    truncate_logs,
    write_description,
)
from cliptail_jax.runs.evaluations import (
    ARRAYS,
    add_summary,
    evaluation_directory,
    last_evaluation,
    last_evaluations,
    read_arrays,
)

__all__ = [
    "ARRAYS",
    "add_summary",
    "open_or_resume",
    "difference_to",
    "evaluation_directory",
    "finish",
    "foreign_file",
    "truncate_logs",
    "is_finished",
    "last_evaluation",
    "last_evaluations",
    "last_step",
    "prepare_directory",
    "read_arrays",
    "read_config",
    "read_description",
    "number_of_records",
    "read_run_frequency",
    "write_description",
]
