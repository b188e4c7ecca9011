"""What claims compare, and which are refused."""

import numpy as np
import pytest

from cliptail_jax.errors import UserError
from cliptail_jax.metrics.correlation import Difference, compare_means
from cliptail_jax.study.claims import ClaimResult, evaluate_claim
from cliptail_jax.study.claims_figure import draw_claims
from cliptail_jax.study.run import run_study
from cliptail_jax.study.statistics import STATISTICS, Statistic
from cliptail_jax.study.trained_run import TrainedRun
from tests.study.made_up_studies import NAMES, claim, confusion_of, make_study, read_report, write_run


def test_accuracy_claims_are_differences_of_the_reported_accuracies(trains, tmp_path):
    trains[0].update(a=0.0, b=0.8)
    run_study(make_study("a", "b", tail=claim("tail", "a", "b"), top1=claim("top1", "a", "b")), tmp_path)
    _, report = read_report(tmp_path)
    a, b = report["runs"]["a"], report["runs"]["b"]
    assert report["claims"][0]["difference"]["value"] == pytest.approx(a["tail"] - b["tail"])
    assert report["claims"][1]["difference"]["value"] == pytest.approx(a["top1"] - b["top1"])


def test_runs_over_other_classes_are_not_compared(tmp_path):
    study = make_study("a", "b", c=claim("corr_acc", "a", "b"))
    for name, names in (("a", NAMES), ("b", NAMES[::-1])):
        write_run(study.runs[name], tmp_path / name, confusion_of(0.5, 0), names)
    runs = {name: TrainedRun.read(tmp_path / name, study.runs[name].eval.sets) for name in study.runs}
    result = evaluate_claim(study.claims.c, [runs])
    assert result.verdict == "not tested" and result.obstacle == "the runs have different classes"


def test_a_statistic_is_its_entry_in_the_table(trains, tmp_path, monkeypatch):
    def rarest(a, b):
        rarest = np.argsort(a.frequency)[:20]
        return compare_means(a.accuracy[rarest], b.accuracy[rarest])

    monkeypatch.setitem(STATISTICS, "rarest", Statistic(rarest, "shares", ".4f"))
    trains[0].update(a=0.0, b=0.8)
    run_study(make_study("a", "b", c=claim("rarest", "a", "b")), tmp_path)
    text, report = read_report(tmp_path)
    difference = Difference(**report["claims"][0]["difference"])
    assert report["claims"][0]["verdict"] == "supported"
    assert "rarest: a − b) | {:.4f} [{:.4f}, {:.4f}]".format(*difference) in text
    (axes,) = draw_claims([ClaimResult("", "rarest", "a", "b", [], difference)], "").axes
    assert axes.get_xlabel() == "difference of shares"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (claim("corr_accuracy", "a", "b"), "claims.c.statistic is 'corr_accuracy'; it is one of corr_acc, corr_pred"),
        (claim("corr_acc", "a", "z"), "claims.c names the run 'z'; the study has a, b"),
        (claim("corr_acc", "y", "b"), "claims.c names the run 'y'"),
        (dict(statistic="corr_acc", higher="a"), "claims.c has no lower"),
        (claim("tail", "a", "b", set="dtd"), "claims.c.set is 'dtd', which run 'a' is not evaluated on"),
        (claim("probe", "a", "b"), "claims.c is on linear probes: the study needs a transfer"),
    ],
)
def test_a_wrong_claim_is_named_before_anything_is_trained(wrong, message, trains, tmp_path):
    with pytest.raises(UserError, match=message):
        run_study(make_study("a", "b", c=wrong), tmp_path)
    assert trains[1] == []
