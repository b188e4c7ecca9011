"""The study's runs: how many, what each of them changes, and that each family trains."""

import itertools
import json
import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from absl import flags
from ml_collections import config_flags
from safetensors.numpy import save_file

from cliptail_jax.concepts.frequency_tables import write_frequency
from cliptail_jax.config.fields import flatten
from cliptail_jax.config.training import plain, validate, what_trains
from cliptail_jax.datasets.source import open_source
from cliptail_jax.errors import UserError
from cliptail_jax.files import read_lines
from cliptail_jax.pretrained.export import export
from cliptail_jax.study.__main__ import list_runs
from cliptail_jax.study.launch import train_commands
from cliptail_jax.study.run import check_study
from cliptail_jax.train import train
from configs import catalogue, clip, common, sup
from configs.study import paper, quickstart

ROOT = Path(__file__).parents[2]
BY_NAME = {run.name: run for run in catalogue.EVERY}

# How many the study has, by program and family.
COUNTS = {
    ("clip", "captions"): 24,
    ("clip", "concept_set"): 6,
    ("clip", "distribution"): 4,
    ("clip", "diversity"): 8,
    ("clip", "imbalance"): 4,
    ("clip", "scale"): 24,
    ("clip", "trimmed_tail"): 24,
    ("sl", "vocabulary"): 26,
    ("sl", "distribution"): 3,
    ("sl", "concept_set"): 5,
    ("sl", "trimmed_tail"): 36,
    ("dino", "dino"): 6,
}
SAME = {
    "clip_distribution_imagenet_captions_random": "clip_captions_imagenet_captions_random",
    "clip_distribution_imagenet_captions_frozen": "clip_captions_imagenet_captions_frozen",
    "clip_imbalance_laionet_matched_random": "clip_distribution_laionet_matched_random",
    "clip_imbalance_laionet_matched_frozen": "clip_distribution_laionet_matched_frozen",
    "clip_imbalance_laionet_n_random": "clip_diversity_threshold_07_random",
    "clip_imbalance_laionet_n_frozen": "clip_diversity_threshold_07_frozen",
    "sl_concept_set_imagenet_captions_random": "sl_vocabulary_full_random",
}

