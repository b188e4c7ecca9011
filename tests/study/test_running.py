"""Which runs a study trains and evaluates, what it does when some fail, its page meanwhile, and mistakes."""

import json

import pytest
from ml_collections import ConfigDict

from cliptail_jax.host.errors import UserError
from cliptail_jax.report.page import unfinished_runs
from cliptail_jax.runs.lock import InUseError
from cliptail_jax.study import run as study
from cliptail_jax.study import study_page, training
from cliptail_jax.study.configuration import typed_study
from tests.pages import rows_by_name
from tests.synthetic_studies import (
    FREQUENCY,
    claim,
    confusion_of,
    make_seeded_study,
    make_study,
    make_transfer_study,
    read_report,
    run_study,
    write_run,
)


def test_a_failed_run_is_reported_and_the_others_go_on(trains, tmp_path, capsys):
    slopes, run_names = trains
    reason = "RuntimeError: out of memory"
    slopes.update(a=0.5, broken=RuntimeError("out of memory\nand more"), b=0.1)
    claims = dict(one=claim("corr_acc", "a", "broken"), other=claim("corr_acc", "a", "b"))
    with pytest.raises(UserError, match="1 of 3 runs failed: broken"):
        run_study(make_study("a", "broken", "b", **claims), tmp_path)
    text, report = read_report(tmp_path)
    assert run_names == ["a", "broken", "b"]
    assert list(report["runs"]) == ["a", "b"] and report["failures"] == {"broken": reason}
    assert f"**broken failed**: {reason}" in text
    assert [c["verdict"] for c in report["claims"]] == ["not tested", "supported"]
    assert report["claims"][0]["difference"] is None
    assert report["claims"][0]["obstacle"] == "there is no trained run of broken"
    output = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert f"broken failed: {reason}" in output and "there is no trained run of broken" in output


def test_a_data_set_that_all_runs_lack_is_one_error_before_the_first_run(trains, tmp_path):
    _, run_names = trains
    config = make_study("a", "b")
    for run in config.runs.values():
        run.data.update(dict(name="cifar100", data_dir=str(tmp_path / "none")))
    with pytest.raises(UserError, match="data set 'cifar100' is not prepared below "):
        run_study(config, tmp_path / "study")
    assert run_names == [] and not (tmp_path / "study/report.md").exists()


def test_a_finished_run_is_evaluated_again_with_other_options(trains, tmp_path, monkeypatch):
    slopes, run_names = trains
    slopes["one"] = 0.5
    config = make_study("one")
    run_study(config, tmp_path)
    evaluated = []

    def evaluate(config, workdir):
        evaluated.append(config.eval.tail_classes)
        write_run(config, workdir, confusion_of(0.0, 1))

    monkeypatch.setattr(training, "evaluate", evaluate)
    run_study(config, tmp_path)
    assert evaluated == []
    config.runs.one.eval.tail_classes = 3
    run_study(config, tmp_path)
    run_study(config, tmp_path)
    assert evaluated == [3] and run_names == ["one"]


@pytest.mark.parametrize(("minutes", "seeds"), [(4.6, 2), (0.1, 1)])
def test_as_many_seeds_are_trained_as_fit_into_the_budget(minutes, seeds, trains, tmp_path, monkeypatch):
    """A run takes 45 seconds by the clock, but 90 by its own account, which counts for finished runs."""
    slopes, run_names = trains
    slopes.update(a=0.8, b=0.0)
    monkeypatch.setattr(study.time, "perf_counter", lambda: 45.0 * len(run_names))
    config = make_seeded_study(4, "a", "b")
    run_study(config, tmp_path, budget=minutes)
    text, report = read_report(tmp_path)
    assert len(run_names) == 2 * seeds and len(report["runs"]) == seeds
    assert f", {2 * seeds} of 8 runs\n" in text
    if seeds == 2:
        run_study(config, tmp_path)
        run_study(config, tmp_path, budget=0.1)  # keeps all seeds that are finished
        assert len(run_names) == 8 and len(read_report(tmp_path)[1]["runs"]) == 4


