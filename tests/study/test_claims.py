"""What claims compare, and which are refused."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cliptail_jax.errors import UserError
from cliptail_jax.files import write_json
from cliptail_jax.metrics.bootstrap import Estimate
from cliptail_jax.objectives import FIELDS
from cliptail_jax.results.claims import Claim, ClaimResult, correct_for_number, evaluate_claim
from cliptail_jax.results.run import Run
from cliptail_jax.study import stated_claims
from cliptail_jax.study.run import run_study
from cliptail_jax.study.stated_claims import changes_of_claims
from tests.study.synthetic_studies import NAMES, claim, confusion_of, make_study, read_report, write_run


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
    runs = {name: Run(tmp_path / name) for name in study.runs}
    result = evaluate_claim(Claim(**study.claims.c), [[runs]])
    assert result.verdict == "not tested" and result.obstacle == "the runs have different classes"


@pytest.mark.parametrize("first", [0, 12])
def test_runs_that_name_the_same_classes_otherwise_are_compared_by_label(first, tmp_path):
    """But not runs of other classes, of which the second one has the first twelve."""
    study = make_study("a", "b", c=claim("tail", "a", "b"))
    study.runs.b.seed = study.runs.b.data.seed = study.runs.a.data.seed
    study.runs.b.data.class_names, study.runs.b.data.classes.first = "composed_codepoints", first
    for name, slope, names in (("a", 0.0, NAMES), ("b", 0.8, [f"U+{label}" for label in range(len(NAMES))])):
        write_run(study.runs[name], tmp_path / name, confusion_of(slope, 0), names)
    runs = {name: Run(tmp_path / name) for name in study.runs}
    assert evaluate_claim(Claim(**study.claims.c), [[runs]]).verdict == ("not tested" if first else "supported")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            claim("corr_accuracy", "a", "b"),
            "claims.c.statistic is 'corr_accuracy'; it is one of top1, head, mid, tail, slope_acc",
        ),
        (claim("corr_acc", "a", "z"), "claims.c names the run 'z'; the study has a, b"),
        (claim("corr_acc", "y", "b"), "claims.c names the run 'y'"),
        (dict(statistic="corr_acc", higher="a"), "claims.c has no lower"),
        (
            claim("corr_acc", "a", "b", margin=-0.1),
            "claims.c.margin is -0.1; it is the largest difference that counts as none",
        ),
        (claim("corr_acc", "a", "b", margin="1"), "claims.c.margin is '1'"),
        (claim("tail", "a", "b", set="dtd"), "claims.c.set is 'dtd', which run 'a' is not evaluated on"),
        (claim("probe", "a", "b"), "claims.c is on linear probes: the study needs a transfer"),
    ],
)
def test_a_wrong_claim_is_named_before_anything_is_trained(wrong, message, trains, tmp_path):
    with pytest.raises(UserError, match=message):
        run_study(make_study("a", "b", c=wrong), tmp_path)
    assert trains[1] == []


def result(value, half, margin=0.0):
    return ClaimResult("", "corr_acc", "a", "b", [], Estimate(value, value - half, value + half), margin=margin)


@pytest.mark.parametrize(
    ("value", "half", "margin", "verdict"),
    [
        (2.0, 1.0, 0.0, "supported"),
        (-2.0, 1.0, 0.0, "contradicted"),
        (0.5, 1.0, 0.0, "inconclusive"),
        (0.0, 0.0, 0.0, "inconclusive"),  # a run and itself
        (0.5, 1.0, 1.4, "inconclusive"),
        (0.5, 1.0, 1.6, "no effect"),
        (0.5, 0.1, 1.6, "no effect"),  # smaller than what counts
        (2.0, 1.0, 1.6, "supported"),
    ],
)
def test_the_verdict_is_where_the_interval_lies(value, half, margin, verdict):
    assert result(value, half, margin).verdict == verdict


@given(st.floats(-3, 3), st.floats(0.01, 3), st.floats(0, 3))
def test_the_p_value_is_the_level_up_to_which_the_verdict_holds(value, half, margin):
    claimed = result(value, half, margin)
    level = 1 - claimed.p_value
    if claimed.verdict == "inconclusive":
        assert level <= 0.95
    else:
        assert claimed.verdict_at(max(level - 1e-6, 0.95)) == claimed.verdict
        assert level > 1 - 1e-5 or claimed.verdict_at(level + 1e-6) != claimed.verdict


def test_verdicts_are_corrected_by_holms_procedure():
    """Against the adjusted p-values of the definition: max over the smaller ones of (m − rank) p, at most 1."""
    halves = [0.5, 1.5, 0.8, 0.9, 0.6, 0.95, 5.0]
    results = [result(1.0, half) for half in halves]
    p = np.sort([claimed.p_value for claimed in results])
    adjusted = np.minimum(np.maximum.accumulate(p * np.arange(len(p), 0, -1)), 1)
    corrected = [claimed.corrected for claimed in correct_for_number(results)]
    decided = np.argsort([claimed.p_value for claimed in results])[: np.sum(adjusted < 0.05)]
    assert 0 < len(decided) < sum(claimed.verdict == "supported" for claimed in results)
    assert {i for i, verdict in enumerate(corrected) if verdict == "supported"} == set(decided)


def test_a_correction_never_turns_no_effect_into_an_effect():
    """The interval of level 1 − 0.05 / 2 lies above 0 like that of 95 %, but no longer within the margin."""
    small, clear = result(2.0, 0.9, margin=3.0), result(9.0, 0.1)
    assert (small.verdict, small.verdict_at(0.975)) == ("no effect", "supported")
    assert [claimed.corrected for claimed in correct_for_number([clear, small])] == ["supported", "no effect"]
    assert [claimed.corrected for claimed in correct_for_number([small, small])] == 2 * ["inconclusive"]


def test_one_claim_needs_no_correction_and_untested_ones_do_not_count():
    untested = ClaimResult("", "corr_acc", "a", "b", [], None, "b failed")
    corrected = correct_for_number([untested, result(1.0, 0.95), untested])
    assert [claimed.corrected for claimed in corrected] == ["not tested", "supported", "not tested"]


def test_claims_that_were_added_or_changed_after_the_first_run_are_marked(trains, tmp_path):
    trains[0].update(a=0.0, b=0.8)
    first = claim("corr_acc", "b", "a", margin=0.1)
    run_study(make_study("a", "b", c=first), tmp_path)
    text, report = read_report(tmp_path)
    assert not report["claims"][0]["change"]["mark"] and "†" not in text
    run_study(make_study("a", "b", c=first, d=claim("corr_pred", "b", "a")), tmp_path)
    text, report = read_report(tmp_path)
    assert [claimed["change"]["mark"] for claimed in report["claims"]] == ["", "†"]
    assert "1 of the claims, marked †," in text and "more than the other† (corr_pred" in text
    run_study(make_study("a", "b", c=first | dict(margin=0.2)), tmp_path)
    assert read_report(tmp_path)[1]["claims"][0]["change"]["mark"] == "†"
    assert "‡" not in read_report(tmp_path)[0]
    (tmp_path / "claims.json").unlink()  # so that nobody knows what was claimed before the first run
    run_study(make_study("a", "b", c=first), tmp_path)
    assert read_report(tmp_path)[1]["claims"][0]["change"]["mark"] == "†"


@pytest.fixture
def changed(trains, tmp_path):
    """Of a study that has been run, with claims on a and b and on b and c: are they marked when run b is changed?"""
    trains[0].update(a=0.0, b=0.8, c=0.4)
    claims = dict(one=claim("corr_acc", "b", "a"), other=claim("corr_acc", "c", "a"))
    run_study(make_study("a", "b", "c", **claims), tmp_path)
    shutil.rmtree(tmp_path / "b")  # made-up runs are not replaced

    def run_again(**values):
        made = make_study("a", "b", "c", **claims)
        made.runs.b.update_from_flattened_dict(values)
        run_study(made, tmp_path)
        text, report = read_report(tmp_path)
        assert "†" not in text
        return text, [claimed["change"] for claimed in report["claims"]]

    return run_again


@pytest.mark.parametrize(
    "field", [{"data.profile.ratio": 50.0}, {"optimizer.learning_rate": 0.3}, {"seed": 5}, {"eval.tail_classes": 3}]
)
def test_claims_whose_runs_were_changed_after_the_first_run_are_marked(field, changed):
    text, marked = changed(**field)
    assert marked == [True, False] and text.count("more than the other‡ (corr_acc: b − a)") == 1
    assert "1 of the claims, marked ‡, compare runs whose configs were changed after the first run." in text


def test_where_data_are_and_what_changes_no_number_may_change(changed):
    values = {"data.data_dir": "elsewhere", "data.workers": 3, "eval.neural_collapse": True, "checkpoint.keep": 5}
    text, marked = changed(**values)
    assert marked == [False, False] and "‡" not in text


def test_claims_without_digests_of_runs_are_read(changed, tmp_path):
    path = tmp_path / "claims.json"
    before = json.loads(path.read_text())
    write_json(path, {key: {k: v for k, v in of.items() if k != "runs"} for key, of in before.items()})
    text, marked = changed(seed=5)
    assert marked == [False, False] and "were stated before the first run (claims.json)." in text


def test_a_digest_of_runs_does_not_depend_on_fields_of_later_versions(tmp_path, monkeypatch):
    study = make_study("a", "b", c=claim("corr_acc", "a", "b"))
    assert changes_of_claims(study, study.runs, tmp_path, ["a"]) == {}
    (tmp_path / "a").mkdir()
    earlier = tuple(field for field in FIELDS if field.key != "optimizer.clip_norm")
    monkeypatch.setattr(stated_claims, "FIELDS", earlier)
    assert changes_of_claims(study, study.runs, tmp_path, ["a"]) == {}