# Every field that is not off, of the recipes that the runs start from: the paper's appendix, and the defaults of what it leaves.
RECIPE = {
    "total_epochs": 90, "batch_size": 256, "accumulate_steps": 1, "log_every_steps": 50,
    "checkpoint.every_steps": 1000, "checkpoint.keep": 2,
    "eval.every_epochs": 1, "eval.batch_size": 256, "eval.templates": "openai80", "eval.waffle_kind": "words",
    "data.split": "train", "data.fraction": 1.0, "data.profile.ratio": 100.0, "data.profile.exponent": 1.0,
    "data.image_size": 224, "data.eval_resize": 256, "data.crop_scale": (0.9, 1.0), "data.max_unreadable": 0.001,
    "data.multi_crop.num_local": 8, "data.multi_crop.local_size": 96, "data.multi_crop.local_scale": (0.05, 0.14),
    "data.multi_crop.max_blur": 2.0, "data.multi_crop.on_device": True, "data.multi_crop.canvas": 384,
    "mesh.data": -1, "mesh.fsdp": 1,
    "model.image.name": "modified_resnet", "model.image.layers": (3, 4, 6, 3), "model.image.width": 64,
    "model.image.heads": 32, "model.image.patch_size": 32, "model.image.output_dim": 1024,
    "model.image.initialization": "clip",
    "model.text.name": "transformer", "model.text.width": 512, "model.text.layers": 12, "model.text.heads": 8, "model.text.context_length": 77,
    "model.text.vocab_size": 49408, "model.activation": "gelu", "model.dtype": "float32",
    "image.init": "random", "text.init": "random", "text.cache": True, "head.kind": "cosine",
    "vocabulary.sampling": "uniform", "dino.prototypes": 65536, "dino.hidden": 2048, "dino.bottleneck": 256,
    "dino.teacher_momentum": 0.996,
    "optimizer.name": "sgd", "optimizer.learning_rate": 0.1, "optimizer.weight_decay": 1e-4, "optimizer.momentum": 0.9,
    "optimizer.decay_vectors": True, "optimizer.b1": 0.9, "optimizer.b2": 0.999, "optimizer.eps": 1e-8,
    "optimizer.schedule": "cosine_epochs",
}  # fmt: skip
IMAGENET_CAPTIONS = {
    "data.name": "imagenet_captions", "eval.sets": ("imagenet", "imagenet_v2", "imagenet100"), "eval.neural_collapse": True,
}  # fmt: skip
BASES = {
    "sl": ("configs/sup.py:data=imagenet_captions", RECIPE | IMAGENET_CAPTIONS | {
        "objective": "supervised", "batch_norm.group_size": 64, "vocabulary.group_size": 64,
    }),
    "clip": ("configs/clip.py:data=imagenet_captions", RECIPE | IMAGENET_CAPTIONS | {
        "objective": "contrastive", "total_epochs": 32, "batch_size": 1024, "data.eval_resize": 224, "data.drop_last": True,
        "data.captions.template": "cname", "data.captions.words": ("title", "tags", "description"),
        "optimizer.name": "adamw", "optimizer.learning_rate": 1e-3, "optimizer.weight_decay": 0.2,
        "optimizer.schedule": "cosine_steps", "optimizer.warmup_steps": 500,
    }),
    "dino": ("configs/dino.py:data=laionet", RECIPE | {
        "objective": "dino", "total_epochs": 100, "batch_size": 1024, "model.image.initialization": "pytorch",
        "data.name": "laionet", "data.captions.words": ("text",), "data.min_similarity": 0.7, "data.keep_all_classes": True,
        "data.crop_scale": (0.14, 1.0), "data.flip": True, "data.drop_last": True, "dino.freeze_last_layer": 1,
        "optimizer.learning_rate": 0.12, "optimizer.final_learning_rate": 1e-6, "optimizer.decay_vectors": False,
        "optimizer.clip_each_norm": 3.0, "optimizer.schedule": "cosine_steps", "optimizer.warmup_epochs": 10,
    }),
}  # fmt: skip

# What may differ, and to what, from ImageNet-Captions with all its texts, a random tower or head, and the whole vocabulary;
# of DINO from LAIONet.
CLIP_WEIGHTS = "hf-hub:timm/resnet50_clip.openai"
ROBERTA = "hf-hub:FacebookAI/roberta-base"
TOWERS = {
    "random": {},
    "init": {"text.init": CLIP_WEIGHTS},
    "frozen": {"text.init": CLIP_WEIGHTS, "text.freeze": True},
    "roberta": {"text.init": ROBERTA, "text.freeze": True, "text.dropout": 0.1},
}
HEADS = {"random": {}, "clip": {"head.init": "heads/rn50.npy", "head.freeze": True}}
IMAGENET = {"eval.sets": ("imagenet", "imagenet_v2")}
LAIONET = IMAGENET | {
    "data.name": "laionet", "data.captions.words": ("text",), "data.min_similarity": 0.7, "data.keep_all_classes": True,
}  # fmt: skip
MATCHED = LAIONET | {
    "data.match.frequency": "in_captions/class_frequency.tsv", "data.match.fill": "laionet/retrieved:train",
}  # fmt: skip
RAW = {"data.captions.template": ""}
HUNDRED = {"data.classes.vocabulary": "imagenet100", "eval.sets": ("imagenet100",)}
TENTH = {"data.n": 44548}
NAMED = IMAGENET | {"data.class_match.vocabulary": "imagenet1k"}
CC12M = NAMED | {"data.name": "image_text/cc12m", "data.captions.words": ("caption",)}
YFCC15M = NAMED | {"data.name": "image_text/yfcc15m", "data.captions.words": ("title", "description")}


def words(*fields):
    return {"data.captions.words": fields}


def template(name, **more):
    return {"data.captions.template": name, "data.captions.words": ()} | {
        f"data.captions.{k}": v for k, v in more.items()
    }


def vocabulary(size, sampling):
    return {"vocabulary.size": size} | ({"vocabulary.sampling": sampling} if sampling != "uniform" else {})