def test_parts_that_are_trained_one_by_one_give_the_report_of_the_whole(trains, tmp_path, capsys):
    trains[0].update(a=0.8, b=0.0)
    config = make_seeded_study(2, "a", "b", c=claim("corr_acc", "a", "b"))
    run_study(config, tmp_path / "whole")
    trains[1].clear()
    opened = study.open_study(typed_study(config), tmp_path / "parts")
    with pytest.raises(UserError, match="no run of this study is trained in .*: there is nothing to report"):
        study.report_study(opened)
    study.train_parts(opened, ["seed_3/*"])
    assert trains[1] == ["a", "b"] and not (tmp_path / "parts/report.md").exists()
    study.report_study(opened)
    text, report = read_report(tmp_path / "parts")
    assert ", 2 of 4 runs\n" in text and list(report["runs"]) == ["seed_3"]
    assert "2 of 4 runs are not trained: seed_4/a, seed_4/b" in capsys.readouterr().out
    study.train_parts(opened, ["a", "seed_4/b"])
    assert trains[1] == ["a", "b", "a", "b"]
    study.report_study(study.open_study(typed_study(config), tmp_path / "parts"))
    whole_report, part_report = (read_report(tmp_path / name)[1] for name in ("whole", "parts"))
    del whole_report["seconds"], part_report["seconds"]
    assert part_report == whole_report


def test_a_run_that_another_process_trains_is_left_to_it(trains, tmp_path, capsys):
    trains[0].update(a=InUseError("a is in use by process 12", "process 12"), b=0.1)
    config = make_study("a", "b")
    study.train_parts(study.open_study(typed_study(config), tmp_path), ["*"])
    assert "run 1 of 2, a is skipped: process 12 trains it" in capsys.readouterr().err
    run_study(config, tmp_path)
    assert "1 of 2 runs are not trained: a" in capsys.readouterr().out
    assert list(read_report(tmp_path)[1]["runs"]) == ["b"]


def test_a_broken_part_says_why_in_its_last_line(trains, tmp_path):
    trains[0].update(a=UserError("out of luck"), b=UserError("no space"))
    opened = study.open_study(typed_study(make_study("a", "b")), tmp_path)
    with pytest.raises(UserError, match="^out of luck$"):
        study.train_parts(opened, ["a"])
    with pytest.raises(UserError, match="2 of 2 runs failed: a, b"):
        study.train_parts(opened, ["*"])


def counterbalanced(**claims):
    config = make_seeded_study(4, "a", "b", **claims)
    config.counterbalanced = True
    return config


def test_a_counterbalanced_study_trains_mirrored_pairs_of_each_seed(trains, tmp_path):
    trains[0].update(a=0.8, b=0.0)
    study = counterbalanced(c=claim("slope_acc", "a", "b"))
    study.runs.b.loss.margin = 0.3
    run_study(study, tmp_path)
    text, report = read_report(tmp_path)
    assert list(report["runs"]) == ["seed_3", "seed_3_mirrored", "seed_4", "seed_4_mirrored"]
    assert report["confounded"] == []  # the order of frequencies is that of the pair
    for seed in (3, 4):
        plain, mirrored = (
            json.loads((tmp_path / name / "a" / "config.json").read_text())["config"]
            for name in (f"seed_{seed}", f"seed_{seed}_mirrored")
        )
        assert {key for key in plain if plain[key] != mirrored[key]} == {"data.profile.mirrored"}
        assert (plain["seed"], plain["data.profile.mirrored"], mirrored["data.profile.mirrored"]) == (seed, False, True)
    (result,) = report["claims"]
    assert len(result["by_seed"]) == 2 and result["verdict"] == "supported"
    assert "There are 2 mirrored pairs" in text


