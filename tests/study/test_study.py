"""The study program on runs whose files are written by hand: what it trains, what it reports, what it refuses."""

import itertools
import json

import numpy as np
import pytest
from ml_collections import ConfigDict, FieldReference

from cliptail_jax import runs
from cliptail_jax.concepts.frequency_tables import write_frequency
from cliptail_jax.config.fields import flatten
from cliptail_jax.curation.profiles import profile_counts
from cliptail_jax.errors import UserError
from cliptail_jax.evaluation.results import evaluation_settings, summarize, write
from cliptail_jax.metrics.groups import head_mid_tail
from cliptail_jax.study import run as study
from cliptail_jax.study.sheets import draw_figures
from cliptail_jax.transfer.configuration import base_config
from cliptail_jax.transfer.program import TransferFailed, predictions_path
from configs import sup
from configs.study import cifar100_lt, claims_small, dino_cifar100_lt, quickstart

CLASSES, PER_CLASS = 60, 50
NAMES = tuple(f"class {c}" for c in range(CLASSES))
FREQUENCY = profile_counts("exponential", np.full(CLASSES, 500), ratio=100.0, exponent=1.0, seed=0)


def confusion_of(slope, seed):
    """A run whose accuracies, and whose predictions where it errs, lean towards frequent classes by `slope`."""
    rng = np.random.default_rng(seed)
    log_frequency = np.log(FREQUENCY / FREQUENCY.mean())
    accuracy = np.clip(0.5 + slope * log_frequency / 4 + rng.normal(0, 0.05, CLASSES), 0.02, 0.98)
    wrong = np.exp(slope * log_frequency)
    confusion = np.zeros((CLASSES, CLASSES), np.int64)
    for c in range(CLASSES):
        right = rng.binomial(PER_CLASS, accuracy[c])
        others = np.where(np.arange(CLASSES) == c, 0, wrong)
        confusion[c] = rng.multinomial(PER_CLASS - right, others / others.sum())
        confusion[c, c] = right
    return confusion


def write_run(config, workdir, confusion, names=NAMES):
    """What `train` leaves of a finished run."""
    runs.claim(workdir, config, overwrite=True)
    write_frequency(workdir / "class_frequency.tsv", names, FREQUENCY)
    parts = head_mid_tail(FREQUENCY)
    counts = {"confusion": confusion, "top5": np.array(np.trace(confusion))}
    summary = {"step": 9, "epoch": 1.0, "settings": evaluation_settings(config)}
    summary |= summarize(counts, FREQUENCY, parts, None)
    for evaluated_on in config.eval.sets:
        write(runs.evaluation_directory(workdir, evaluated_on), summary, counts, parts, None)
    runs.finish(workdir, seconds=90.0)


def make_study(*names, **claims):
    configs = {name: sup.get_config("data=glyphs_lt") for name in names}
    for seed, config in enumerate(configs.values()):
        config.seed = seed
    text = {"text": "One leans more than the other"}
    claims = {key: text | claim for key, claim in claims.items()}
    in_order = {"runs": ConfigDict(configs, sort_keys=False), "claims": ConfigDict(claims, sort_keys=False)}
    return ConfigDict({"title": "By hand", **in_order})


def claim(statistic, higher, lower):
    return dict(statistic=statistic, higher=higher, lower=lower)


@pytest.fixture
def trains(monkeypatch):
    """Stands in for training: writes a run of the slope given for its name, or raises what is given instead.

    Yields the slopes by name, and the list of names that were trained.
    """
    slopes, trained = {}, []

    def train(config, workdir, overwrite=False):
        if runs.is_finished(workdir, config):
            return
        trained.append(workdir.name)
        slope = slopes[workdir.name]
        if isinstance(slope, Exception):
            raise slope
        write_run(config, workdir, confusion_of(slope, config.seed))

    monkeypatch.setattr(study, "train", train)
    return slopes, trained


def read_report(workdir):
    text = (workdir / "report.md").read_text()
    return text, json.loads((workdir / "report.json").read_text(), parse_constant=pytest.fail)