SUBSETS = {
    "title": words("title"),
    "tags": words("tags"),
    "description": words("description"),
    "title_tags": words("title", "tags"),
    "title_description": words("title", "description"),
    "tags_description": words("tags", "description"),
}
TEMPLATES = {"openai80": template("openai80"), "openai80_synset": template("openai80", synset=True)}
THRESHOLDS = {
    f"threshold_{name}": LAIONET | RAW | {"data.min_similarity": value, "data.n": 448896}
    for name, value in {"07": 0.7, "075": 0.75, "08": 0.8, "082": 0.82}.items()
}
PARTS = {"1": 1.0, "1_2": 0.5, "1_4": 0.25, "1_8": 0.125, "1_16": 0.0625, "1_32": 0.03125}
CUTS = {
    f"{classes}_classes_{shots}_shot": IMAGENET
    | {"data.tail.classes": classes, "eval.tail_classes": classes}
    | ({"data.tail.shots": shots} if shots else {})
    for classes in (5, 20, 50, 100, 200, 500)
    for shots in (0, 1)
}
BATCH_1024 = {
    "batch_size": 1024,
    "optimizer.learning_rate": 0.4,
    "batch_norm.group_size": 256,
    "vocabulary.group_size": 256,
}
SAMPLED = BATCH_1024 | vocabulary(50, "linear")
VOCABULARIES = {
    f"{size}_{sampling}": vocabulary(size, sampling)
    for size, sampling in itertools.product((50, 100, 200, 500), ("uniform", "linear", "sqrt"))
}
TABLE = [
    ("clip", "captions", {"imagenet_captions": {}} | TEMPLATES, ("random", "frozen")),
    ("clip", "captions", SUBSETS, ("random", "frozen", "init")),
    ("clip", "distribution", {"imagenet_captions": {}, "laionet_matched": MATCHED | RAW}, ("random", "frozen")),
    ("clip", "diversity", THRESHOLDS, ("random", "frozen")),
    ("clip", "imbalance", {"laionet_matched": MATCHED | RAW, "laionet_n": THRESHOLDS["threshold_07"]}, ("random", "frozen")),
    ("clip", "scale", {n: LAIONET | RAW | {"data.fraction": f} for n, f in PARTS.items()}, tuple(TOWERS)),
    ("clip", "concept_set", {"imagenet_captions_100": HUNDRED}, ("random", "frozen")),
    ("clip", "concept_set", {"10_percent": TENTH, "10_percent_a_cname": TENTH | template("a+cname")}, ("frozen",)),
    ("clip", "concept_set", {"cc12m_cls": CC12M | RAW, "yfcc15m_cls": YFCC15M | RAW}, ("random",)),
    ("clip", "trimmed_tail", CUTS, ("random", "frozen")),
    ("sl", "vocabulary", {"full": {}} | VOCABULARIES, ("random", "clip")),
    ("sl", "distribution", {"laionet_matched": MATCHED}, ("random", "clip")),
    ("sl", "distribution", {"laionet": LAIONET}, ("clip",)),
    ("sl", "concept_set", {"imagenet_captions": {}, "imagenet_captions_100": HUNDRED, "10_percent": TENTH}, ("random",)),
    ("sl", "concept_set", {"cc12m_cls": CC12M, "yfcc15m_cls": YFCC15M}, ("random",)),
    ("sl", "trimmed_tail", CUTS, ("random", "clip")),
    ("sl", "trimmed_tail", {f"{name}_sampled": cut | SAMPLED for name, cut in CUTS.items()}, ("clip",)),
    ("sl", "figures", {"laionet": LAIONET}, ("random",)),
    ("sl", "figures", {"imagenet_captions_100": HUNDRED, "10_percent": TENTH}, ("clip",)),
    ("clip", "figures", {
        "a_cname": template("a+cname"),
        "a_cname_all_text": {"data.captions.template": "a+cname"},
        "openai80_all_text": {"data.captions.template": "openai80"},
    }, ("random",)),
]  # fmt: skip
DINO_IMAGENET = {
    "data.name": "imagenet2012", "data.captions.words": (), "data.min_similarity": 0.0, "data.keep_all_classes": False,
}  # fmt: skip
EXPECTED = {
    f"{program}_{family}_{factor}_{init}": fields | (TOWERS if program == "clip" else HEADS)[init]
    for program, family, factors, inits in TABLE
    for factor, fields in factors.items()
    for init in inits
} | {
    "dino_imagenet": DINO_IMAGENET,
    "dino_laionet": {},
    "dino_laionet_16384": {"dino.prototypes": 16384, "dino.freeze_last_layer": 0},
    "dino_laionet_sampled_1024": {"vocabulary.size": 1024, "dino.freeze_last_layer": 0},
    "dino_laionet_sampled_4096": {"vocabulary.size": 4096, "dino.freeze_last_layer": 0},
    "dino_laionet_sampled_16384": {"vocabulary.size": 16384, "dino.freeze_last_layer": 0},
    "dino_imagenet_batch_512": DINO_IMAGENET | {"batch_size": 512, "optimizer.learning_rate": 0.06},
}