def test_a_pair_of_which_one_run_failed_is_left_out_of_its_claims(trains, monkeypatch, tmp_path):
    trains[0].update(a=0.8, b=0.0)
    train = training.train

    def train_or_fail(config, workdir, overwrite=False, label=""):
        if workdir.parts[-2:] == ("seed_3_mirrored", "b"):
            raise UserError("the loss is nan")
        train(config, workdir, overwrite)

    monkeypatch.setattr(training, "train", train_or_fail)
    with pytest.raises(UserError, match="1 of 8 runs failed: seed_3_mirrored/b"):
        run_study(counterbalanced(c=claim("slope_acc", "a", "b")), tmp_path)
    text, report = read_report(tmp_path)
    assert len(report["claims"][0]["by_seed"]) == 1 and "Means over 3 to 4 runs of each kind" in text


SHEET = dict(columns=("group",), rows=(("z", "SL"),))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sedes": 2}, r"a study has no field 'sedes' \(did you mean seeds or seed\?\)"),
        ({"seeds": 0}, "config key 'seeds' is 0; it must be a positive whole number"),
        ({"counterbalanced": True, "seeds": 3}, "trains pairs of runs, but its config key 'seeds' is 3: set it"),
        ({"counterbalanced": True, "runs.b.data.profile.name": ""}, "run 'b': a counterbalanced study reverses the"),
        ({"counterbalanced": True, "runs.b.data.profile.mirrored": True}, "run 'b': .* set by the study, .* leave it"),
        ({"path": ("a", "c")}, "path names the run 'c'; the study has a, b"),
        ({"names": {"c": "C"}}, "names names the run 'c'; the study has a, b"),
        ({"baseline": "c"}, "baseline names the run 'c'; the study has a, b"),
        ({"runs.b.batch_size": -1}, "run 'b': config key 'batch_size' is -1"),
        ({"runs.b.eval.sets": ()}, "run 'b': eval.sets is empty"),
        (
            {"runs.b.data.seed": 0, "runs.b.head.kind": "cosine", "runs.b.log_every_steps": 7},
            "the runs a and b would have the same results, .* change one of the runs, or leave it out",
        ),
        (
            {"claims.c.statistic": "corr_accuracy"},
            "claims.c.statistic is 'corr_accuracy' .did you mean corr_acc.*; it must be one of top1, odds_",
        ),
        ({"claims.c.statistic": "probe"}, "claims.c is on linear probes: the study needs a transfer"),
        ({"claims.c.higher": "z"}, "claims.c names the run 'z'; the study has a, b"),
        ({"claims.c.marign": 3.0}, "claims.c.marign: a claim has text, statistic, higher, lower, margin, set"),
        ({"claims.c.margin": -0.1}, "claims.c.margin is -0.1; it is the largest difference that counts as none"),
        ({"claims.c.threshold": "5"}, "claims.c.threshold is '5'; it is a number that the difference exceeds"),
        (
            {"claims.c.threshold": 5.0, "claims.c.equal": True},
            "claims.c.threshold is for claims that one run is higher",
        ),
        ({"claims.c.set": "dtd"}, "claims.c.set is 'dtd', which run 'a' is not evaluated on"),
        (
            {"claims.c.condition": "the start"},
            "claims.c.condition is 'the start'; it is 'equal accuracy', or '' for the end",
        ),
        (
            {"claims.c.condition": "equal accuracy", "claims.c.statistic": "tail"},
            "'tail' is not compared at equal accuracy",
        ),
        (
            {"claims.c.condition": "equal accuracy", "runs.b.eval.every_epochs": 99},
            "run 'b' has one: set its eval.every_ep",
        ),
        (
            {"claims.c.reference": ("a",)},
            "claims.c.reference is .*; it names two runs, or has two numbers",
        ),
        ({"claims.c.reference": ("a", "z")}, "claims.c names the run 'z'; the study has a, b"),
        ({"claims.c.by": 5.0}, "claims.c.by is now threshold: use that name"),
        ({"then": "cliptail"}, "field 'then' is now 'next_command': use that name"),
        ({"figures.scales": SHEET}, "figures.scales: there is no such figure; there are class_frequency, "),
        ({"figures.scale": SHEET}, "figures.scale.rows names the run 'z'; the study has a, b"),
    ],
)
def test_a_study_that_cannot_run_is_refused_before_training(changes, message, trains, tmp_path):
    config = make_seeded_study(2, "a", "b", c=claim("corr_acc", "a", "b", margin=0.1, set="glyphs:test"))
    config.counterbalanced, config.path, config.figures = False, (), {}
    config.update_from_flattened_dict(changes)
    with pytest.raises(UserError, match=message):
        run_study(config, tmp_path)
    assert trains[1] == []