def test_report_has_the_runs_the_verdicts_the_figure_and_the_time(trains, tmp_path, capsys):
    slopes, _ = trains
    slopes.update(biased=0.8, fair=0.0, same=0.8)
    config = make_study(
        "biased",
        "fair",
        "same",
        accuracy=claim("corr_acc", "biased", "fair"),
        predictions=claim("corr_pred", "biased", "fair"),
        wrong_way=claim("corr_acc", "fair", "biased"),
        undecided=claim("corr_acc", "biased", "same"),
        tail=claim("tail", "fair", "biased"),
        top1=claim("top1", "same", "biased"),
    )
    study.run_study(config, tmp_path)
    text, report = read_report(tmp_path)

    verdicts = ["supported", "supported", "not supported", "inconclusive", "supported", "inconclusive"]
    assert [c["verdict"] for c in report["claims"]] == verdicts
    for verdict, line in zip(verdicts, [line for line in text.splitlines() if "One leans" in line], strict=True):
        assert line.endswith(f"| **{verdict}** |")
    first = report["claims"][0]["difference"]
    assert 0 < first["low"] <= first["value"] <= first["high"]
    assert f"biased − fair) | {first['value']:.2f} [{first['low']:.2f}, {first['high']:.2f}]" in text

    assert list(report["runs"]) == ["biased", "fair", "same"] and report["failures"] == {}
    s = report["runs"]["biased"]
    low, high = s["corr_acc_interval"]
    expected = f"| biased | {FREQUENCY.sum():,} | {s['top1']:.1f} | {s['head']:.1f} | {s['mid']:.1f} | {s['tail']:.1f} "
    assert expected + f"| {s['corr_acc']:.2f} [{low:.2f}, {high:.2f}] |" in text
    assert "| 1.5 |" in text and "Training took 4.5 minutes" in text and "Evaluated on glyphs:test" in text
    for path in ("figures/study.png", "figures/study.pdf"):
        assert (tmp_path / path).stat().st_size > 1000
    assert "(figures/study.png)" in text
    assert text in capsys.readouterr().out


def test_tail_claim_is_the_difference_of_the_tables_tail_accuracies(trains, tmp_path):
    slopes, _ = trains
    slopes.update(a=0.0, b=0.8)
    study.run_study(make_study("a", "b", tail=claim("tail", "a", "b"), top1=claim("top1", "a", "b")), tmp_path)
    _, report = read_report(tmp_path)
    a, b = report["runs"]["a"], report["runs"]["b"]
    assert report["claims"][0]["difference"]["value"] == pytest.approx(a["tail"] - b["tail"])
    assert report["claims"][1]["difference"]["value"] == pytest.approx(a["top1"] - b["top1"])


def test_finished_runs_are_not_trained_again_and_the_report_stays_the_same(trains, tmp_path):
    slopes, trained = trains
    slopes.update(a=0.5, b=0.1)
    config = make_study("a", "b", c=claim("corr_acc", "a", "b"))
    study.run_study(config, tmp_path)
    _, first = read_report(tmp_path)
    study.run_study(config, tmp_path)
    _, second = read_report(tmp_path)
    assert trained == ["a", "b"]
    del first["seconds"], second["seconds"]
    assert first == second


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
    config = make_study(
        "a", "broken", "b", one=claim("corr_acc", "a", "broken"), other=claim("corr_acc", "a", "b")
    )  # fmt: skip
    with pytest.raises(UserError, match="1 of 3 runs failed: broken"):
        study.run_study(config, tmp_path)
    text, report = read_report(tmp_path)
    assert trained == ["a", "broken", "b"]
    assert list(report["runs"]) == ["a", "b"] and report["failures"] == {"broken": reason}
    assert f"**broken failed**: {reason}" in text
    assert [c["verdict"] for c in report["claims"]] == ["not tested", "supported"]
    assert report["claims"][0]["difference"] is None and "| broken failed | **not tested** |" in text