@pytest.fixture(scope="module")
def configs():
    return {run.name: catalogue.config_of(run.config) for run in catalogue.EVERY}


def test_the_study_has_170_names(configs):
    assert Counter((run.name.split("_")[0], run.family) for run in catalogue.RUNS) == COUNTS
    assert len(catalogue.RUNS) == 170 and len(catalogue.FURTHER_RUNS) == 7 and len(BY_NAME) == 177
    assert {run.family for run in catalogue.EVERY} == set(catalogue.FAMILIES)


def test_of_them_163_train_differently(configs):
    first, same = {}, {}
    for run in catalogue.RUNS:
        earlier = first.setdefault(repr(what_trains(plain(configs[run.name]))), run.name)
        if earlier != run.name:
            same[run.name] = earlier
    assert len(first) == 163 and same == SAME
    assert {name: one for name, one in catalogue.first_names().items() if one != name} == SAME


def test_every_run_is_valid_and_measured_each_epoch(configs):
    for config in configs.values():
        validate(config)
        if config.objective != "dino":
            assert (config.eval.every_epochs, config.eval.templates, config.eval.neural_collapse) == (
                1,
                "openai80",
                True,
            )


@pytest.fixture(scope="module")
def bases():
    return {program: dict(flatten(catalogue.config_of(string))) for program, (string, _) in BASES.items()}


@pytest.mark.parametrize("program", BASES)
def test_a_base_has_the_studys_recipe_and_all_else_is_off(program, bases):
    base, expected = ({k: v for k, v in fields.items() if v} for fields in (bases[program], BASES[program][1]))
    assert base == expected


def test_every_run_differs_from_its_base_in_its_factors_and_in_nothing_else(configs, bases):
    assert set(EXPECTED) == set(configs)
    for name, config in configs.items():
        base = bases[name.split("_")[0]]
        differing = {key: value for key, value in flatten(config) if value != base[key]}
        assert differing == {key: value for key, value in EXPECTED[name].items() if value != base[key]}, name


def test_the_table_of_runs_is_current_and_the_study_program_prints_it(capsys):
    list_runs()
    assert (ROOT / "configs" / "README.md").read_text() == capsys.readouterr().out


def test_the_table_of_runs_is_printed_where_the_configs_are(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "configs.catalogue", None)  # as where the clone is not
    with pytest.raises(SystemExit) as stopped:
        list_runs()
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "error: --list: run it from the clone's root: configs/ is there\n"


# Arguments


