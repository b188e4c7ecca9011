"""The small studies of configs/study. The values of their runs and claims are in the golden file of test_catalogue.py."""

import pytest

from cliptail_jax.errors import UserError
from cliptail_jax.study.check import check_study
from cliptail_jax.study.replicates import replicates_of
from configs.study import claims_small, dino_cifar100_lt, doses, mechanism, quickstart
from tests.golden_configs import STUDIES, changes


@pytest.mark.parametrize("name", STUDIES)
def test_the_studies_are_valid_and_their_fields_are_those_of_all_runs(name):
    config = STUDIES[name]()
    check_study(config)
    config.data_dir, config.seed = "/data", 3
    assert {run.data.data_dir for run in config.runs.values()} == {"/data"}
    assert {run.seed for run in config.runs.values()} == {3}


@pytest.mark.parametrize(
    "study, argument, complaint",
    [
        (quickstart, "seed=3", "unknown config argument 'seed'; there are none"),
        (doses, "seed=3", "unknown config argument 'seed'; there are none"),
        (claims_small, "data=mnist", "the config argument is data= with one or more of glyphs"),
    ],
)
def test_a_wrong_argument_of_a_study_is_named(study, argument, complaint):
    with pytest.raises(UserError, match=complaint):
        study.get_config(argument)


def test_claims_small_takes_the_data_as_its_argument():
    study = claims_small.get_config("data=glyphs")
    assert all(name.startswith("glyphs_") for name in study.runs)
    assert {claim.text for claim in claims_small.get_config().claims.values()} == {
        text for text, *_ in claims_small.CLAIMS
    }


@pytest.mark.parametrize(
    "study, run, seeds", [(claims_small, "glyphs_sl", 2), (dino_cifar100_lt, "dino", 4), (mechanism, "sl", 4)]
)
def test_each_seed_or_pair_assigns_frequencies_anew(study, run, seeds):
    replicates = replicates_of(study.get_config())
    seeds_of = [{configs.runs[run].data.seed for configs in replicate.values()} for replicate in replicates]
    assert seeds_of == [{seed} for seed in range(seeds)]


def test_the_runs_from_sl_to_clip_have_equal_data_and_length():
    runs = mechanism.get_config().runs
    assert {key.split(".")[0] for key in changes(runs.sl, runs.sl_adamw)} == {"optimizer"}
    for config in runs.values():
        assert (config.total_epochs, config.batch_size) == (runs.sl.total_epochs, runs.sl.batch_size)
        assert set(changes(config.data, runs.sl.data)) <= {
            "balanced_sampling", "batch_composition", "captions.template", "captions.words", "drop_last"
        }  # fmt: skip


def test_doses_see_equally_many_images_or_take_equally_many_steps():
    runs = doses.get_config().runs
    images = {run.batch_size * run.total_steps for name, run in runs.items() if not name.startswith("steps")}
    assert max(images) - min(images) < 512
    assert len({runs[name].total_steps for name in ("clip", "steps_32", "steps_512")}) == 1