def test_a_finished_run_is_evaluated_anew_where_the_study_wants_it_otherwise(trains, tmp_path, monkeypatch):
    slopes, trained = trains
    slopes["one"] = 0.5
    made = make_study("one")
    study.run_study(made, tmp_path)
    evaluated = []

    def evaluate(config, workdir):
        evaluated.append(config.eval.tail_classes)
        write_run(config, workdir, confusion_of(0.0, 1))

    monkeypatch.setattr(study, "evaluate", evaluate)
    study.run_study(made, tmp_path)
    assert evaluated == []
    made.runs.one.eval.tail_classes = 3
    study.run_study(made, tmp_path)
    study.run_study(made, tmp_path)
    assert evaluated == [3] and trained == ["one"]


def test_when_every_run_fails_there_is_still_a_report(trains, tmp_path):
    slopes, _ = trains
    slopes.update(a=UserError("no data set"))
    with pytest.raises(UserError, match="1 of 1 runs failed"):
        study.run_study(make_study("a", c=claim("tail", "a", "a")), tmp_path / "new")
    text, report = read_report(tmp_path / "new")
    assert report["runs"] == {} and "no data set" in text and "study.png" not in text


def test_runs_over_other_classes_are_not_compared(trains, tmp_path):
    config = make_study("a", "b", c=claim("corr_acc", "a", "b"))
    for name, names in (("a", NAMES), ("b", NAMES[::-1])):
        write_run(config.runs[name], tmp_path / name, confusion_of(0.5, 0), names)
    study.run_study(config, tmp_path)
    text, report = read_report(tmp_path)
    assert report["claims"][0]["verdict"] == "not tested"
    assert "the runs have different classes" in text


def test_a_run_that_predicts_one_class_alone_has_dashes_and_an_untested_claim(trains, tmp_path):
    config = make_study("a", "b", c=claim("corr_acc", "a", "b"))
    collapsed = np.zeros((CLASSES, CLASSES), np.int64)
    collapsed[3:, 0] = PER_CLASS  # and the set lacks examples of the class, too
    write_run(config.runs.a, tmp_path / "a", confusion_of(0.5, 0))
    write_run(config.runs.b, tmp_path / "b", collapsed)
    study.run_study(config, tmp_path)
    text, report = read_report(tmp_path)
    assert report["runs"]["b"]["corr_acc"] is None
    assert "| 0.0 | – | 0.02 [" in text and "it is undefined of one of them" in text
    assert report["claims"][0]["verdict"] == "not tested"


@pytest.fixture
def probes(monkeypatch):
    """Stands in for the transfer program: a linear probe of each run with the accuracy given for its name, on pets half.

    Yields the accuracies by name, and the configs that the program was called with.
    """
    accuracies, called = {}, []

    def transfer(config, workdir):
        called.append(config)
        results = []
        for model, of_set in itertools.product(config.models, config.sets):
            if of_set == "dtd":  # fails
                continue
            cell = {"model": model, "set": of_set, "method": "probe", "sizes": {"classes": 10}}
            labels = np.repeat(np.arange(10), 20)
            share = accuracies[model.rsplit("/")[-1]] / (2 if of_set == "pets" else 1)
            right = np.tile(np.arange(20) < 20 * share, 10)
            path = predictions_path(workdir, cell)
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, labels=labels, predictions=np.where(right, labels, (labels + 1) % 10))
            results.append(cell | {"score": 100 * right.mean()})
        return results

    monkeypatch.setattr(study, "transfer", transfer)
    return accuracies, called


def make_transfer_study(*names, **claims):
    """The last of the runs has no evaluation set, as DINO's have none."""
    made = make_study(*names, **claims)
    made.runs[names[-1]].eval.sets = ()
    with made.unlocked():
        made.transfer = base_config()
    made.transfer.sets = ("cifar100",)
    return made


def test_runs_are_compared_by_transfer_with_or_without_an_evaluation_of_their_own(trains, probes, tmp_path):
    trains[0].update(a=0.5, self=0.5)
    accuracies, called = probes
    accuracies.update(a=0.2, self=0.6)
    made = make_transfer_study("a", "self", better=claim("probe", "self", "a"), own=claim("corr_acc", "a", "self"))
    study.run_study(made, tmp_path)
    text, report = read_report(tmp_path)
    assert called[0].models == (str(tmp_path / "a"), str(tmp_path / "self"))
    assert [c["verdict"] for c in report["claims"]] == ["supported", "not tested"]
    assert report["claims"][0]["difference"]["value"] == pytest.approx(40)
    assert "not both have an evaluation set" in text
    table = [line.replace(" ", "") for line in text.splitlines()]
    assert "|run|cifar100:linearprobe%|" in table and "|a|20.0|" in table and "|self|60.0|" in table
    assert f"|self|{FREQUENCY.sum():,}|–|–|–|–|–|–|1.5|" in table
    assert report["runs"]["self"]["transfer"][0]["score"] == pytest.approx(60)


