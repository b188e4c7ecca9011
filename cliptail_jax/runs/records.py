"""The types of a run's JSON files, with the keys that programs read. Files may have more keys."""

from typing import Required, TypedDict

from cliptail_jax.metrics.measures import MEASURES

Number = float | None  # null stands for nan

Config = TypedDict(
    "Config",
    {"objective": str, "eval.sets": list[str], "data.name": str, "data.split": str, "data.class_names": str},
    total=False,
)


class Finished(TypedDict, total=False):
    step: int
    seconds: Number


class Hardware(TypedDict, total=False):
    device: str
    devices: int
    processes: int
    cores: int


class Origin(TypedDict, total=False):
    """The result of `cliptail_jax.runs.provenance`."""

    software: dict[str, str]
    hardware: Hardware
    commit: str
    command: str


class RunDocument(Origin, total=False):
    """config.json."""

    config: Config
    finished: Finished


class TrainingData(TypedDict):
    """variant.json."""

    records: int
    fingerprint: str


# A line of metrics.jsonl.
LogLine = TypedDict(
    "LogLine",
    {
        "step": Required[int],
        "epoch": Number,
        "train/loss": Number,
        "images_per_second": Number,
        "seconds": float,
        "warning": str,
    },
    total=False,
)


class Settings(TypedDict, total=False):
    """The settings of an evaluation."""

    class_frequency: str


class ClassCounts(TypedDict):
    """A line of class_counts.jsonl: the counts of an evaluation, by class in label order."""

    step: int
    settings: Settings
    correct: list[int]
    examples: list[int]
    predictions: list[int]


# A line of summary.jsonl.
Summary = TypedDict(
    "Summary",
    {"step": Required[int], "epoch": Number, "set": str, "settings": Settings, "weights": str, "model": str}
    | {key: Number for key in MEASURES}
    | {f"{key}_interval": tuple[Number, Number] for key in MEASURES}
    | {f"{key}_left_out": int for key in MEASURES}
    | {f"{key}_beyond": str for key in MEASURES},
    total=False,
)
