"""The studies of configs/study: families of the paper's runs, their small counterparts, and small studies.

The values of their runs and claims are in the golden file. Then the paper's runs: their number, and the values of all configs.
"""

import collections
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from cliptail_jax.concepts.class_lists import imagenet_names, imagenet_wnids, listed_names
from cliptail_jax.config.fields import flatten
from cliptail_jax.config.files import load_config
from cliptail_jax.curation.variant import open_variant
from cliptail_jax.evaluation.sets import open_run_set
from cliptail_jax.experiments import catalogue, studies
from cliptail_jax.experiments.kinds import kind_name
from cliptail_jax.formats.frequency_tables import write_frequency
from cliptail_jax.host.errors import UserError
from cliptail_jax.objectives import typed_config
from cliptail_jax.study.configuration import typed_study
from configs import clip, sup
from configs.study import (
    claims_small,
    collect,
    dino_cifar100_lt,
    imagenet_resized,
    mechanism,
    paper,
    quickstart,
    remedies,
)
from tests import golden_configs
from tests.commands import study
from tests.golden_configs import STUDIES, what_trains
from tests.pages import rows_by_name
from tests.synthetic import sections
from tests.tfds_sets import prepare


@pytest.mark.parametrize("name", STUDIES)
def test_the_studies_are_valid_with_names_for_people_and_no_claim_takes_the_key_of_another(name, monkeypatch):
    """Fields of a study are those of all its runs."""
    keys, claims_on = collections.Counter(), studies.claims_on

    def noting_keys(*arguments, **options):
        claims = claims_on(*arguments, **options)
        keys.update(claims.keys())
        return claims

    monkeypatch.setattr(studies, "claims_on", noting_keys)
    config = load_config(name)
    assert max(keys.values(), default=1) == 1
    display_names = typed_study(config).names
    names = [kind_name(run, display_names) for run in config.runs]
    assert all(names) and len(set(names)) == len(names)
    results = ROOT / "configs/study/results" / f"{re.sub(r':[a-z]+=', '_', name)}.json"
    if results.exists() and not results.with_suffix(".tar.xz").exists():  # else they have the names of their archive
        assert json.loads(results.read_text()).get("names", {}) == display_names
    config.data_dir, config.seed = "/data", 3
    assert {run.data.data_dir for run in config.runs.values()} == {"/data"}
    assert {run.seed for run in config.runs.values()} == {3}


@pytest.mark.parametrize(
    ("statistics", "meanings"),
    [
        (("odds_acc", "tail"), "more biased, more accurate"),
        (("top1", "slope_acc", "top5"), "more accurate, more biased, more accurate"),
        (("odds_acc", "f50"), "more biased, neither"),
    ],
)
def test_measures_of_different_directions_do_not_share_claims(statistics, meanings):
    with pytest.raises(UserError, match=f"claims on {', '.join(statistics)} cannot .*: larger means {meanings}; call"):
        studies.claims_on(statistics, {"bias": ("SL is more biased than CLIP", "sl", "clip")})


def test_runs_that_are_the_same_object_are_named():
    run = sup.get_config("data=glyphs_lt")
    with pytest.raises(UserError, match="the runs sl and adjusted are the same object: call load_config for each"):
        studies.study("Same", {"sl": run, "adjusted": run}, {})


@pytest.mark.parametrize("family, number", [("figures", 7), ("distribution+imbalance", 9), ("all+figures", 170)])
def test_families_are_a_study_that_trains_each_run_once(family, number):
    study = paper.get_config(f"family={family}")
    typed_study(study)
    assert len(study.runs) == number and set(study.runs) <= set(catalogue.first_names().values())
    trainings = {name: repr(what_trains(config)) for name, config in study.runs.items()}
    assert len(set(trainings.values())) == number
    runs = paper.runs_of(*paper.families_of(f"family={family}"))
    for name, string in paper.config_strings(runs).items():
        assert repr(what_trains(load_config(string))) == trainings[name]


def test_shared_fields_are_set_once():
    study = paper.get_config("family=distribution")
    study.data_dir, study.seed, study.head, study.frequency = "DIR", 3, "mine.npy", "mine.tsv"
    for name, config in study.runs.items():
        assert (config.data.data_dir, config.seed) == ("DIR", 3)
        assert config.head.init == ("mine.npy" if name.endswith("_clip") else "")
        assert config.data.match.frequency == ("mine.tsv" if "matched" in name else "")


