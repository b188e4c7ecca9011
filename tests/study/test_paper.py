"""The studies of configs/study/paper.py: families of runs with their claims and figures, and small counterparts."""

import pytest

from cliptail_jax.errors import UserError
from cliptail_jax.study.check import check_study
from configs import catalogue
from configs.study import paper
from tests.what_trains import what_trains

BY_NAME = {run.name: run for run in catalogue.EVERY}


@pytest.fixture(scope="module")
def whole():
    study = paper.get_config("family=all+figures")
    check_study(study)
    return study


@pytest.mark.parametrize("family, number", [("figures", 7), ("distribution+imbalance", 9), ("all+figures", 170)])
def test_families_are_a_study_that_trains_each_run_once(family, number, whole):
    study = whole if number == 170 else paper.get_config(f"family={family}")
    assert len(study.runs) == number and set(study.runs) <= set(catalogue.first_names().values())
    trained = {name: repr(what_trains(config)) for name, config in study.runs.items()}
    assert len(set(trained.values())) == number
    for name, string in study.strings.items():
        assert repr(what_trains(catalogue.config_of(string))) == trained[name]


def test_every_claim_is_tested_by_its_family_on_the_same_set_for_both_runs(whole):
    assert set(paper.CLAIMS) == set(catalogue.FAMILIES)
    for family, claims in paper.CLAIMS.items():
        assert all(BY_NAME[name].family == family for _, _, *pair in claims for name in pair[:2])
        number = sum(len(statistics) for _, statistics, *_ in claims)
        assert sum(key.startswith(f"{family}_") for key in whole.claims) == number
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


def test_only_dino_runs_are_transferred_and_further_runs_are_shown(whole):
    assert set(whole.transfer.models) == {name for name in whole.runs if name.startswith("dino_")}
    shown = {run for figure in whole.figures.values() for run, *_ in figure.rows}
    assert {run.name for run in catalogue.FURTHER_RUNS} <= shown


@pytest.mark.parametrize(
    "family, preset, number", [("captions+diversity", "glyphs_lt", 12), ("all", "cifar100_lt", 48)]
)
def test_small_counterparts_take_as_many_steps_for_a_part_of_the_data(family, preset, number):
    study = paper.get_config(f"family={family},small={preset}")
    check_study(study)
    assert len(study.runs) == number
    study.epochs = 3
    for name, config in study.runs.items():
        assert config.total_epochs == 3 / config.data.fraction and config.eval.every_epochs == 5 / config.data.fraction
        assert config.data.name == preset.removesuffix("_lt") and config.data.profile.name == "exponential"
        assert not config.vocabulary.size or str(config.vocabulary.size) in name
        assert not config.data.tail.classes or f"_{config.data.tail.classes}_classes" in name


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
