"""The paper's runs: their number, and the values of all configs."""

import json
from pathlib import Path

import pytest

from cliptail_jax.config.fields import flatten
from cliptail_jax.config.files import load_config
from cliptail_jax.experiments import catalogue
from cliptail_jax.objectives import validate
from cliptail_jax.study.__main__ import list_runs
from tests import golden_configs
from tests.golden_configs import what_trains

ROOT = Path(__file__).parents[2]
BASES = {
    "clip": "clip:data=imagenet_captions",
    "sl": "sup:data=imagenet_captions",
    "dino": "dino:data=laionet",
}
# The hyperparameters of the paper's appendix (arXiv 2405.21070).
IMAGENET_CAPTIONS = {"data.name": "imagenet_captions", "eval.sets": ("imagenet", "imagenet_v2", "imagenet100")}
RESNET50 = {"model.image.name": "modified_resnet", "model.image.layers": (3, 4, 6, 3), "model.image.width": 64}
RECIPES = {
    "sl": IMAGENET_CAPTIONS | RESNET50 | {
        "total_epochs": 90, "batch_size": 256, "batch_norm.group_size": 64, "vocabulary.group_size": 64,
        "optimizer.name": "sgd", "optimizer.learning_rate": 0.1, "optimizer.weight_decay": 1e-4,
        "optimizer.sgd.momentum": 0.9, "optimizer.schedule": "cosine_epochs", "head.kind": "cosine",
    },
    "clip": IMAGENET_CAPTIONS | RESNET50 | {
        "total_epochs": 32, "batch_size": 1024, "data.captions.template": "cname",
        "data.captions.words": ("title", "tags", "description"), "optimizer.name": "adamw",
        "optimizer.learning_rate": 1e-3, "optimizer.weight_decay": 0.2, "optimizer.schedule": "cosine_steps",
        "optimizer.warmup_steps": 500, "model.text.width": 512, "model.text.layers": 12, "model.text.heads": 8,
    },
    "dino": RESNET50 | {
        "total_epochs": 100, "batch_size": 1024, "data.name": "laionet", "data.min_similarity": 0.7,
        "data.crop_scale": (0.14, 1.0), "data.multi_crop.num_local": 8, "data.multi_crop.local_size": 96,
        "data.multi_crop.local_scale": (0.05, 0.14), "dino.prototypes": 65536, "dino.hidden": 2048,
        "dino.bottleneck": 256, "dino.teacher_momentum": 0.996, "dino.freeze_last_layer": 1, "optimizer.name": "sgd",
        "optimizer.learning_rate": 0.12, "optimizer.final_learning_rate": 1e-6, "optimizer.clip_each_norm": 3.0,
        "optimizer.schedule": "cosine_steps", "optimizer.warmup_epochs": 10,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def configs():
    return {run.name: load_config(run.config) for run in catalogue.EVERY}


def test_the_paper_has_170_names_of_163_different_trainings(configs):
    assert len(catalogue.RUNS) == 170 and len(catalogue.FURTHER_RUNS) == 7 and len(configs) == 177
    assert {run.family for run in catalogue.EVERY} == set(catalogue.FAMILIES)
    first = {}
    same = {run.name: first.setdefault(repr(what_trains(configs[run.name])), run.name) for run in catalogue.RUNS}
    assert len(first) == 163
    assert same | {run.name: run.name for run in catalogue.FURTHER_RUNS} == catalogue.first_names()


def test_every_run_is_valid_and_evaluated_each_epoch(configs):
    for config in configs.values():
        validate(config)
        assert config.eval.every_epochs == 1 or not config.eval.sets
        assert config.eval.templates == "openai80" and config.eval.neural_collapse == bool(config.eval.sets)


@pytest.mark.parametrize("section", golden_configs.SECTIONS)
def test_configs_are_those_of_the_golden_file(section):
    """Deliberate changes are written by `python -m tests.golden_configs`."""
    found, expected = dict(golden_configs.SECTIONS[section]()), json.loads(golden_configs.FILE.read_text())[section]
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert json.loads(json.dumps(found[name])) == values, name


@pytest.mark.parametrize("method", BASES)
def test_the_base_has_the_papers_hyperparameters(method):
    values = dict(flatten(load_config(BASES[method])))
    assert values | RECIPES[method] == values


def test_the_program_prints_every_run_and_the_page_counts_them_by_family(capsys):
    assert list_runs(["--list"]) == 0
    printed = capsys.readouterr().out
    assert all(f"| {run.name} | `{run.config}` | {run.changes}" in printed for run in catalogue.EVERY)
    page = (ROOT / "configs" / "README.md").read_text(encoding="utf-8")
    for family, (title, section) in catalogue.FAMILIES.items():
        number = sum(run.family == family for run in catalogue.EVERY)
        assert f"| `{family}` | {title} | {number} | {section} |\n" in page