@pytest.mark.parametrize(
    "name", ["/abs/a", "../a", ".", "..", "", "a,b", "a b", "a\n", "a\nrm", "seed_3/a", "seed_3", "*", "é"]
)
def test_a_run_that_cannot_have_a_directory_of_its_name_is_refused_in_one_line(name, trains, tmp_path):
    config = make_study("a", c=claim("corr_acc", "a", "a"))
    config.runs = ConfigDict({name: config.runs.a}, allow_dotted_keys=True)
    with pytest.raises(UserError, match="its name must consist of letters, digits") as error:
        run_study(config, tmp_path)
    assert "\n" not in str(error.value) and trains[1] == [] and list(tmp_path.iterdir()) == []


def test_a_study_does_not_begin_in_the_directory_of_a_run(trains, tmp_path):
    (tmp_path / "config.json").write_text('{"config": {"objective": "supervised"}}')
    with pytest.raises(UserError, match="contains a run: choose another --workdir"):
        run_study(make_study("a"), tmp_path)
    assert trains[1] == []


def test_a_study_does_not_begin_in_the_directory_of_another(trains, tmp_path):
    trains[0].update(a=0.5, b=0.1, c=0.3)
    run_study(make_study("a", "b"), tmp_path)
    for other in (make_study("a", "c"), make_seeded_study(2, "a", "b")):
        with pytest.raises(
            UserError, match="contains the study 'By hand', which has a run .* and no .*: choose another"
        ):
            study.open_study(typed_study(other), tmp_path)
    run_study(make_study("a", "b", "c", new=claim("corr_acc", "a", "c")), tmp_path)  # the same one, with a further run
    assert trains[1] == ["a", "b", "c"]


def test_nor_in_that_of_another_of_which_parts_were_trained(tmp_path):
    study.open_study(typed_study(make_seeded_study(2, "a", "b")), tmp_path)
    study.open_study(typed_study(make_seeded_study(3, "a", "b")), tmp_path)
    with pytest.raises(UserError, match="contains another study, which has a run b and no c: choose another"):
        study.open_study(typed_study(make_seeded_study(2, "a", "c")), tmp_path)


def test_the_seed_of_each_run_must_refer_to_that_of_the_study(trains, tmp_path):
    config = make_study("a")
    config.seeds = 2
    with pytest.raises(UserError, match="has a field 'seed', which the seed of each run refers to"):
        run_study(config, tmp_path)
    config.seed = 0
    with pytest.raises(UserError, match="run 'a': its seed does not refer to the study's, so all 2 are the same"):
        run_study(config, tmp_path)


@pytest.fixture
def page_writes(trains, monkeypatch):
    """The runs that are missing whenever the page is written."""
    trains[0].update(a=0.5, b=0.1)
    calls = []
    monkeypatch.setattr(
        study_page, "write_page", lambda directories, **_: calls.append(unfinished_runs(directories[0].contents))
    )
    return calls


def test_the_page_is_written_at_the_start_after_each_run_and_with_each_report(page_writes, tmp_path, capsys):
    run_study(make_seeded_study(2, "a", "b"), tmp_path)
    assert page_writes[0] == ["seed_3/a", "seed_3/b", "seed_4/a", "seed_4/b"]
    assert [len(names) for names in page_writes] == [4, 3, 2, 1, 0, 0]
    first, *_, last = (line for line in capsys.readouterr().out.splitlines() if "report.html" in line)
    address = f"file://{tmp_path}/report.html"
    assert first == f"The study's page, written again after each run: {address}" and last.endswith(address)


