"""The configs of `configs/` in the form of tests/data/golden_configs.json. To write the file after a deliberate change:

python -m tests.golden_configs
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from cliptail_jax.config.fields import plain
from cliptail_jax.config.files import load_config
from cliptail_jax.datasets.known_sources import PRESETS
from cliptail_jax.experiments import catalogue
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
)


def changes(config: ConfigDict, base: ConfigDict) -> dict[str, Any]:
    """The fields of a config that differ from its base."""
    values, others = plain(config), plain(base)
    return {key: values[key] for key in sorted(values) if values[key] != others[key]}


def what_trains(config: ConfigDict) -> dict[str, Any]:
    """The fields on which the numbers of a run depend: two configs that agree in them describe the same run."""
    values = plain(config)
    return {field.key: values[field.key] for field in FIELDS if not field.is_incidental}


def training_configs() -> Iterator[tuple[str, dict[str, Any]]]:
    """For each preset and run of the paper, by config string: the changes from the base of its objective."""
    bases, small_bases = ({name: load_config(string) for name, string in of.items()} for of in (BASES, SMALL_BASES))
    for name in BASES:
        yield f"base {BASES[name]}", changes(bases[name], base_config())
        yield f"base {SMALL_BASES[name]}", changes(small_bases[name], bases[name])
    for preset in PRESETS:
        for family in ("sup", "clip", "dino"):
            config = load_config(f"{family}:data={preset}")
            yield (
                f"{family}:data={preset}",
                changes(config, (small_bases if PRESETS[preset].small else bases)[config.objective]),
            )
    for string in dict.fromkeys(run.config for run in catalogue.EVERY):
        config = load_config(string)
        yield string, changes(config, bases[config.objective])


def study_configs() -> Iterator[tuple[str, Any]]:
    """For each small study: its own fields, the changes of its runs from their base, and what its claims compare."""
    bases = {name: load_config(string) for name, string in SMALL_BASES.items()}
    for name in STUDIES:
        study = load_config(name)
        yield name, {key: value for key, value in study.items() if not isinstance(value, ConfigDict)}
        for run, config in study.runs.items():
            yield f"{name}: {run}", changes(config, bases.get(config.objective, bases["contrastive"]))
        for key, claim in study.claims.items():
            stated = {field: value for field, value in claim.items() if field != "text"}
            runs = [study.runs[run] for run in (claim.higher, claim.lower) if isinstance(run, str)]
            yield f"{name}: claim {key}", stated | {"changed": [*changes(*runs)] if len(runs) > 1 else []}
        yield f"{name}: figures", json.loads(study.get("figures", ConfigDict()).to_json())


def paper_configs() -> Iterator[tuple[str, Any]]:
    """For the studies of the paper's runs and of their small counterparts: config strings, and rows of figures."""
    for arguments in ("family=all+figures", "family=all,small=glyphs_lt"):
        study = load_config(f"paper:{arguments}")
        if "small" in arguments:
            yield f"{arguments}: runs", paper.config_strings(paper.runs_of(*paper.families_of(arguments)))
        for figure, sheet in study.figures.items():
            yield f"{arguments}: {figure}", [list(sheet["columns"]), *map(list, sheet["rows"])]


SECTIONS = {"training": training_configs, "studies": study_configs, "paper": paper_configs}


def write() -> None:
    """Write the file, with one line per entry."""
    sections = []
    for name, entries in SECTIONS.items():
        lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in entries()]
        sections.append(f"{json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n}")
    FILE.write_text("{\n" + ",\n".join(sections) + "\n}\n")


if __name__ == "__main__":
    write()
