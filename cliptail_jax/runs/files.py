"""The names of the files of a run directory, which the README lists, and readers that need no JAX."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from cliptail_jax.config.renamed import with_new_keys
from cliptail_jax.formats.frequency_tables import read_frequency
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import read_json
from cliptail_jax.runs.records import RunDocument, TrainingData

METRICS, SUMMARY, COUNTS = "metrics.jsonl", "summary.jsonl", "class_counts.jsonl"
CONFIG, DATA, DESCRIPTION, FREQUENCY = "config.json", "variant.json", "model.json", "class_frequency.tsv"
LOSS = "loss.json"  # what a user's loss states, whose code readers of the run do not run
WORD_FREQUENCY = "word_frequency.tsv"  # the number of training captions in which each word occurs
STUDY_FILES = ("study.json", "claims.json")  # files of a study, whose page a run would hide
FORECASTS = "forecasts.tsv"  # in the directory of a study, whose report compares them with its runs
FOLDERS = ("checkpoints", "eval", "tensorboard")
# config.json comes last, so that it is removed last.
FILES = (
    METRICS,
    FREQUENCY,
    DESCRIPTION,
    DATA,
    LOSS,
    "initialization.tsv",
    "tokenizer.json",
    "words.json",
    WORD_FREQUENCY,
    "towers.json",
    CONFIG,
)


def last_step(workdir: Path) -> int | None:
    """The last step of the finished run in `workdir`; None if it is unfinished, or did not record the step."""
    document = read_document(workdir) or {}
    return document.get("finished", {}).get("step")


def read_run_frequency(folder: Path) -> tuple[tuple[str, ...], Int[np.ndarray, " class"]]:
    """The class names and counts in the folder of a run or an evaluation; empty for a run on records without classes.

    Raises UserError if the file is damaged.
    """
    return read_frequency(folder / FREQUENCY, may_be_empty=True)


def number_of_records(workdir: Path) -> int:
    """The number of records that the run in `workdir` trains on. Raises UserError if its file is missing or damaged."""
    data = read_json(workdir / DATA, TrainingData)
    if data is None:
        raise UserError(f"{workdir / DATA} is missing: restore it from a copy, or train the run again")
    return data["records"]


def read_config(workdir: Path) -> dict[str, Any] | None:
    """The flat config of the run in `workdir`; None if there is none. Raises UserError if it is damaged.

    A config.json of another program counts as none.
    """
    config = (read_document(workdir) or {}).get("config")
    return config if isinstance(config, dict) and "objective" in config else None


def read_document(workdir: Path) -> RunDocument | None:
    """The content of config.json; None if there is none. Raises UserError if it is damaged."""
    document = read_json(workdir / CONFIG, RunDocument)
    if document and "config" in document:
        document["config"] = with_new_keys(document["config"])
    return document
