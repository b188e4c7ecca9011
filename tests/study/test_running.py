"""Which runs a study trains and evaluates, what it does when some fail, and the mistakes that it names."""

import json

import pytest

from cliptail_jax.errors import UserError
from cliptail_jax.study import run as study
from cliptail_jax.study import training
from configs import sup
from tests.study.synthetic_studies import (
    claim,
    confusion_of,
    make_seeded_study,
    make_study,
    read_report,
    write_run,
)


def test_finished_runs_are_not_trained_again_and_the_report_stays_the_same(trains, tmp_path):
    slopes, trained = trains
    slopes.update(a=0.5, b=0.1)
    made = make_study("a", "b", c=claim("corr_acc", "a", "b"))
    reports = []
    for _ in range(2):
        study.run_study(made, tmp_path)
        reports.append(read_report(tmp_path)[1])
        assert reports[-1].pop("seconds") > 0
    assert trained == ["a", "b"] and reports[0] == reports[1]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UserError("the loss is nan at step 3"), "the loss is nan at step 3"),
        (RuntimeError("out of memory\nand more"), "RuntimeError: out of memory"),
    ],
)
def test_a_failed_run_is_reported_and_the_others_go_on(error, reason, trains, tmp_path):
    slopes, trained = trains
    slopes.update(a=0.5, broken=error, b=0.1)
    claims = dict(one=claim("corr_acc", "a", "broken"), other=claim("corr_acc", "a", "b"))
    with pytest.raises(UserError, match="1 of 3 runs failed: broken"):
        study.run_study(make_study("a", "broken", "b", **claims), tmp_path)
    text, report = read_report(tmp_path)
    assert trained == ["a", "broken", "b"]
    assert list(report["runs"]) == ["a", "b"] and report["failures"] == {"broken": reason}
    assert f"**broken failed**: {reason}" in text
    assert [c["verdict"] for c in report["claims"]] == ["not tested", "supported"]
    assert report["claims"][0]["difference"] is None and "| broken failed | 0 | **not tested** | not tested |" in text


def test_when_every_run_fails_there_is_still_a_report(trains, tmp_path):
    trains[0].update(a=UserError("no data set"))
    with pytest.raises(UserError, match="1 of 1 runs failed"):
        study.run_study(make_study("a", c=claim("tail", "a", "a")), tmp_path / "new")
    text, report = read_report(tmp_path / "new")
    assert report["runs"] == {} and "no data set" in text and "study.png" not in text


def test_a_finished_run_is_evaluated_again_with_other_options(trains, tmp_path, monkeypatch):
    slopes, trained = trains
    slopes["one"] = 0.5
    made = make_study("one")
    study.run_study(made, tmp_path)
    evaluated = []

    def evaluate(config, workdir):
        evaluated.append(config.eval.tail_classes)
        write_run(config, workdir, confusion_of(0.0, 1))

    monkeypatch.setattr(training, "evaluate", evaluate)
    study.run_study(made, tmp_path)
    assert evaluated == []
    made.runs.one.eval.tail_classes = 3
    study.run_study(made, tmp_path)
    study.run_study(made, tmp_path)
    assert evaluated == [3] and trained == ["one"]


@pytest.fixture
def fail(trains, monkeypatch):
    """Makes the training of one run of one seed fail."""

    def of_run(seed_and_run):
        train = training.train

        def train_but_one(config, workdir, overwrite=False):
            if workdir.parts[-2:] == seed_and_run:
                raise UserError("the loss is nan")
            train(config, workdir, overwrite)

        monkeypatch.setattr(training, "train", train_but_one)

    return of_run


def test_a_seed_in_which_a_run_failed_is_left_out_of_its_claims(trains, fail, tmp_path):
    slopes, _ = trains
    slopes.update(a=0.8, b=0.0)
    fail(("seed_4", "b"))
    with pytest.raises(UserError, match="1 of 4 runs failed: seed_4/b"):
        study.run_study(make_seeded_study(2, "a", "b", c=claim("corr_acc", "a", "b")), tmp_path)
    _, report = read_report(tmp_path)
    assert len(report["claims"][0]["by_seed"]) == 1 and report["claims"][0]["verdict"] == "supported"


@pytest.mark.parametrize(("minutes", "seeds"), [(0, 4), (4.6, 2), (0.1, 1)])
def test_as_many_seeds_are_trained_as_fit_into_the_budget(minutes, seeds, trains, tmp_path, monkeypatch):
    """A run takes 45 seconds by the clock, but 90 by its own account, which counts for finished runs."""
    slopes, trained = trains
    slopes.update(a=0.8, b=0.0)
    monkeypatch.setattr(study.time, "perf_counter", lambda: 45.0 * len(trained))
    made = make_seeded_study(4, "a", "b")
    study.run_study(made, tmp_path, budget=minutes)
    text, report = read_report(tmp_path)
    assert len(trained) == 2 * seeds and len(report["runs"]) == seeds
    assert (f", {seeds} of 4 seeds\n" in text) == (seeds < 4)
    if seeds == 2:
        study.run_study(made, tmp_path)
        study.run_study(made, tmp_path, budget=0.1)  # keeps all seeds that are finished
        assert len(trained) == 8 and len(read_report(tmp_path)[1]["runs"]) == 4