def test_a_page_that_cannot_be_written_now_does_not_stop_the_training(trains, tmp_path, monkeypatch, capsys):
    """Each reason is printed once."""
    trains[0].update(a=0.5, b=0.1, c=0.3)
    calls, reasons = [], [None, OSError("full"), OSError("full"), OSError("read-only"), None]

    def write_page(directories, **about):
        calls.append(about)
        if reason := reasons[len(calls) - 1]:
            raise reason

    monkeypatch.setattr(study_page, "write_page", write_page)
    run_study(make_study("a", "b", "c"), tmp_path)
    assert trains[1] == ["a", "b", "c"] and len(calls) == 5
    said = [line for line in capsys.readouterr().out.splitlines() if "report.html is not written: " in line]
    assert [line.rpartition(": ")[2] for line in said] == ["full", "read-only"]


def test_runs_are_compared_by_transfer_with_or_without_an_evaluation_of_their_own(trains, probes, tmp_path, capsys):
    trains[0].update(a=0.5, self=0.5)
    accuracies, configs = probes
    accuracies.update(a=0.2, self=0.6)
    config = make_transfer_study("a", "self", better=claim("probe", "self", "a"), own=claim("corr_acc", "a", "self"))
    run_study(config, tmp_path)
    text, report = read_report(tmp_path)
    assert configs[0].models == (str(tmp_path / "a"), str(tmp_path / "self"))
    assert [c["verdict"] for c in report["claims"]] == ["supported", "not tested"]
    assert report["claims"][0]["difference"]["value"] == pytest.approx(40)
    assert "not both have an evaluation set" in text
    rows = rows_by_name(text, "model")
    assert [rows[name]["cifar100: linear probe %"] for name in ("a", "self")] == ["20.0", "60.0"]
    output = capsys.readouterr().out.splitlines()
    header = next(i for i, line in enumerate(output) if "cifar100:" in line)
    assert [line.split() for line in output[header + 1 : header + 4]] == [
        ["model", "linear", "probe", "%"],
        ["a", "20.0"],
        ["self", "60.0"],
    ]
    known = {heading: cell for heading, cell in rows_by_name(text, "run")["self"].items() if cell != "–"}
    assert known == {"run": "self", "images": f"{FREQUENCY.sum():,}", "minutes": "1.5"}
    assert report["runs"]["self"]["transfer"][0]["score"] == pytest.approx(60)
    assert report["transfers"]["self"] == [dict(set="cifar100", method="probe", score=pytest.approx(60))]


def test_only_the_models_of_a_transfer_are_measured_and_a_claim_may_name_its_set(trains, probes, tmp_path):
    trains[0].update(a=0.5, b=0.5, c=0.5)
    probes[0].update(b=0.2, c=0.6)
    claims = {set_name: claim("probe", "c", "b", set=set_name) for set_name in ("cifar100", "dtd")}
    config = make_transfer_study("a", "b", "c", mean=claim("probe", "c", "b"), **claims)
    config.transfer.update({"models": ("b", "c"), "sets": ("dtd", "cifar100", "pets")})
    run_study(config, tmp_path)
    _, report = read_report(tmp_path)
    assert probes[1][0].models == (str(tmp_path / "b"), str(tmp_path / "c"))
    assert report["runs"]["a"]["transfer"] == []
    assert [c["by_seed"] for c in report["claims"]] == [[pytest.approx((45, 15))], [pytest.approx((60, 20))], []]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": ("z",)}, "transfer.models names the run 'z'; the study has a, b"),
        ({"methods": ("prob",)}, "transfer: methods has 'prob'"),
        ({"sets": ("voc2007",)}, "claims.better compares accuracies by class, which its set does not have"),
        ({"methods": ("few_shot",)}, "claims.better is on linear probes: the study needs a transfer with the method"),
        ({"models": ("b",)}, "claims.better names the run 'a', which is not among transfer.models"),
    ],
)
def test_a_wrong_transfer_is_named(changes, message):
    config = make_transfer_study("a", "b", better=claim("probe", "b", "a"))
    config.transfer.update(changes)
    with pytest.raises(UserError, match=message):
        typed_study(config)