def test_a_failed_transfer_is_reported_beside_the_runs(trains, monkeypatch, tmp_path):
    def transfer(config, workdir):
        raise UserError("cifar100 is not prepared")

    monkeypatch.setattr(study, "transfer", transfer)
    trains[0].update(a=0.5, b=0.5)
    made = make_transfer_study("a", "b", better=claim("probe", "b", "a"))
    with pytest.raises(UserError, match="failed: transfer"):
        study.run_study(made, tmp_path)
    text, report = read_report(tmp_path)
    assert report["failures"] == {"transfer": "cifar100 is not prepared"} and list(report["runs"]) == ["a", "b"]
    assert "there is no linear probe of both" in text


def test_what_was_transferred_is_kept_where_some_of_it_failed(trains, probes, monkeypatch, tmp_path):
    trains[0].update(a=0.5, b=0.5)
    probes[0].update(a=0.2, b=0.6)
    whole = study.transfer

    def transfer(config, workdir):
        raise TransferFailed({"b on pets by probe": "pets is not prepared"}, whole(config, workdir))

    monkeypatch.setattr(study, "transfer", transfer)
    with pytest.raises(UserError, match="failed: transfer: b on pets by probe"):
        study.run_study(make_transfer_study("a", "b", better=claim("probe", "b", "a")), tmp_path)
    _, report = read_report(tmp_path)
    assert report["claims"][0]["verdict"] == "supported"
    assert report["failures"] == {"transfer: b on pets by probe": "pets is not prepared"}


def test_only_the_models_of_a_transfer_are_measured_and_a_claim_may_name_its_set(trains, probes, tmp_path):
    trains[0].update(a=0.5, b=0.5, c=0.5)
    probes[0].update(b=0.2, c=0.6)
    better = claim("probe", "c", "b")
    made = make_transfer_study("a", "b", "c", here=better | {"set": "cifar100"}, there=better | {"set": "dtd"})
    made.transfer.update({"models": ("b", "c"), "sets": ("dtd", "cifar100")})
    study.run_study(made, tmp_path)
    _, report = read_report(tmp_path)
    assert probes[1][0].models == (str(tmp_path / "b"), str(tmp_path / "c"))
    assert report["runs"]["a"]["transfer"] == []
    assert [c["verdict"] for c in report["claims"]] == ["supported", "not tested"]


def test_a_claim_on_probes_without_a_set_is_on_the_mean_of_all_that_both_runs_have(trains, probes, tmp_path):
    trains[0].update(a=0.5, b=0.5)
    probes[0].update(a=0.2, b=0.6)
    made = make_transfer_study("a", "b", better=claim("probe", "b", "a"))
    made.transfer.sets = ("dtd", "cifar100", "pets")
    study.run_study(made, tmp_path)
    _, report = read_report(tmp_path)
    assert report["claims"][0]["by_seed"] == [pytest.approx((45, 15))]
    assert report["claims"][0]["difference"]["value"] == pytest.approx(30)


def make_seeded_study(seeds, *names, **claims):
    made = make_study(*names, **claims)
    seed = FieldReference(3)
    for config in made.runs.values():
        config.seed = seed
    with made.unlocked():
        made.seed, made.seeds = seed, seeds
    return made