@pytest.mark.parametrize(
    "family, arguments, complaint",
    [
        (clip, "head=clip", "unknown config argument 'head'; there are data, .*batch_size, captions, text"),
        (sup, "text=init", "unknown config argument 'text'; there are .*head, vocabulary, sampling, group"),
        (clip, "text=bert", "config argument text is 'bert'; it is one of random, init, frozen, roberta"),
        (sup, "head=frozen", "config argument head is 'frozen'; it is one of random, clip"),
        (sup, "vocabulary=50,sampling=log", "config argument sampling is 'log'; it is one of uniform, linear, sqrt"),
        (
            sup,
            "sampling=linear",
            "config argument sampling is for a sampled vocabulary: give its size, as vocabulary=50",
        ),
        (sup, "group=32", "config argument group is for a sampled vocabulary"),
        (sup, "tail_classes=0,tail_shots=1", "config argument tail_shots is for the tail_classes"),
        (sup, "n=1,n=2", "config argument n is given twice"),
        (sup, "n=²", "config argument n is '²'; it is a whole number"),
        (sup, "n=1e3", "config argument n is '1e3'; it is a whole number"),
        (sup, "fraction=1/0", "config argument fraction is '1/0'; it is a number such as 0.25 or 1/4"),
        (sup, "threshold=high", "config argument threshold is 'high'"),
        (sup, "tail_shots=1", "tail_shots is for the tail_classes: give their number"),
    ],
)
def test_a_wrong_argument_is_named(family, arguments, complaint):
    with pytest.raises(UserError, match=complaint):
        family.get_config(f"data=laionet,{arguments}")


@pytest.mark.parametrize(
    "told, front, synset, behind",
    [
        ("cname", "cname", False, ()),
        ("a+cname", "a+cname", False, ()),
        ("a+cname+title", "a+cname", False, ("title",)),
        ("title+tags", "cname", False, ("title", "tags")),
        ("openai80+synset+tags", "openai80", True, ("tags",)),
    ],
)
def test_captions_are_a_template_and_text_fields(told, front, synset, behind):
    captions = clip.get_config(f"data=imagenet_captions,captions={told}").data.captions
    assert (captions.template, captions.synset, captions.words) == (front, synset, behind)


def test_raw_captions_have_a_class_name_in_front_where_it_is_asked_for():
    assert clip.get_config("data=laionet,captions=text").data.captions.template == ""
    captions = clip.get_config("data=laionet,captions=cname+text").data.captions
    assert (captions.template, captions.words) == ("cname", ("text",))


def test_the_group_that_shares_a_vocabulary_may_be_given():
    assert sup.get_config("data=cifar100_lt,vocabulary=20").vocabulary.group_size == 0
    assert sup.get_config("data=cifar100_lt,vocabulary=20,group=32").vocabulary.group_size == 32
    assert sup.get_config("data=laionet,vocabulary=50,group=32").vocabulary.group_size == 32


# Studies


@pytest.mark.parametrize("family", [*catalogue.FAMILIES, "distribution+imbalance", "all", "all+figures"])
def test_a_family_is_a_study_that_runs_each_once(family):
    study = paper.get_config(f"family={family}")
    check_study(study)
    names = [run.name for run in catalogue.RUNS if run.family == family] or list(study.runs)
    assert list(study.runs) == [SAME.get(name, name) for name in names]
    assert len(study.runs) == {"distribution+imbalance": 9, "all": 163, "all+figures": 170}.get(family, len(names))
    trained = [repr(what_trains(plain(config))) for config in study.runs.values()]
    assert len(set(trained)) == len(trained)
    for name, string in study.strings.items():
        assert plain(catalogue.config_of(string)) | {"eval.sets": []} == plain(study.runs[name]) | {"eval.sets": []}


def test_all_claims_are_tested_in_their_families():
    assert set(paper.CLAIMS) == set(catalogue.FAMILIES)
    for family, claims in paper.CLAIMS.items():
        for _, _, *pair in claims:
            assert all(BY_NAME[name].family == family for name in pair[:2])
        assert len(paper.get_config(f"family={family}").claims) == sum(len(claim[1]) for claim in claims)


def test_what_all_runs_share_is_given_once():
    study = paper.get_config("family=distribution")
    study.data_dir, study.seed, study.head, study.frequency = "DIR", 3, "mine.npy", "mine.tsv"
    for name, config in study.runs.items():
        assert (config.data.data_dir, config.seed) == ("DIR", 3)
        assert config.head.init == ("mine.npy" if name.endswith("_clip") else "")
        assert config.data.match.frequency == ("mine.tsv" if "matched" in name else "")


