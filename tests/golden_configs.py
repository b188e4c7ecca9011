"""The configs of `configs/` in the form of tests/data/golden_configs.json. To write the file after a deliberate change:

python -m tests.golden_configs
"""

import collections
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from cliptail_jax.config.fields import plain
from cliptail_jax.config.files import load_config
from cliptail_jax.datasets.known_sources import PRESETS
from cliptail_jax.experiments import catalogue
from cliptail_jax.metrics.measures import MEASURES
from cliptail_jax.objectives import FIELDS, base_config
from configs.study import paper

FILE = Path(__file__).parent / "data" / "golden_configs.json"
# The configs that others are compared with, by objective: those of the paper, and those of small images.
BASES = {
    "supervised": "sup:data=imagenet_captions",
    "contrastive": "clip:data=imagenet_captions",
    "dino": "dino:data=laionet",
}
SMALL_BASES = {"supervised": "sup:data=glyphs_lt", "contrastive": "clip:data=glyphs_lt", "dino": "dino:data=glyphs_lt"}
STUDIES = (
    "quickstart",
    "cifar100_lt",
    "dino_cifar100_lt",
    "doses",
    "mechanism",
    "mechanism:data=glyphs_16",
    "mechanism:data=cifar100",
    "optimizers",
    "noise",
    "noise:data=cifar100",
    "claims_small",
    "natural",
    "natural:part=order",
    "natural:part=factors",
    "imagenet_resized",
    "collect",
    "collect:data=cifar100",
    "remedies",
    "remedies:data=icons",
    "forecast",
    "forecast:data=cifar100",
    "remainder",
)


Fields = dict[str, Any]  # by dotted key


def changes(values: Fields, base: Fields) -> Fields:
    """The fields of a config that differ from its base."""
    return {key: values[key] for key in sorted(values) if values[key] != base[key]}


def what_trains(config: ConfigDict) -> Fields:
    """The fields on which the numbers of a run depend: two configs that agree in them describe the same run."""
    values = plain(config)
    return {field.key: values[field.key] for field in FIELDS if not field.is_incidental}


def load(string: str) -> Fields:
    return plain(load_config(string))


def default_values() -> Iterator[tuple[str, Any]]:
    """The defaults of all fields, by section, and the default margins of claims, by statistic."""
    sections = collections.defaultdict(dict)
    for key, value in plain(base_config()).items():
        section, _, field = key.rpartition(".")
        sections[section][field] = value
    yield from sections.items()
    yield "margins of claims", {key: measure.margin for key, measure in MEASURES.items() if measure.margin}


def training_configs() -> Iterator[tuple[str, Fields]]:
    """The bases, as changes from the defaults and from each other; presets from bases; and arguments of runs from presets.

    A run of the paper with several arguments has the changes of the last one and of those before it, unless it is listed.
    """
    bases, small_bases = ({name: load(string) for name, string in of.items()} for of in (BASES, SMALL_BASES))
    for name in BASES:
        yield f"base {BASES[name]}", changes(bases[name], plain(base_config()))
        yield f"base {SMALL_BASES[name]}", changes(small_bases[name], bases[name])
    presets = {}
    for preset in PRESETS:
        for family in ("sup", "clip", "dino"):
            string = f"{family}:data={preset}"
            values = presets[string] = load(string)
            yield string, changes(values, (small_bases if PRESETS[preset].small else bases)[values["objective"]])
    known = dict(presets)
    for string in dict.fromkeys(run.config for run in catalogue.PAPER_RUNS):
        if string in known:
            continue
        preset, (others, _, last) = string.partition(",")[0], string.rpartition(",")
        for part in (others, f"{preset},{last}"):
            if part not in known:
                known[part] = load(part)
                yield part, changes(known[part], presets[preset])
        composed = known[others] | changes(known[f"{preset},{last}"], presets[preset])
        if unexpected := changes(load(string), composed):
            yield string, unexpected


def study_configs() -> Iterator[tuple[str, Any]]:
    """For each small study: its own fields, its runs and its claims."""
    bases = {name: load(string) for name, string in SMALL_BASES.items()}
    for name in STUDIES:
        study = load_config(name)
        yield name, {key: value for key, value in study.items() if not isinstance(value, ConfigDict)}
        for run, values in chained_runs(study.runs, bases):
            yield f"{name}: {run}", values
        for compared, claims in compared_runs(study.claims):
            yield f"{name}: {compared}", claims
        if figures := study.get("figures"):
            yield f"{name}: figures", json.loads(figures.to_json())


def chained_runs(runs: ConfigDict, bases: Mapping[str, Fields]) -> Iterator[tuple[str, Fields]]:
    """Each run's changes from the run before it that is `like` it the most, or from the base of its objective."""
    earlier: dict[str, Fields] = {}
    for name, config in runs.items():
        values = plain(config)
        from_base = changes(values, bases.get(config.objective, bases["contrastive"]))
        from_others = [{"like": other} | changes(values, before) for other, before in earlier.items()]
        yield name, min([from_base, *from_others], key=len)
        earlier[name] = values


def compared_runs(claims: ConfigDict) -> Iterable[tuple[str, Fields]]:
    """By the runs that are compared: the statistic of each claim, with the fields that have no default value."""
    of_runs = collections.defaultdict(dict)
    for key, claim in claims.items():
        stated = {field: value for field, value in claim.items() if field not in ("text", "higher", "lower")}
        if stated["margin"] == MEASURES[claim.statistic].margin:
            del stated["margin"]
        of_runs[f"{claim.higher} > {claim.lower}"][key] = stated if len(stated) > 1 else claim.statistic
    return of_runs.items()


def paper_configs() -> Iterator[tuple[str, Any]]:
    """For the studies of the paper's runs and of their small counterparts: config strings, and rows of figures."""
    for arguments in ("family=all+figures", "family=all,small=glyphs_lt"):
        study = load_config(f"paper:{arguments}")
        if "small" in arguments:
            yield f"{arguments}: runs", paper.config_strings(paper.runs_of(*paper.families_of(arguments)))
        for figure, sheet in study.figures.items():
            yield f"{arguments}: {figure}", [list(sheet["columns"]), *map(list, sheet["rows"])]


SECTIONS = {"defaults": default_values, "training": training_configs, "studies": study_configs, "paper": paper_configs}


def write() -> None:
    """Write the file, with one line per entry."""
    sections = []
    for name, entries in SECTIONS.items():
        lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in entries()]
        sections.append(f"{json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n}")
    FILE.write_text("{\n" + ",\n".join(sections) + "\n}\n")


if __name__ == "__main__":
    write()
