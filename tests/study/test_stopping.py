"""Studies that add pairs or seeds until claims are decided: when they end, what they report, and mistakes."""

import json

import pytest

from cliptail_jax.claims import looks as claim_looks
from cliptail_jax.claims.judge import judge
from cliptail_jax.claims.verdicts import ClaimResult, correct_for_number, read_claims
from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.bootstrap import Estimate
from cliptail_jax.metrics.looks import Look
from cliptail_jax.results.directory import read_directory
from cliptail_jax.results.study import read_study
from cliptail_jax.study import stopping
from cliptail_jax.study.configuration import queue_of, typed_study
from cliptail_jax.study.run import open_study
from tests.synthetic_studies import claim, make_seeded_study, make_study, read_report

CLAIMS = dict(large=claim("slope_acc", "a", "b"), none=claim("slope_acc", "b", "c"))
SIDES = {"large": 1.0, "none": 5.0}  # half-lengths of the intervals of one pair; the differences are 2


@pytest.fixture
def decided_by_pairs(trains, monkeypatch):
    """Intervals become shorter with the number of pairs, so that 'large' is decided at once and 'none' after ten."""

    def evaluate(claims, replicates, changes):
        results = {}
        for key, fields in claims.items():
            pairs = [(2.0, 0.0) for replicate in replicates if all({"a", "b", "c"} <= {*runs} for runs in replicate)]
            side = SIDES[key] / max(len(pairs), 1) ** 0.5
            results[key] = ClaimResult(**vars(fields), by_seed=pairs, difference=Estimate(2.0, 2.0 - side, 2.0 + side))
        return results

    monkeypatch.setattr(claim_looks, "evaluate_claims", evaluate)
    trains[0].update(a=0.8, b=0.4, c=0.4)
    return trains[1]


def with_max_pairs(config, max_pairs, tmp_path):
    config.seeds = stopping.seeds_of(typed_study(config), max_pairs, tmp_path)
    return typed_study(config)


def run(tmp_path, value="", pairs_flag=None, config=None, **options):
    config = config or make_seeded_study(1, "a", "b", "c", **CLAIMS)
    max_pairs = stopping.most_pairs(tmp_path, True, pairs_flag)
    study = with_max_pairs(config, max_pairs, tmp_path)
    stopping.run_until_decided(study, tmp_path, stopping.claims_named(value, study.claims), **options)


def looks(report):
    return {
        result["key"]: (result["verdict"], result["look"] and result["look"]["pairs"]) for result in report["claims"]
    }


def test_pairs_are_added_until_the_named_claims_are_decided(decided_by_pairs, tmp_path):
    run(tmp_path, "large")
    text, report = read_report(tmp_path)
    assert list(report["runs"]) == ["seed_3", "seed_4"] and "# By hand\n" in text
    assert looks(report) == {"large": ("supported", 2), "none": ("inconclusive", 2)}
    assert "at most 5" in text and "97.4 % after 2," in text and "Lan & DeMets" in text
    assert f"[{2 - 1.1336 / 2**0.5:.1f}, {2 + 1.1336 / 2**0.5:.1f}]" in text  # of the level of the look


def test_the_same_command_goes_on_and_claims_keep_the_look_that_decided_them(decided_by_pairs, tmp_path, capsys):
    run(tmp_path, "large", pairs_flag=3)
    run(tmp_path)
    assert "After 3 of at most 3 pairs or seeds, undecided: none" in capsys.readouterr().out
    assert looks(read_report(tmp_path)[1]) == {"large": ("supported", 2), "none": ("inconclusive", 3)}
    assert len(decided_by_pairs) == 9
    run(tmp_path)
    assert len(decided_by_pairs) == 9 and looks(read_report(tmp_path)[1])["large"] == ("supported", 2)
    assert read_study(tmp_path).replicates == [["seed_3"], ["seed_4"], ["seed_5"]]


def test_a_later_report_and_page_have_the_same_verdicts(decided_by_pairs, tmp_path):
    run(tmp_path, "large")
    _, old_report = read_report(tmp_path)
    config = make_seeded_study(1, "a", "b", "c", **CLAIMS)
    for name, new_name in (("study.json", "max_replicates"), ("report.json", "max_pairs")):
        text = (tmp_path / name).read_text()
        assert f'"{new_name}": 5' in text
        (tmp_path / name).write_text(text.replace(f'"{new_name}"', '"most"'))  # as earlier versions wrote it
    assert {claim.look for claim in read_claims(tmp_path / "report.json").values()} == {Look(2, 5)}
    max_pairs = stopping.most_pairs(tmp_path, False, None)
    study = with_max_pairs(config, max_pairs, tmp_path)
    stopping.report_begun(open_study(study, tmp_path, max_replicates=max_pairs))
    assert read_report(tmp_path)[1]["claims"] == old_report["claims"]
    claims = judge(read_directory(tmp_path))
    assert {key: (result.verdict, result.look) for key, result in claims.items()} == {
        "large": ("supported", Look(2, 5)), "none": ("inconclusive", Look(2, 5))
    }  # fmt: skip