@pytest.mark.parametrize("family", ["all", "concept_set"])
def test_both_runs_of_a_claim_are_compared_on_the_same_set(family):
    study = paper.get_config(f"family={family}")
    check_study(study)
    for key, claim in study.claims.items():
        if claim.statistic != "probe":
            first = [study.runs[name].eval.sets[0] for name in (claim.higher, claim.lower)]
            assert claim.get("set") == "imagenet100" if "imagenet100" in first else first == ["imagenet"] * 2, key


SHOWN = {  # by figure: how many runs of the whole study, and what it does not show of its families
    "captions_vocabulary": (44, {"captions": "_init"}),
    "scale": (25, {"scale": ""}),
    "trimmed_tail": (60, {"trimmed_tail": ""}),
    "transfer": (6, {"dino": ""}),
    "diversity": (12, {"diversity": ""}),
    "open_world": (8, {"concept_set": "_a_cname|_cls_"}),
    "corpora": (8, {"distribution": "_frozen|_clip"}),
}


def test_the_papers_figures_show_the_runs_of_their_families():
    study = paper.get_config("family=all")
    assert set(study.figures) == set(SHOWN)
    for figure, (number, left) in SHOWN.items():
        shown = {run for run, *_ in study.figures[figure].rows}
        assert len(shown) == number, figure
        for family, but in left.items():
            of_family = {SAME.get(run.name, run.name) for run in catalogue.RUNS if run.family == family}
            lacking = {name for name in of_family - shown if not but or not re.search(but, name)}
            assert not lacking, figure
    with_further = paper.get_config(f"family={'+'.join(catalogue.FAMILIES)}").figures.values()
    shown = {run for figure in with_further for run, *_ in figure.rows}
    assert {run.name for run in catalogue.FURTHER_RUNS} <= shown


def test_rows_of_figures_stand_in_the_figures_order():
    figures = paper.get_config("family=distribution+concept_set+dino+figures").figures
    assert [label for _, label in figures["transfer"].rows] == [
        "all prototypes", "16,384 prototypes", "1,024 sampled", "4,096 sampled", "16,384 sampled",
        "on ImageNet", "on ImageNet, batch 512",
    ]  # fmt: skip
    assert list(dict.fromkeys(x for *_, x in figures["open_world"].rows)) == [
        "100 classes", "1,000 classes", "1,000 classes, all images"
    ]  # fmt: skip


def test_cells_say_of_a_small_run_what_it_is():
    study = paper.get_config("family=captions+vocabulary+diversity,small=glyphs_lt")
    cells = {run: cells for figure in study.figures.values() for run, *cells in figure.rows}
    assert cells["sl_vocabulary_20_linear_random"] == ["SL by vocabulary", "random", "20, linear"]
    assert cells["clip_captions_random"] == ["CLIP by captions", "random", "all text"]
    assert study.runs.clip_captions_random.data.captions.words == ("title", "tags", "description")
    assert cells["clip_diversity_threshold_055_random"] == ["CLIP", "0.55", "similarity threshold"]


def test_dino_runs_alone_are_transferred():
    transfer = paper.get_config("family=all").transfer
    assert sorted(transfer.models) == sorted(name for name in BY_NAME if name.startswith("dino_") and "512" not in name)
    assert len(transfer.sets) == 12


