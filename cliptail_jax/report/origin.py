"""The origin of numbers: configs and their differences, data, software, hardware, checkpoints, commands."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from cliptail_jax.host.commands import current_command
from cliptail_jax.host.text import UNDEFINED
from cliptail_jax.report.comparison import ComparedGroup, ComparedRuns, Owner, name_of
from cliptail_jax.results.directory import Contents
from cliptail_jax.results.run import Run, directory_name


class ConfigDifferences(NamedTuple):
    """The configs of kinds of runs.

    Attributes:
        factors: the fields in which kinds differ, with the value of each kind.
        variations: the fields in which the runs of a kind differ, with their values.
        constants: the other fields.
    """

    factors: Mapping[str, Sequence[str]]
    variations: Mapping[str, str]
    constants: Mapping[str, str]


def configs_of(kinds: Sequence[ComparedGroup]) -> ConfigDifferences:
    """The differences between the configs of kinds and between the runs of each, and the fields that all share.

    Configs are compared on shared seeds, since a study may not have trained every kind with every seed yet.
    """
    keys = dict.fromkeys(key for kind in kinds for run in kind.runs for key in run.config)
    seeds = set.intersection(*({run.seed for run in kind.runs} for kind in kinds)) if kinds else set()
    groups = [[run for run in kind.runs if run.seed in seeds or not seeds] for kind in kinds]
    factors, variations, constants = {}, {}, {}
    for key in sorted(keys):
        by_kind = [
            list(dict.fromkeys(text_of(run.config[key]) for run in runs if key in run.config)) for runs in groups
        ]
        values_of_kinds = [values for values in by_kind if values]
        if any(values != values_of_kinds[0] for values in values_of_kinds):
            factors[key] = [", ".join(values) or UNDEFINED for values in by_kind]
        elif values_of_kinds and len(values_of_kinds[0]) > 1:
            variations[key] = ", ".join(values_of_kinds[0])
        elif values_of_kinds:
            constants[key] = values_of_kinds[0][0]
    return ConfigDifferences(factors, variations, constants)


def text_of(value: Any) -> str:
    """A config's value as text: a string without quotes."""
    return value if isinstance(value, str) else json.dumps(value)


class Fact(NamedTuple):
    """A fact about runs, and the runs for which it holds: '' for all of them."""

    text: str
    scope: str


def facts(comparison: ComparedRuns) -> dict[str, list[Fact]]:
    """Data, templates, software, hardware, commit and checkpoints: each distinct value, with its runs."""
    describe = {
        "data set": data_of,
        "class list": lambda run: f"{len(run.class_names):,} classes" if run.class_names else "",
        "captions": lambda run: captions_of(run.config),
        "prompts": lambda run: text_of(run.summary.get("settings", {}).get("templates", "")),
        "evaluated on": lambda run: run.latest.set_name if run.latest else "",
        "weights": lambda run: str(run.summary.get("weights", ""))[:16],
        "software": lambda run: software_of(run.document),
        "hardware": lambda run: hardware_of(run.document),
        "commit": lambda run: run.document.get("commit") or "",
        "checkpoint": lambda run: run.checkpoint,
    }
    return collected(comparison.runs, describe)


def transfer_facts(transfer: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, list[Fact]]:
    """The settings of a transfer's results by model, and the software and hardware that computed them."""
    results = [
        ((model, f"{result['set']} by {result['method']}"), result) for model in transfer for result in transfer[model]
    ]
    settings = dict.fromkeys(key for _, result in results for key in result.get("settings", ()))
    describe = {key: lambda result, key=key: text_of(result.get("settings", {}).get(key, "")) for key in settings}
    describe |= {
        "software": lambda result: software_of(result.get("origin", {})),
        "hardware": lambda result: hardware_of(result.get("origin", {})),
        "commit": lambda result: result.get("origin", {}).get("commit", ""),
    }
    return collected(results, describe)


def collected(
    values: Sequence[tuple[Owner, Any]], describe: Mapping[str, Callable[[Any], str]]
) -> dict[str, list[Fact]]:
    """The distinct texts of each description of the values; descriptions that are all empty are left out."""
    facts = {name: distinct_texts(values, describe_value) for name, describe_value in describe.items()}
    return {name: name_facts for name, name_facts in facts.items() if name_facts}


def distinct_texts(values: Sequence[tuple[Owner, Any]], describe: Callable[[Any], str]) -> list[Fact]:
    """The distinct texts that describe the values, except the empty one, with the owners of their values."""
    owners: dict[str, list[Owner]] = {}
    for owner, value in values:
        if text := describe(value):
            owners.setdefault(text, []).append(owner)
    all_owners = [owner for owner, _ in values]
    return [Fact(text, name_of(text_owners, all_owners)) for text, text_owners in owners.items()]


def data_of(run: Run) -> str:
    if not run.data:
        return ""
    name, split = run.config.get("data.name", ""), run.config.get("data.split", "")
    return f"{name}:{split}, {run.data.get('records'):,} records, fingerprint {str(run.data.get('fingerprint'))[:16]}"


def captions_of(config: Mapping[str, Any]) -> str:
    """A description of a run's captions, if it is trained on captions."""
    parts = [config.get(f"data.captions.{name}") for name in ("template", "words")]
    return ", ".join(text_of(part) for part in parts if part)


def software_of(document: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in document.get("software", {}).items())


def hardware_of(document: Mapping[str, Any]) -> str:
    hardware = document.get("hardware")
    if not hardware:
        return ""
    processes = f", {hardware['processes']} processes" if hardware.get("processes", 1) > 1 else ""
    cores = f"{hardware.get('cores')} CPU core{'' if hardware.get('cores') == 1 else 's'}"
    return f"{hardware.get('devices')} × {hardware.get('device')}{processes}, {cores}"


def class_lists(comparison: ComparedRuns) -> dict[str, str]:
    """The class names of runs as one text, with their runs."""

    def names_of(run: Run) -> str:
        return ", ".join(run.class_names or (run.evaluation.class_names if run.evaluation else ()))

    return {fact.scope or "all runs": fact.text for fact in distinct_texts(comparison.runs, names_of)}


def commands(directories: Sequence[Contents], comparison: ComparedRuns) -> dict[str, str]:
    """The commands that repeat the numbers, by their results."""
    names_of: dict[str, list[str]] = {}
    for contents in directories:
        if contents.study:
            if command := current_command(contents.study.command):
                names_of.setdefault(command, []).append(f"the study {directory_name(contents.workdir)}")
            for name, command in contents.study.commands.items():
                names_of.setdefault(current_command(command), []).append(f"{name} alone")
        for command in dict.fromkeys(result.get("origin", {}).get("command") for result in contents.transfers):
            if command:
                names_of.setdefault(current_command(command), []).append(
                    f"the transfer {directory_name(contents.workdir)}"
                )
    for command, owners in distinct_texts(
        comparison.runs, lambda run: current_command(run.document.get("command", ""))
    ):
        # On the page of one run of a study, the study's command is only in the run's files.
        is_study = command.startswith("cliptail study ") and " --only=" not in command
        name = "the whole study" if is_study and command not in names_of else owners or "all runs"
        names_of.setdefault(command, []).append(name)
    return {", ".join(names): command for command, names in names_of.items()}
