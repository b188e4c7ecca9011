"""The report of a study, of made-up runs."""

import json

import numpy as np
import pytest

from cliptail_jax.evaluation.results import class_results
from cliptail_jax.experiments import studies
from cliptail_jax.metrics.bootstrap import mean_over_classes
from cliptail_jax.metrics.measures import MEASURES, Measure, summarize
from cliptail_jax.report.page import write_page
from cliptail_jax.runs.log import Log
from cliptail_jax.study.run import run_study
from tests.study.synthetic_studies import (
    CLASSES,
    FREQUENCY,
    PER_CLASS,
    claim,
    confusion_of,
    make_seeded_study,
    make_study,
    read_report,
    write_run,
)


def test_report_has_the_runs_the_verdicts_the_picture_and_the_time(trains, pictures, tmp_path):
    trains[0].update(biased=0.8, fair=0.0, same=0.8)
    study = make_study(
        "biased",
        "fair",
        "same",
        accuracy=claim("corr_acc", "biased", "fair"),
        predictions=claim("corr_pred", "biased", "fair"),
        wrong_way=claim("corr_acc", "fair", "biased"),
        undecided=claim("corr_acc", "biased", "same"),
        equal=claim("corr_acc", "biased", "same", margin=0.9),
        tail=claim("tail", "fair", "biased"),
        top1=claim("top1", "same", "biased"),
    )
    run_study(study, tmp_path)
    text, report = read_report(tmp_path)

    verdicts = ["supported", "supported", "contradicted", "inconclusive", "no effect", "supported", "inconclusive"]
    assert [c["verdict"] for c in report["claims"]] == verdicts
    for verdict, line in zip(verdicts, [line for line in text.splitlines() if "One leans" in line], strict=True):
        assert line.endswith(f"| **{verdict}** | {verdict} |")
    first = report["claims"][0]["difference"]
    assert 0 < first["low"] <= first["value"] <= first["high"]
    assert f"biased − fair) | {first['value']:.2f} [{first['low']:.2f}, {first['high']:.2f}]" in text

    assert list(report["runs"]) == ["biased", "fair", "same"] and report["failures"] == {}
    s = report["runs"]["biased"]
    row = next(line for line in text.splitlines() if line.startswith("| biased |"))
    assert row.startswith(f"| biased | {FREQUENCY.sum():,} | {s['top1']:.1f} | {s['odds_acc']:.2f} [")
    assert f"| {s['head']:.1f} | {s['mid']:.1f} | {s['tail']:.1f} | {s['slope_acc']:.1f} [" in row
    assert "Training took 4.5 minutes" in text
    assert pictures == [tmp_path / "figures" / "study"] and "(figures/study.png)" in text


def test_several_seeds_are_reported_with_means_and_intervals(trains, pictures, tmp_path):
    slopes, trained = trains
    slopes.update(biased=0.8, fair=0.0)
    claims = dict(accuracy=claim("corr_acc", "biased", "fair"), tail=claim("tail", "fair", "biased"))
    study = make_seeded_study(3, "biased", "fair", **claims)
    run_study(study, tmp_path)
    assert trained == ["biased", "fair"] * 3 and study.seed == 3
    text, report = read_report(tmp_path)
    assert list(report["runs"]) == ["seed_3", "seed_4", "seed_5"]
    by_run = [[report["runs"][seed][run]["corr_acc"] for seed in report["runs"]] for run in ("biased", "fair")]
    values = np.array(by_run)
    assert len(set(by_run[0])) == 3
    accuracy, tail = report["claims"]
    np.testing.assert_allclose(accuracy["by_seed"], values.T)
    assert accuracy["difference"]["value"] == pytest.approx((values[0] - values[1]).mean())
    assert accuracy["difference"]["low"] < accuracy["difference"]["value"] < accuracy["difference"]["high"]
    assert f"| {values[0].mean():.2f} − {values[1].mean():.2f} | 3 of 3 |" in text
    bias = report["bias"]["biased"]["corr_acc"]
    assert bias["value"] == pytest.approx(values[0].mean()) and bias["low"] < bias["value"] < bias["high"]
    assert f"| {bias['value']:.2f} [{bias['low']:.2f}, {bias['high']:.2f}] |" in text
    assert set(pictures) == {tmp_path / "figures" / "claims", tmp_path / "figures" / "study"}
    assert tail["verdict"] == "supported" and "Means over 3 runs of each kind" in text