def test_a_pair_of_which_a_run_failed_is_no_look(decided_by_pairs, trains, tmp_path):
    run(tmp_path, "large")
    trains[0]["c"] = UserError("out of luck")
    with pytest.raises(UserError, match="1 of 9 runs failed: seed_5/c"):
        run(tmp_path)
    assert looks(read_report(tmp_path)[1]) == {"large": ("supported", 2), "none": ("inconclusive", 2)}


def test_claims_are_not_tested_on_one_pair(decided_by_pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(stopping, "in_budget", lambda replicates, *_: iter([queue_of(replicates[:1])]))
    run(tmp_path)
    text, report = read_report(tmp_path)
    assert set(looks(report).values()) == {("not tested", None)} and "the first look is after 2 pairs" in text


def test_the_design_is_stated_with_the_largest_number_of_seeds(decided_by_pairs, tmp_path):
    run(tmp_path, "large", pairs_flag=4)
    assert json.loads((tmp_path / "claims.json").read_text())["design"]["seeds"] == 4


def test_corrected_verdicts_share_the_errors_of_all_looks():
    """With two claims, the first has the level of its look for errors of 2.5 % over all looks."""
    fields = dict(text="", statistic="top1", higher="a", lower="b", look=Look(3, 5))
    other = Estimate(0.0, -1.0, 1.0)
    length = other.interval(Look(3, 5).level(0.025)).high
    for value, corrected in ((1.01 * length, "supported"), (0.99 * length, "inconclusive")):
        results = [
            ClaimResult(**fields, difference=result) for result in (Estimate(value, value - 1, value + 1), other)
        ]
        assert correct_for_number(results)[0].corrected == corrected and results[0].verdict == "supported"


EQUAL = dict(equal=claim("slope_acc", "a", "b", equal=True, margin=0.0))


@pytest.mark.parametrize(("config", "value", "pairs_flag", "message"), [
    (make_seeded_study(2, "a", "b", "c", **CLAIMS), "lareg", None, r"--until_decided=lareg is not a claim .*did you mean large"),
    (make_seeded_study(2, "a", "b", "c", **EQUAL), "equal", None, "claims.equal .* margin of 0, which no number of pairs decides"),
    (make_seeded_study(2, "a", "b", "c", **EQUAL), "", None, "claims.equal states that runs are equal"),
    (make_seeded_study(2, "a", "b"), "", None, "--until_decided needs claims, and this study has none"),
    (make_study("a", "b", "c", **CLAIMS), "", None, "adds pairs or seeds: this study's config has no seeds"),
    (make_seeded_study(2, "a", "b", "c", **CLAIMS), "", 1, "--max_pairs=1 is too small: the first look"),
    (make_seeded_study(2, "a", "b", "c", **CLAIMS), "", 2, "--max_pairs=2 is too small: .* has 3 pairs or seeds already"),
])  # fmt: skip
def test_what_cannot_be_decided_is_one_line_before_training(config, value, pairs_flag, message, trains, tmp_path):
    for seed in (3, 4, 5):
        (tmp_path / f"seed_{seed}").mkdir()
    with pytest.raises(UserError, match=message) as error:
        run(tmp_path, value, pairs_flag, config)
    assert "\n" not in str(error.value) and trains[1] == []


def test_a_directory_keeps_its_largest_number_of_pairs(decided_by_pairs, tmp_path):
    run(tmp_path, "large")
    with pytest.raises(UserError, match="--max_pairs=8: .* contains looks at the levels for 5 pairs or seeds at most"):
        stopping.most_pairs(tmp_path, True, 8)
    assert stopping.most_pairs(tmp_path, False, None) == stopping.most_pairs(tmp_path, True, 5) == 5
    with pytest.raises(UserError, match="--max_pairs=8 is for a study that adds pairs: add --until_decided"):
        stopping.most_pairs(tmp_path / "other", False, 8)