def test_several_seeds_are_trained_one_after_the_other_and_judged_together(trains, tmp_path):
    slopes, trained = trains
    slopes.update(biased=0.8, fair=0.0)
    claims = dict(accuracy=claim("corr_acc", "biased", "fair"), tail=claim("tail", "fair", "biased"))
    made = make_seeded_study(3, "biased", "fair", **claims)
    study.run_study(made, tmp_path)
    assert trained == ["biased", "fair"] * 3 and made.seed == 3
    text, report = read_report(tmp_path)
    assert list(report["runs"]) == ["seed_3", "seed_4", "seed_5"]
    first, *others = (report["runs"][seed]["biased"] for seed in report["runs"])
    assert others[0]["corr_acc"] != first["corr_acc"]
    values = np.array(
        [[report["runs"][seed][run]["corr_acc"] for seed in report["runs"]] for run in ("biased", "fair")]
    )
    accuracy, tail = report["claims"]
    np.testing.assert_allclose(accuracy["by_seed"], values.T)
    assert accuracy["difference"]["value"] == pytest.approx((values[0] - values[1]).mean())
    assert accuracy["difference"]["low"] < accuracy["difference"]["value"] < accuracy["difference"]["high"]
    assert f"| {values[0].mean():.2f} − {values[1].mean():.2f} | 3 of 3 |" in text
    assert f"| {values[0].mean():.2f} ± {values[0].std(ddof=1):.2f} |" in text
    assert (tmp_path / "figures" / "claims.png").exists() and "(figures/claims.png)" in text
    assert tail["verdict"] == "supported" and "Means over 3 seeds" in text

    study.run_study(made, tmp_path)
    assert len(trained) == 6 and read_report(tmp_path)[1]["claims"] == report["claims"]


def test_a_run_that_fails_with_one_seed_is_judged_by_the_others(trains, tmp_path, monkeypatch):
    slopes, _ = trains
    slopes.update(a=0.8, b=0.0)
    write = study.train

    def train(config, workdir, overwrite=False):
        if workdir.parent.name == "seed_4" and workdir.name == "b":
            raise UserError("the loss is nan")
        write(config, workdir, overwrite)

    monkeypatch.setattr(study, "train", train)
    with pytest.raises(UserError, match="1 of 4 runs failed: seed_4/b"):
        study.run_study(make_seeded_study(2, "a", "b", c=claim("corr_acc", "a", "b")), tmp_path)
    text, report = read_report(tmp_path)
    assert report["failures"] == {"seed_4/b": "the loss is nan"}
    assert len(report["claims"][0]["by_seed"]) == 1 and report["claims"][0]["verdict"] == "supported"


@pytest.mark.parametrize(("minutes", "seeds"), [(0, 4), (4.6, 2), (0.1, 1)])
def test_a_budget_picks_how_many_seeds_fit(minutes, seeds, trains, tmp_path, monkeypatch):
    """A run takes 45 seconds by the clock here; but by its own account, which counts for finished ones, 90."""
    slopes, trained = trains
    slopes.update(a=0.8, b=0.0)
    monkeypatch.setattr(study.time, "perf_counter", lambda: 45.0 * len(trained))
    made = make_seeded_study(4, "a", "b", c=claim("corr_acc", "a", "b"))
    study.run_study(made, tmp_path, budget=minutes)
    text, report = read_report(tmp_path)
    assert len(trained) == 2 * seeds and len(report["runs"]) == seeds
    assert (f", {seeds} of 4 seeds\n" in text) == (seeds < 4)
    study.run_study(made, tmp_path)
    study.run_study(made, tmp_path, budget=0.1)  # which drops no seed that is finished
    assert len(trained) == 8 and len(read_report(tmp_path)[1]["runs"]) == 4


def test_a_budget_is_for_a_study_with_seeds(trains, tmp_path):
    with pytest.raises(UserError, match="--budget chooses how many seeds fit"):
        study.run_study(make_study("a"), tmp_path, budget=5)


@pytest.mark.parametrize("seeds", [0, "3", 1.5])
def test_a_wrong_number_of_seeds_is_named(seeds, trains, tmp_path):
    with pytest.raises(UserError, match=f"config key 'seeds' is {seeds!r}; it must be a positive whole number"):
        study.check_study(make_seeded_study(seeds, "a"))


