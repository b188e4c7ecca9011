"""Where the numbers of runs come from: configs and their differences, data, software, hardware, checkpoints, commands."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cliptail_jax.report.comparison import Comparison, Kind
from cliptail_jax.report.read import Contents, Run

ABSENT = "–"


class Configs(NamedTuple):
    """The configs of kinds of runs.

    Attributes:
        different: by field, the value of each kind, of the fields in which kinds differ.
        varied: the fields in which the runs of a kind differ, with their values.
        same: the other fields.
    """

    different: Mapping[str, Sequence[str]]
    varied: Mapping[str, str]
    same: Mapping[str, str]


def configs_of(kinds: Sequence[Kind]) -> Configs:
    """What differs between the configs of kinds, what between the runs of each, and what is the same of all."""
    fields = dict.fromkeys(key for kind in kinds for run in kind.runs for key in run.config)
    different, varied, same = {}, {}, {}
    for key in sorted(fields):
        by_kind = [list(dict.fromkeys(shown(run.config.get(key, ABSENT)) for run in kind.runs)) for kind in kinds]
        if any(values != by_kind[0] for values in by_kind):
            different[key] = [", ".join(values) for values in by_kind]
        elif len(by_kind[0]) > 1:
            varied[key] = ", ".join(by_kind[0])
        else:
            same[key] = by_kind[0][0]
    return Configs(different, varied, same)


def shown(value: Any) -> str:
    """A config's value as text: a string without quotes."""
    return value if isinstance(value, str) and value else json.dumps(value)


class Fact(NamedTuple):
    """Something about runs, and the runs of which it is so: '' for all of them."""

    text: str
    of: str


def facts(comparison: Comparison) -> dict[str, list[Fact]]:
    """Data, templates, software, hardware, commit and checkpoints: each different one, with the runs that it is of."""
    runs = [(label(kind, run), run) for kind in comparison.kinds for run in kind.runs]
    describe = {
        "data set": data_of,
        "class list": lambda run: f"{len(run.class_names):,} classes" if run.class_names else "",
        "captions": lambda run: captions_of(run.config),
        "prompts": lambda run: run.config.get("eval.templates", ""),
        "evaluated on": lambda run: run.evaluation.on if run.evaluation else "",
        "weights": lambda run: str(run.summary.get("weights", ""))[:16],
        "software": lambda run: ", ".join(f"{name} {version}" for name, version in run.noted.get("software", {}).items()),
        "hardware": lambda run: hardware_of(run.noted.get("hardware") or {}),
        "commit": lambda run: run.noted.get("commit") or "",
        "checkpoint": lambda run: run.checkpoint,
    }
    result = {}
    for name, of in describe.items():
        owners: dict[str, list[str]] = {}
        for of_run, run in runs:
            if text := of(run):
                owners.setdefault(text, []).append(of_run)
        if owners:
            result[name] = [Fact(text, "" if len(of) == len(runs) else ", ".join(of)) for text, of in owners.items()]
    return result


def label(kind: Kind, run: Run) -> str:
    return f"{kind.name} {run.seed}".strip()


def data_of(run: Run) -> str:
    if not run.data:
        return ""
    name, split = run.config.get("data.name", ""), run.config.get("data.split", "")
    return f"{name}:{split}, {run.data.get('records'):,} records, fingerprint {str(run.data.get('fingerprint'))[:16]}"


def captions_of(config: Mapping[str, Any]) -> str:
    """The captions of a run that is trained on them."""
    if not any(key.startswith("text.") for key in config):
        return ""
    return shown(config.get("data.captions.template", "")) + "".join(
        f", words {shown(words)}" for words in [config.get("data.captions.words")] if words
    )


def hardware_of(noted: Mapping[str, Any]) -> str:
    if not noted:
        return ""
    devices = f"{noted.get('devices')} × {noted.get('device')}"
    return f"{devices}, {noted.get('processes')} processes, {noted.get('cores')} cores"


def class_lists(comparison: Comparison) -> dict[str, str]:
    """The class names of runs as one text, by the runs that have them."""
    owners: dict[tuple[str, ...], list[str]] = {}
    for kind in comparison.kinds:
        for run in kind.runs:
            names = run.class_names or (run.evaluation.class_names if run.evaluation else ())
            if names:
                owners.setdefault(names, []).append(label(kind, run))
    return {"all runs" if len(owners) == 1 else ", ".join(of): ", ".join(names) for names, of in owners.items()}


def commands(directories: Sequence[Contents], comparison: Comparison) -> dict[str, str]:
    """The commands that repeat the numbers, by what they repeat."""
    found: dict[str, list[str]] = {}
    for contents in directories:
        report = contents.report or {}
        if command := report.get("command"):
            found.setdefault(command, []).append(f"the study {contents.workdir.resolve().name}")
        for name, command in (report.get("commands") or {}).items():
            found.setdefault(command, []).append(f"{name} alone")
    for kind in comparison.kinds:
        for run in kind.runs:
            if command := run.noted.get("command"):
                found.setdefault(command, []).append(label(kind, run))
    return {", ".join(of): command for command, of in found.items()}