def test_undefined_numbers_are_dashes_and_their_claims_untested(trains, tmp_path):
    study = make_study("a", "b", c=claim("corr_acc", "a", "b"))
    collapsed = np.zeros((CLASSES, CLASSES), np.int64)
    collapsed[3:, 0] = PER_CLASS  # predicts one class, of which the set has no example
    write_run(study.runs.a, tmp_path / "a", confusion_of(0.5, 0))
    write_run(study.runs.b, tmp_path / "b", collapsed)
    run_study(study, tmp_path)
    text, report = read_report(tmp_path)
    assert report["runs"]["b"]["corr_acc"] is None
    assert (
        "| – | – | 0.0 | 0.0 | 0.0 | 0.0 [0.0, 0.0] | – | 0.02 [" in text and "it is undefined for one of them" in text
    )
    assert report["claims"][0]["verdict"] == "not tested"


def test_classes_that_slopes_leave_out_are_counted_under_the_table_of_runs(trains, tmp_path):
    """A claim is on the classes that both runs predict."""
    study = make_study("a", "b", "all", c=claim("slope_pred", "a", "b"))
    predicted = {}
    for seed, (name, rarest) in enumerate({"a": 12, "b": 5, "all": 0}.items()):
        confusion = confusion_of(0.1, seed)
        never = np.argsort(FREQUENCY)[:rarest]
        confusion[:, np.argmax(FREQUENCY)] += confusion[:, never].sum(axis=1)
        confusion[:, never] = 0
        write_run(study.runs[name], tmp_path / name, confusion)
        predicted[name] = confusion.sum(axis=0)
    run_study(study, tmp_path)
    text, report = read_report(tmp_path)
    assert "which have no logarithm: a 12 of 60, b 5 of 60. These are more than a tenth of the classes of a" in text
    assert "slope_acc leaves out" not in text
    assert [report["bias"][name]["slope_pred"]["left_out"] for name in predicted] == [12, 5, 0]

    def slope(of, over):
        kept = predicted[over] > 0
        return np.polyfit(np.log10(FREQUENCY[kept]), np.log10(predicted[of][kept]), 1)[0]

    assert report["bias"]["b"]["slope_pred"]["value"] == pytest.approx(slope("b", "b"))
    assert report["claims"][0]["by_seed"] == [pytest.approx([slope("a", "a"), slope("b", "a")])]
    assert abs(slope("b", "a") - slope("b", "b")) > 0.01


TOY = Measure(
    key="squared",
    title="squared accuracy",
    label="squared accuracy",
    unit="squares",
    format=".4f",
    meaning="mean of the squared accuracy",
    margin=0.001,
    variables=lambda results: (results.accuracy**2,),
    statistic=mean_over_classes,
    is_main=True,
)


def test_a_measure_is_one_entry(trains, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(MEASURES, TOY.key, TOY)
    trains[0].update(a=0.0, b=0.8)
    run_study(make_study("a", "b", c=studies.claim("", "squared", "b", "a")), tmp_path)
    report, text = json.loads((tmp_path / "report.json").read_text()), (tmp_path / "report.md").read_text()
    accuracy = np.diagonal(confusion_of(0.8, 1)) / 50
    a, b = (report["runs"][name]["squared"] for name in "ab")
    found = report["claims"][0]["difference"]
    assert found["value"] == pytest.approx(b - a) and report["claims"][0]["margin"] == TOY.margin
    assert "squared accuracy [95 %]" in text and f"{b:.4f} [" in text and f"{found['value']:.4f} [" in text
    page = write_page(tmp_path).read_text()
    assert "mean of the squared accuracy" in page and f"{b:.4f} [" in page and "squares" in page
    counts = {"confusion": confusion_of(0.8, 1), "top5": np.array(0)}
    summary = summarize(class_results(counts, None, None, None))
    assert summary["squared"] == pytest.approx(np.mean(accuracy**2))
    with Log(tmp_path / "log", 8, 10, 0) as log:
        log.evaluated(10, "set", {"epoch": 1.0, **summary})
    assert f"squared {summary['squared']:.4f}" in capsys.readouterr().err