def test_runs_whose_seed_stays_the_same_are_not_trained_with_several(trains, tmp_path):
    made = make_study("a")
    with made.unlocked():
        made.seeds = 2
    with pytest.raises(UserError, match="has a field 'seed', which the seed of each run refers to"):
        study.run_study(made, tmp_path)
    with made.unlocked():
        made.seed = 0
    with pytest.raises(UserError, match="run 'a': its seed does not refer to the study's, so all 2 are the same"):
        study.run_study(made, tmp_path)
    assert trains[1] == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": ("z",)}, "transfer.models names the run 'z'; the study has a, b"),
        ({"methods": ("prob",)}, "transfer: methods has 'prob'"),
        ({"sets": ("voc2007",)}, "claims.better compares accuracies by class, which its set has not"),
        ({"methods": ("few_shot",)}, "claims.better is on linear probes: the study needs a transfer with the method"),
        ({"models": ("b",)}, "claims.better names the run 'a', which is not among transfer.models"),
    ],
)
def test_a_transfer_that_makes_no_sense_is_named_before_anything_is_trained(changes, message, trains, tmp_path):
    made = make_transfer_study("a", "b", better=claim("probe", "b", "a"))
    made.transfer.update(changes)
    with pytest.raises(UserError, match=message):
        study.run_study(made, tmp_path)
    assert trains[1] == []


FIGURES = {
    "diversity": dict(columns=("group", "x"), rows=(("a", "SL", "0.7"), ("b", "SL", "0.8"), ("broken", "SL", "0.9"))),
    "scale": dict(columns=("group",), rows=(("a", "SL"), ("b", "SL"))),
}


def test_the_figures_of_a_study_show_the_runs_of_every_seed_or_say_what_is_lacking(trains, tmp_path):
    slopes, _ = trains
    slopes.update(a=0.8, b=0.0, broken=UserError("the loss is nan"))
    made = make_seeded_study(2, "a", "b", "broken")
    with made.unlocked():
        made.figures = ConfigDict(FIGURES, sort_keys=False)
    with pytest.raises(UserError, match="failed: seed_3/broken, seed_4/broken, figure scale"):
        study.run_study(made, tmp_path)
    rows = [line.split("\t") for line in (tmp_path / "diversity.tsv").read_text().splitlines()]
    places = [[f"seed_{seed}/{run}", "SL", x] for run, x in (("a", "0.7"), ("b", "0.8")) for seed in (3, 4)]
    assert rows == [["run", "group", "x"], *places]
    assert (tmp_path / "figures/diversity.pdf").exists()
    text, report = read_report(tmp_path)
    assert "drawn from diversity.tsv](figures/diversity.png)" in text and "(figures/scale.png)" not in text
    assert (
        "has no nc1 on glyphs:test: evaluate it with --config.eval.neural_collapse"
        in report["failures"]["figure scale"]
    )


def test_figures_of_transfer_have_the_models_of_its_directory(tmp_path):
    figures = ConfigDict({"transfer": dict(columns=("label",), rows=(("a", "A"),))})
    drawn, obstacles = draw_figures(figures, {"seed_0": {"a": None}}, tmp_path)
    assert (tmp_path / "transfer.tsv").read_text() == "run\tmodel\tlabel\nseed_0/transfer\ta\tA\n"
    assert drawn == [] and "has no results by probe" in obstacles["figure transfer"]
    assert draw_figures(figures, {"seed_0": {}}, tmp_path)[1] == {"figure transfer": "its baseline a failed"}


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        ({"scales": FIGURES["scale"]}, "figures.scales: there is no such figure; there are class_frequency, "),
        ({"scale": dict(columns=("group",), rows=(("z", "SL"),))}, "figures.scale.rows names the run 'z'; .* has a, b"),
    ],
)
def test_a_wrong_figure_is_named_before_anything_is_trained(figures, message, trains, tmp_path):
    made = make_study("a", "b")
    with made.unlocked():
        made.figures = figures
    with pytest.raises(UserError, match=message):
        study.run_study(made, tmp_path)
    assert trains[1] == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (claim("corr_accuracy", "a", "b"), "claims.c.statistic is 'corr_accuracy'; it is one of corr_acc, corr_pred"),
        (claim("corr_acc", "a", "z"), "claims.c names the run 'z'; the study has a, b"),
        (claim("corr_acc", "y", "b"), "claims.c names the run 'y'"),
        (dict(statistic="corr_acc", higher="a"), "claims.c has no lower"),
        (claim("tail", "a", "b") | {"set": "dtd"}, "claims.c.set is 'dtd', which run 'a' is not evaluated on"),
        (claim("probe", "a", "b"), "claims.c is on linear probes: the study needs a transfer"),
    ],
)
def test_a_wrong_claim_is_named_before_anything_is_trained(wrong, message, trains, tmp_path):
    with pytest.raises(UserError, match=message):
        study.run_study(make_study("a", "b", c=wrong), tmp_path)
    assert trains[1] == []