@pytest.mark.parametrize(
    "family, preset, number",
    [("captions", "glyphs_lt", 8), ("vocabulary", "cifar100_lt", 13), ("scale", "glyphs_lt", 6),
     ("trimmed_tail", "cifar100_lt", 24), ("dino", "cifar100_lt", 5), ("diversity", "glyphs_lt", 4),
     ("all", "cifar100_lt", 13 + 6 + 24 + 5)],
)  # fmt: skip
def test_a_family_has_small_counterparts(family, preset, number):
    study = paper.get_config(f"family={family},small={preset}")
    check_study(study)
    assert len(study.runs) == number
    study.epochs = 3
    for name, config in study.runs.items():
        expected = common.PRESETS[preset].fields
        assert config.total_epochs == 3 / config.data.fraction and config.eval.every_epochs == 5 / config.data.fraction
        assert config.data.name == expected["name"] and config.data.profile.name == "exponential"
        assert config.vocabulary.size in (0, *((64, 256, 1024) if "dino" in name else (20, 40, 60, 80)))
        assert not config.vocabulary.size or str(config.vocabulary.size) in name
        assert config.data.tail.classes in (0, 1, 2, 5, 10, 20, 50)
        assert not config.data.tail.classes or f"_{config.data.tail.classes}_classes" in name


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        ("family=colour", "unknown family 'colour'; there are captions, vocabulary, .* and all"),
        ("families=dino", "unknown config argument 'families'; there are family, small"),
        ("family=imbalance,small=glyphs_lt", "the family imbalance is not to be had with small=glyphs_lt"),
        ("family=all,small=imagenet2012", "the family captions is not to be had with small=imagenet2012"),
        (
            "family=captions,small=cifar100_lt",
            "captions is not to be had with small=cifar100_lt; there are captions on glyphs",
        ),
    ],
)
def test_a_family_that_is_not_there_is_named(arguments, complaint):
    with pytest.raises(UserError, match=complaint):
        paper.get_config(arguments)


@pytest.mark.parametrize("family", ["concept_set", "dino", "vocabulary,small=glyphs_lt"])
def test_each_run_has_a_command_that_trains_it(family, monkeypatch):
    monkeypatch.chdir(ROOT)
    study = paper.get_config(f"family={family}")
    study.data_dir, study.seed, study.dtype = "the data", 3, "bfloat16"
    commands = train_commands(study, Path("runs/paper"))
    assert len(commands) == len(study.runs)
    for line, (name, config) in zip(commands, study.runs.items()):
        arguments = shlex.split(line)
        assert arguments[:3] == ["python", "-m", "cliptail_jax.train"] and f"--workdir=runs/paper/{name}" in arguments
        values = flags.FlagValues()
        config_flags.DEFINE_config_file("config", flag_values=values)
        flags.DEFINE_string("workdir", None, "", flag_values=values)
        monkeypatch.setattr("sys.argv", arguments[2:])  # where overrides are looked for
        values(arguments[2:])
        assert plain(values.config) == plain(config)