@pytest.fixture
def counterbalanced():
    def make(seeds, **claims):
        made = make_seeded_study(seeds, "a", "b", **claims)
        made.counterbalanced = True
        return made

    return make


def test_a_counterbalanced_study_trains_mirrored_pairs_of_each_seed(counterbalanced, trains, tmp_path):
    trains[0].update(a=0.8, b=0.0)
    study.run_study(counterbalanced(4, c=claim("slope_acc", "a", "b")), tmp_path)
    text, report = read_report(tmp_path)
    assert list(report["runs"]) == ["seed_3", "seed_3_mirrored", "seed_4", "seed_4_mirrored"]
    for seed in (3, 4):
        plain, mirrored = (
            json.loads((tmp_path / name / "a" / "config.json").read_text())["config"]
            for name in (f"seed_{seed}", f"seed_{seed}_mirrored")
        )
        assert {key for key in plain if plain[key] != mirrored[key]} == {"data.profile.mirrored"}
        assert (plain["seed"], plain["data.profile.mirrored"], mirrored["data.profile.mirrored"]) == (seed, False, True)
    (tested,) = report["claims"]
    assert len(tested["by_seed"]) == 2 and tested["verdict"] == "supported"
    assert "They are 2 mirrored pairs" in text


def test_a_pair_of_which_one_run_failed_is_left_out(counterbalanced, trains, fail, tmp_path):
    trains[0].update(a=0.8, b=0.0)
    fail(("seed_3_mirrored", "b"))
    with pytest.raises(UserError, match="1 of 8 runs failed: seed_3_mirrored/b"):
        study.run_study(counterbalanced(4, c=claim("slope_acc", "a", "b")), tmp_path)
    _, report = read_report(tmp_path)
    assert len(report["claims"][0]["by_seed"]) == 1


def test_a_budget_starts_whole_pairs(counterbalanced, trains, tmp_path):
    trains[0].update(a=0.8, b=0.0)
    study.run_study(counterbalanced(4), tmp_path, budget=0.001)
    assert trains[1] == ["a", "a", "b", "b"] and ", 2 of 4 seeds" in read_report(tmp_path)[0]


def test_studies_that_cannot_be_counterbalanced_are_named(counterbalanced, trains, tmp_path):
    with pytest.raises(
        UserError, match="trains pairs of runs, but its config key 'seeds' is 3: set it to an even number"
    ):
        study.run_study(counterbalanced(3), tmp_path)
    made = make_seeded_study(2, "a", "b")
    made.counterbalanced = "yes"
    with pytest.raises(UserError, match="config key 'counterbalanced' is 'yes'; it must be True or False"):
        study.run_study(made, tmp_path)
    made = counterbalanced(2)
    made.runs.b.data.profile.name = ""
    with pytest.raises(
        UserError, match="run 'b': a counterbalanced study reverses the profile of each run, and this one"
    ):
        study.run_study(made, tmp_path)
    made = counterbalanced(2)
    made.runs.b.data.profile.mirrored = True
    with pytest.raises(UserError, match="run 'b': data.profile.mirrored is set by the study, .* leave it at False"):
        study.run_study(made, tmp_path)
    assert trains[1] == []


def test_a_budget_is_for_a_study_with_seeds(tmp_path):
    with pytest.raises(UserError, match="--budget chooses how many seeds fit"):
        study.run_study(make_study("a"), tmp_path, budget=5)


@pytest.mark.parametrize("seeds", [0, "3", 1.5])
def test_a_wrong_number_of_seeds_is_named(seeds):
    with pytest.raises(UserError, match=f"config key 'seeds' is {seeds!r}; it must be a positive whole number"):
        study.check_study(make_seeded_study(seeds, "a"))


def test_the_seed_of_each_run_must_refer_to_that_of_the_study(trains, tmp_path):
    made = make_study("a")
    made.seeds = 2
    with pytest.raises(UserError, match="has a field 'seed', which the seed of each run refers to"):
        study.run_study(made, tmp_path)
    made.seed = 0
    with pytest.raises(UserError, match="run 'a': its seed does not refer to the study's, so all 2 are the same"):
        study.run_study(made, tmp_path)
    assert trains[1] == []


def test_a_step_of_the_path_that_is_no_run_is_named(trains, tmp_path):
    made = make_study("a", "b")
    made.path = ("a", "c")
    with pytest.raises(UserError, match="path names the run 'c'; the study has a, b"):
        study.run_study(made, tmp_path)
    assert trains[1] == []


def test_a_wrong_run_is_named_before_anything_is_trained(trains, tmp_path):
    made = make_study("a", "b")
    made.runs.b.batch_size = -1
    with pytest.raises(UserError, match="run 'b': config key 'batch_size' is -1"):
        study.run_study(made, tmp_path)
    made.runs.b.batch_size = 128
    made.runs.b.eval.sets = ()
    with pytest.raises(UserError, match="run 'b': eval.sets is empty"):
        study.run_study(made, tmp_path)
    assert trains[1] == []


def test_a_config_of_one_run_is_no_study():
    with pytest.raises(UserError, match="a study's config has title, runs and claims"):
        study.check_study(sup.get_config("data=glyphs_lt"))