def test_a_wrong_run_is_named_before_anything_is_trained(trains, tmp_path):
    config = make_study("a", "b")
    config.runs.b.batch_size = -1
    with pytest.raises(UserError, match="run 'b': config key 'batch_size' is -1"):
        study.run_study(config, tmp_path)
    config.runs.b.batch_size = 128
    config.runs.b.eval.sets = ()
    with pytest.raises(UserError, match="run 'b': eval.sets is empty"):
        study.run_study(config, tmp_path)
    assert trains[1] == []


def test_a_config_of_one_run_is_no_study():
    with pytest.raises(UserError, match="a study's config has title, runs and claims"):
        study.check_study(sup.get_config("data=glyphs_lt"))


@pytest.mark.parametrize("config_file", [quickstart, cifar100_lt, dino_cifar100_lt])
def test_a_study_without_config_arguments_takes_none(config_file):
    with pytest.raises(UserError, match="unknown config argument 'seed'; there are none"):
        config_file.get_config("seed=3")


@pytest.mark.parametrize("config_file", [quickstart, cifar100_lt, dino_cifar100_lt, claims_small])
def test_the_projects_own_studies_are_sound(config_file):
    config = config_file.get_config()
    study.check_study(config)
    config.data_dir, config.seed = "/data", 3
    assert {run.data.data_dir for run in config.runs.values()} == {"/data"}
    assert {run.seed for run in config.runs.values()} == {3}


CHANGED = {
    ("sl", "sl_sampled"): ["vocabulary.size"],
    ("sl_sampled", "sl"): ["vocabulary.size"],
    ("clip", "clip_captions"): [
        "data.captions.template", "data.captions.words", "eval.templates", "model.text.context_length"
    ],
    ("clip_quarter", "clip"): ["data.fraction", "data.keep_all_classes"],
    ("clip_alike", "clip_varied"): ["data.min_similarity"],
    ("clip", "clip_balanced"): ["data.n", "data.profile.ratio"],
    ("clip_alone", "clip_among"): ["data.classes.random", "data.n", "eval.random_classes"],
    ("sl_cut_head", "sl_cut"): ["head.init", "head.freeze"],
    ("sl_cut_head_sampled", "sl_cut_head"): ["vocabulary.size", "vocabulary.sampling", "vocabulary.group_size"],
    ("clip_cut_text", "clip_cut"): ["text.init", "text.freeze"],
    ("dino_sampled", "dino"): ["vocabulary.size"],
}  # fmt: skip


def test_small_claims_are_all_of_the_studys_and_change_one_thing_at_a_time():
    """Every factor is claimed on glyphs or CIFAR-100, or both; seeds draw the classes' ranks anew."""
    made = claims_small.get_config()
    told = {claim.text for claim in made.claims.values()}
    assert told == {text for text, *_ in claims_small.CLAIMS}
    seeds = study.by_seed(made)
    assert [runs["glyphs_sl"].data.seed for runs, _ in seeds.values()] == [0, 1, 2]
    fields = {name: dict(flatten(config)) for name, config in made.runs.items()}
    for claim in made.claims.values():
        higher, lower = fields[claim.higher], fields[claim.lower]
        pair = (claim.higher.partition("_")[2], claim.lower.partition("_")[2])
        if pair != ("sl", "clip"):
            assert {key for key in higher if higher[key] != lower[key]} == set(CHANGED[pair]), pair
    glyphs = claims_small.get_config("data=glyphs")
    assert all(name.startswith("glyphs_") for name in glyphs.runs) and "transfer" not in glyphs
    with pytest.raises(UserError, match="the config argument is data=glyphs"):
        claims_small.get_config("data=mnist")