def test_commands_are_printed_in_place_of_training(tmp_path):
    string = "configs/study/paper.py:family=distribution"
    program = [sys.executable, "-m", "cliptail_jax.study", f"--config={string}", f"--workdir={tmp_path}"]
    arguments = [*program, "--launch=print", "--config.frequency=mine.tsv"]
    lines = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == 7 and sum("--config.data.match.frequency=mine.tsv" in line for line in lines) == 4
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "config, complaint",
    [("paper.py:family=colour", "unknown family 'colour'; there are captions"), ("none.py", "none.py' does not exist")],
)
def test_a_config_file_that_fails_is_one_line(config, complaint, tmp_path):
    program = [sys.executable, "-m", "cliptail_jax.study", f"--config=configs/study/{config}", f"--workdir={tmp_path}"]
    result = subprocess.run(program, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: ") and complaint in line


def test_a_study_without_config_strings_has_no_commands():
    with pytest.raises(UserError, match="no config strings of their own: train them here, without --launch"):
        train_commands(quickstart.get_config(), Path("runs"))


# One step of each family, on a few glyphs by a network of a few thousand parameters


@pytest.fixture(scope="module")
def tiny(glyphs_dir, tmp_path_factory):
    """Makes a config small: other data of the same fields, everything that has a size cut, and what is published drawn."""
    folder = tmp_path_factory.mktemp("tiny")
    names = open_source("glyphs", str(glyphs_dir), "train").class_names
    write_frequency(folder / "frequency.tsv", names[:12], np.arange(12))
    (folder / "classes.json").write_text(json.dumps([{"name": name} for name in names[:12]]))
    np.save(folder / "head.npy", np.random.default_rng(0).normal(size=(12, 16)).astype(np.float32))

    def make(config):
        config = config.copy_and_resolve_references()
        config.total_steps, config.batch_size, config.eval.sets = 1, 16, ()
        for groups in (config.batch_norm, config.vocabulary):
            groups.group_size = 4 if groups.group_size else 0
        config.vocabulary.size = min(config.vocabulary.size, 6)
        data = config.data
        data.update(dict(name="glyphs", data_dir=str(glyphs_dir), image_size=32, eval_resize=32, min_similarity=0.0))
        data.classes.update(dict(vocabulary="", first=12))
        data.class_match.vocabulary = str(folder / "classes.json") if data.class_match.vocabulary else ""
        data.captions.words = tuple(dict(text="title", caption="title").get(word, word) for word in data.captions.words)
        data.n, data.fraction = min(data.n, 40), max(data.fraction, 0.25)
        data.tail.classes = min(data.tail.classes, 3)
        data.multi_crop.update(dict(num_local=1, local_size=16, canvas=32, on_device=False))
        if data.match.frequency:
            data.match.update(dict(frequency=str(folder / "frequency.tsv"), fill="glyphs:test"))
        if config.objective != "supervised":  # as `published` is, so that most CLIPs share one compiled step
            config.model.image.update(dict(name="vit", layers=(1,), heads=2, width=16, patch_size=8, output_dim=16))
        else:
            config.model.image.update(dict(name="basic_resnet", layers=(1, 1, 1), width=4, output_dim=16))
        config.model.text.update(dict(width=16, layers=1, heads=2, context_length=8, vocab_size=520))
        config.dino.update(dict(prototypes=40, hidden=16, bottleneck=8))
        config.head.init = str(folder / "head.npy") if config.head.init else ""
        return config

    return make


@pytest.fixture(scope="module")
def published(tiny, tmp_path_factory):
    """The folder of a CLIP, in place of OpenAI's."""
    folder = tmp_path_factory.mktemp("published")
    config = tiny(catalogue.config_of("configs/clip.py:captions=cname"))
    train(config, folder / "run")
    export(folder / "run", folder / "model")
    return str(folder / "model")


@pytest.fixture(scope="module")
def roberta(tmp_path_factory):
    """The folder of an encoder of one layer, in place of RoBERTa."""
    folder = tmp_path_factory.mktemp("roberta")
    tokenizer = (ROOT / "tests/data/tokenizer_roberta.json").read_text()
    case = json.loads((ROOT / "tests/data/pretrained_parity.json").read_text())["roberta-mean"]
    size = len(json.loads(tokenizer)["model"]["vocab"])
    start, drawn = "text.transformer.", np.random.default_rng(0)
    shapes = {key.removeprefix(start): shape for key, shape in case["shapes"].items() if key.startswith(start)}
    shapes["embeddings.word_embeddings.weight"][0] = size
    weights = {
        key: drawn.normal(0, 0.1, shape).astype(np.float32) for key, shape in shapes.items() if "layer.1." not in key
    }
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(case["encoder"] | {"vocab_size": size, "num_hidden_layers": 1}))
    (folder / "tokenizer.json").write_text(tokenizer)
    return str(folder)


@pytest.mark.parametrize(
    "name",
    [
        "clip_captions_title_description_init",
        "clip_distribution_laionet_matched_frozen",
        "clip_diversity_threshold_075_random",
        "clip_imbalance_laionet_n_frozen",
        "clip_scale_1_2_roberta",
        "clip_concept_set_cc12m_cls_random",
        "clip_trimmed_tail_20_classes_1_shot_random",
        "sl_vocabulary_50_sqrt_random",
        "sl_distribution_laionet_matched_clip",
        "sl_concept_set_yfcc15m_cls_random",
        "sl_trimmed_tail_50_classes_1_shot_sampled_clip",
        "dino_laionet_sampled_1024",
        "clip_figures_openai80_all_text_random",
        "sl_figures_laionet_random",
        "dino_imagenet_batch_512",
    ],
)
def test_a_family_trains(name, configs, tiny, published, roberta, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    config = tiny(configs[name])
    config.text.init = {CLIP_WEIGHTS: published, ROBERTA: roberta}.get(config.text.init, "random")
    train(config, tmp_path / name)
    (line,) = read_lines(tmp_path / name / "metrics.jsonl")
    assert np.isfinite(line["train/loss"])
