"""A measure is one entry of the table: it is then computed, logged, reported, shown on the page and claimed."""

import json

import numpy as np
import pytest

from cliptail_jax.evaluation.results import class_results
from cliptail_jax.experiments.studies import claim
from cliptail_jax.metrics.bootstrap import mean_over_classes
from cliptail_jax.metrics.measures import MEASURES, Measure, summarize
from cliptail_jax.report.page import write_page
from cliptail_jax.runs.log import Log
from cliptail_jax.study.run import run_study
from tests.study.synthetic_studies import confusion_of, make_study

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
    run_study(make_study("a", "b", c=claim("", "squared", "b", "a")), tmp_path)
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