def test_small_counterparts_take_as_many_steps_for_a_part_of_the_data():
    preset = "cifar100_lt"
    study = paper.get_config(f"family=all,small={preset}")
    typed_study(study)
    assert len(study.runs) == 48
    study.epochs = 3
    for name, config in study.runs.items():
        assert config.total_epochs == 3 / config.data.fraction and config.eval.every_epochs == 5 / config.data.fraction
        assert config.data.name == preset.removesuffix("_lt") and config.data.profile.name == "exponential"
        assert not config.vocabulary.size or str(config.vocabulary.size) in name
        assert not config.data.tail.classes or f"_{config.data.tail.classes}_classes" in name


@pytest.mark.parametrize(
    "study, run, seeds", [(claims_small, "glyphs_sl", 2), (dino_cifar100_lt, "dino", 4), (mechanism, "sl", 4)]
)
def test_each_seed_or_pair_assigns_frequencies_anew(study, run, seeds):
    config = study.get_config()
    replicates = typed_study(config).replicates
    seeds_of = [{configs.runs[run].data.seed for configs in replicate.values()} for replicate in replicates]
    assert seeds_of == [{config.seed + seed} for seed in range(seeds)]


def png(red, green):
    Image.new("RGB", (32, 32), (red, green, 0)).save(file := io.BytesIO(), "png")
    return file.getvalue()


def test_photographs_have_the_frequencies_of_a_table_in_three_orders(tmp_path):
    """Of eight classes of ImageNet with 12 to 40 images, labelled by WordNet ids in an order of their own, as TFDS has them."""
    labels = {"label": tfds.features.ClassLabel(names=list(imagenet_wnids()[7::-1]))}
    splits = {
        split: [{"image": png(label, i), "label": label} for label in range(8) for i in range(12 + step * label)]
        for split, step in (("train", 4), ("validation", 0))
    }
    prepare(tmp_path, "imagenet_resized", labels, splits, "0.1.0", "32x32")
    names = listed_names("imagenet1k")[:8]
    write_frequency(tmp_path / "web.tsv", names, np.array([900, 300, 100, 80, 40, 20, 10, 5]))
    study = imagenet_resized.get_config()
    study.data_dir, study.frequency = str(tmp_path), str(tmp_path / "web.tsv")
    frequencies = {}
    for order in ("natural", "random", "reversed"):
        config = study.runs[f"clip_{order}"].copy_and_resolve_references()
        config.data.match.n = 40
        variant = open_variant(sections(config).data)
        assert set(variant.captions(range(40), 0)) <= set(names)
        frequencies[order] = dict(zip(variant.class_names, variant.class_frequency.tolist()))
    assert [frequencies["natural"][name] for name in names] == [12, 12, 6, 5, 3, 1, 1, 0]
    assert [frequencies["reversed"][name] for name in names] == [0, 1, 1, 3, 5, 6, 12, 12]
    assert sorted(frequencies["random"].values()) == sorted(frequencies["natural"].values())
    opened = open_run_set("imagenet_resized/32x32:validation", 0, sections(config).data, tuple(frequencies["natural"]))
    assert len(opened.variant) == 96 and set(opened.prompt_names) <= set(imagenet_names("imagenet1k_eval").values())


def test_the_template_for_ones_own_study_is_a_study(tmp_path):
    page = (Path(__file__).parents[2] / "configs/study/own.md").read_text()
    code, _ = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "mine.py").write_text(code)
    study = load_config(str(tmp_path / "mine.py"))
    assert list(study.claims) == ["adjusted_odds_acc", "adjusted_slope_pred"]
    pairs = [[f"seed_{n}", f"seed_{n}_mirrored"] for n in (4, 5)]
    assert [list(replicate) for replicate in typed_study(study).replicates] == pairs


