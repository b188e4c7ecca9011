"""The studies of configs/study/paper.py: families of runs with their claims and figures, and small counterparts."""

import re

import pytest

from cliptail_jax.datasets.known_sources import TRANSFER_SETS
from cliptail_jax.errors import UserError
from cliptail_jax.study.run import check_study
from configs import catalogue
from configs.study import paper
from tests.what_trains import what_trains

BY_NAME = {run.name: run for run in catalogue.EVERY}
FIRST = catalogue.first_names()


@pytest.fixture(scope="module")
def whole():
    study = paper.get_config("family=all")
    check_study(study)
    return study


@pytest.mark.parametrize("family, number", [("figures", 7), ("distribution+imbalance", 9), ("all+figures", 170)])
def test_families_are_a_study_that_trains_each_run_once(family, number):
    study = paper.get_config(f"family={family}")
    assert len(study.runs) == number and set(study.runs) <= set(FIRST.values())
    assert len({repr(what_trains(config)) for config in study.runs.values()}) == number
    for name, string in study.strings.items():
        assert what_trains(catalogue.config_of(string)) == what_trains(study.runs[name])


def test_every_claim_is_tested_by_its_family(whole):
    assert set(paper.CLAIMS) == set(catalogue.FAMILIES)
    for family, claims in paper.CLAIMS.items():
        assert all(BY_NAME[name].family == family for _, _, *pair in claims for name in pair[:2])
        number = sum(len(statistics) for _, statistics, *_ in claims)
        assert sum(key.startswith(f"{family}_") for key in whole.claims) == number


def test_both_runs_of_a_claim_are_compared_on_the_same_set(whole):
    for key, claim in whole.claims.items():
        if claim.statistic != "probe":
            first = [whole.runs[name].eval.sets[0] for name in (claim.higher, claim.lower)]
            assert claim.get("set") == "imagenet100" if "imagenet100" in first else first == ["imagenet"] * 2, key


def test_shared_fields_are_set_once():
    study = paper.get_config("family=distribution")
    study.data_dir, study.seed, study.head, study.frequency = "DIR", 3, "mine.npy", "mine.tsv"
    for name, config in study.runs.items():
        assert (config.data.data_dir, config.seed) == ("DIR", 3)
        assert config.head.init == ("mine.npy" if name.endswith("_clip") else "")
        assert config.data.match.frequency == ("mine.tsv" if "matched" in name else "")


SHOWN = {  # by figure: the number of runs of the whole study, its family, and a pattern of the runs that it does not show
    "captions_vocabulary": (44, "captions", "_init"),
    "scale": (25, "scale", None),
    "trimmed_tail": (60, "trimmed_tail", None),
    "transfer": (6, "dino", None),
    "diversity": (12, "diversity", None),
    "open_world": (8, "concept_set", "_a_cname|_cls_"),
    "corpora": (8, "distribution", "_frozen|_clip"),
}


def test_the_figures_show_the_runs_of_their_families(whole):
    assert set(whole.figures) == set(SHOWN)
    for figure, (number, family, but) in SHOWN.items():
        shown = {run for run, *_ in whole.figures[figure].rows}
        of_family = {FIRST[run.name] for run in catalogue.RUNS if run.family == family}
        assert len(shown) == number, figure
        assert {name for name in of_family - shown if not but or not re.search(but, name)} == set(), figure
    with_further = paper.get_config("family=all+figures").figures.values()
    shown = {run for figure in with_further for run, *_ in figure.rows}
    assert {run.name for run in catalogue.FURTHER_RUNS} <= shown


def test_rows_of_figures_are_in_the_figures_order():
    figures = paper.get_config("family=distribution+concept_set+dino+figures").figures
    assert [label for _, label in figures["transfer"].rows] == [
        "all prototypes", "16,384 prototypes", "1,024 sampled", "4,096 sampled", "16,384 sampled",
        "on ImageNet", "on ImageNet, batch 512",
    ]  # fmt: skip
    assert list(dict.fromkeys(x for *_, x in figures["open_world"].rows)) == [
        "100 classes", "1,000 classes", "1,000 classes, all images"
    ]  # fmt: skip


def test_only_dino_runs_are_transferred(whole):
    assert set(whole.transfer.models) == {name for name in whole.runs if name.startswith("dino_")}
    assert whole.transfer.sets == tuple(TRANSFER_SETS)


@pytest.mark.parametrize(
    "family, preset, number",
    [("captions+diversity", "glyphs_lt", 8 + 4), ("all", "cifar100_lt", 13 + 6 + 24 + 5)],
)  # fmt: skip
def test_families_have_small_counterparts(family, preset, number):
    study = paper.get_config(f"family={family},small={preset}")
    check_study(study)
    assert len(study.runs) == number
    study.epochs = 3
    for name, config in study.runs.items():
        assert config.total_epochs == 3 / config.data.fraction and config.eval.every_epochs == 5 / config.data.fraction
        assert config.data.name == preset.removesuffix("_lt") and config.data.profile.name == "exponential"
        assert config.vocabulary.size in (0, *((8, 32, 128) if "dino" in name else (20, 40, 60, 80)))
        assert not config.vocabulary.size or str(config.vocabulary.size) in name
        assert config.data.tail.classes in (0, 1, 2, 5, 10, 20, 50)
        assert not config.data.tail.classes or f"_{config.data.tail.classes}_classes" in name


def test_cells_of_small_runs_have_their_own_sizes():
    study = paper.get_config("family=captions+vocabulary+diversity,small=glyphs_lt")
    cells = {run: cells for figure in study.figures.values() for run, *cells in figure.rows}
    assert cells["sl_vocabulary_20_linear_random"] == ["SL by vocabulary", "random", "20, linear"]
    assert cells["clip_captions_random"] == ["CLIP by captions", "random", "all text"]
    assert study.runs.clip_captions_random.data.captions.words == ("title", "tags", "description")
    assert cells["clip_diversity_threshold_055_random"] == ["CLIP", "0.55", "similarity threshold"]


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        ("family=colour", "unknown family 'colour'; there are captions, vocabulary, .* and all"),
        ("families=dino", "unknown config argument 'families'; there are family, small"),
        ("family=all,small=imagenet2012", "the family captions is not available with small=imagenet2012"),
        ("family=captions,small=cifar100_lt", "not available with small=cifar100_lt; there are captions on glyphs_lt"),
    ],
)
def test_an_unknown_family_is_named(arguments, complaint):
    with pytest.raises(UserError, match=complaint):
        paper.get_config(arguments)