@pytest.mark.parametrize(
    "family, arguments, complaint",
    [
        (clip, "data=laionet,head=clip", "unknown config argument 'head'; there are data, .*batch_composition"),
        (
            clip,
            "data=laionet,text=bert",
            "config argument text is 'bert'; it must be one of random, init, frozen, roberta",
        ),
        (sup, "data=laionet,sampling=linear", "sampling is for a sampled vocabulary: give its size, as vocabulary=50"),
        (sup, "data=laionet,tail_classes=0,tail_shots=1", "config argument tail_shots is for the tail_classes"),
        (sup, "data=laionet,n=1,n=2", "config argument n is given twice"),
        (sup, "data=laionet,n=²", "config argument n is '²'; it must be a whole number"),
        (sup, "data=laionet,fraction=1/0", "argument fraction is '1/0'; it must be a number such as 0.25 or 1/4"),
        (paper, "family=colour", "unknown family 'colour'; there are captions, vocabulary, .* and all"),
        (paper, "family=captions,small=cifar100_lt", "with small=cifar100_lt; there are captions on glyphs_lt"),
        (remedies, "data=glyphs_lt,rate=fast", "config argument rate is 'fast'; it must be a number such as 0.25"),
        (remedies, "arms=sl", "unknown config argument 'arms'; there are data, .*, rate, tune, epochs, seeds"),
        (remedies, "tune=1", "the config argument tune is '1'; it must be one of no, yes"),
        (quickstart, "seed=3", "unknown config argument 'seed'; there are none"),
        (claims_small, "data=mnist", "the config argument data is 'mnist'; it must be one or more of glyphs"),
        *(
            (
                family,
                argument,
                f"config argument {argument.split(',')[-1][:-1]} is empty: give it a value, or leave it out",
            )
            for family, argument in (
                (sup, "data=laionet,sets="),
                (clip, "data=laionet,data_dir="),
                (paper, "small="),
                (claims_small, "data="),
                (collect, "base="),
            )
        ),
        (sup, "data=imagenet_captions,size=0", "config key 'data.eval_resize' is 0; it must be positive"),
        (
            remedies,
            "data=glyphs_lt,rate=0",
            "run 'sl': config key 'optimizer.learning_rate' is 0.0; it must be positive",
        ),
        (remedies, "data=glyphs_lt,rate=1e400", "config argument rate is '1e400'; it must be a number such as 0.25"),
        (remedies, "data=glyphs_lt,epochs=0", "run 'sl': config key 'total_epochs' is 0; it must be positive"),
        (remedies, "data=glyphs_lt,seeds=0", "config key 'seeds' is 0; it must be a positive whole number"),
    ],
)
def test_a_wrong_argument_is_named(family, arguments, complaint):
    with pytest.raises(UserError, match=complaint):
        config = family.get_config(arguments)
        typed_study(config) if "runs" in config else typed_config(config)


TEMPLATE = {"data.captions.template": "cname", "data.captions.words": ("text",)}


@pytest.mark.parametrize(
    "family, arguments, expected",
    [
        (clip, "data=laionet,captions=cname+text", TEMPLATE),
        (sup, "data=cifar100_lt,vocabulary=20", {"vocabulary.size": 20, "vocabulary.group_size": 0}),
        (sup, "data=laionet,vocabulary=50,group=32", {"vocabulary.group_size": 32}),
        (sup, "data=cifar100_lt,margin=0.3", {"loss.margin": 0.3}),
    ],
)
def test_an_argument_sets_its_fields(family, arguments, expected):
    """The golden file has configs with the other arguments."""
    values = dict(flatten(family.get_config(arguments)))
    assert values | expected == values


ROOT = Path(__file__).parents[2]
BASES = {"clip": "clip:data=imagenet_captions", "sl": "sup:data=imagenet_captions", "dino": "dino:data=laionet"}
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
    return {run.name: load_config(run.config) for run in catalogue.PAPER_RUNS}


def test_the_paper_has_170_names_of_163_different_trainings(configs):
    assert len(catalogue.RUNS) == 170 and len(catalogue.FURTHER_RUNS) == 7 and len(configs) == 177
    assert {run.family for run in catalogue.PAPER_RUNS} == set(catalogue.FAMILIES)
    first = {}
    first_names = {run.name: first.setdefault(repr(what_trains(configs[run.name])), run.name) for run in catalogue.RUNS}
    assert len(first) == 163
    assert first_names | {run.name: run.name for run in catalogue.FURTHER_RUNS} == catalogue.first_names()


def test_every_run_is_valid_and_evaluated_each_epoch(configs):
    for config in configs.values():
        typed_config(config)
        assert config.eval.every_epochs == 1 or not config.eval.sets
        assert config.eval.templates == "openai80" and config.eval.neural_collapse == bool(config.eval.sets)


@pytest.mark.parametrize("section", golden_configs.SECTIONS)
def test_configs_are_those_of_the_golden_file(section):
    """Deliberate changes are written by `python -m tests.golden_configs`."""
    current_values, expected = (
        dict(golden_configs.SECTIONS[section]()),
        json.loads(golden_configs.FILE.read_text())[section],
    )
    assert current_values.keys() == expected.keys()
    for name, values in expected.items():
        assert json.loads(json.dumps(current_values[name])) == values, name


@pytest.mark.parametrize("method", BASES)
def test_the_base_has_the_papers_hyperparameters(method):
    values = dict(flatten(load_config(BASES[method])))
    assert values | RECIPES[method] == values


def test_the_program_prints_every_run(capsys):
    assert study(["--list"]) == 0
    printed = capsys.readouterr().out
    rows = rows_by_name(printed, "run")
    assert [*rows] == [run.name for run in catalogue.PAPER_RUNS]
    for run in catalogue.PAPER_RUNS:
        assert rows[run.name]["config"] == f"`{run.config}`"
        assert rows[run.name]["what changes"].startswith(run.changes)
