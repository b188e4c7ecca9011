"""What claims compare, which are refused, and which are marked as changed."""

import dataclasses
import itertools
import json
import math
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptail_jax.config.files import find_results
from cliptail_jax.errors import UserError
from cliptail_jax.files import write_json
from cliptail_jax.metrics.bootstrap import RESAMPLES, Bootstrapped, Estimate, difference
from cliptail_jax.metrics.measures import MEASURES
from cliptail_jax.metrics.seeds import SeedVariance, mean_over_seeds, pooled_variance, seed_variance
from cliptail_jax.report.comparison import compare as page_comparison
from cliptail_jax.report.forest import ClaimRow, ends_of
from cliptail_jax.report.pairs import differences
from cliptail_jax.results.claims import (
    Claim,
    ClaimResult,
    claim_numbers,
    correct_for_number,
    one_replicate_notes,
    read_claims,
)
from cliptail_jax.results.directory import read_directory
from cliptail_jax.results.group import groups_of
from cliptail_jax.results.run import Run, find_runs
from cliptail_jax.results.study import Borrowed, Study, by_replicate, read_study, write_study
from cliptail_jax.results.testing import compare, evaluate_claim, evaluate_claims, pooled_over_claims
from cliptail_jax.runs.evaluations import add_summary, evaluation_directory
from cliptail_jax.study.configuration import typed_study
from cliptail_jax.study.stated_claims import changes_of_claims
from tests.study.synthetic_studies import (
    CLASSES,
    FREQUENCY,
    NAMES,
    claim,
    confusion_of,
    make_seeded_study,
    make_study,
    make_transfer_study,
    read_report,
    run_study,
    with_seeds,
    write_run,
)


@pytest.mark.parametrize(
    ("changes", "names", "obstacle"),
    [
        ({}, NAMES[::-1], "the runs have different classes"),
        ({"class_names": "composed_codepoints"}, [f"U+{label}" for label in range(CLASSES)], ""),
        ({"class_names": "composed_codepoints", "classes.first": 12}, NAMES[::-1], "the runs have different classes"),
    ],
)
def test_runs_are_compared_on_the_same_classes_by_label_if_only_their_list_of_names_differs(
    changes, names, obstacle, tmp_path
):
    study = make_study("a", "b")
    study.runs.b.seed = study.runs.b.data.seed = study.runs.a.data.seed
    study.runs.b.data.update_from_flattened_dict(changes)
    for name, slope, of_run in (("a", 0.0, NAMES), ("b", 0.8, names)):
        write_run(study.runs[name], tmp_path / name, confusion_of(slope, 0), of_run)
    runs = {name: Run(tmp_path / name) for name in study.runs}
    found = evaluate_claim(Claim("", "tail", "a", "b"), [[runs]])
    assert (found.obstacle, found.verdict) == (obstacle, "not tested" if obstacle else "supported")


def result(value, half, margin=0.0, equal=False):
    estimate = Estimate(value, value - half, value + half)
    return ClaimResult("", "corr_acc", "a", "b", margin, equal=equal, difference=estimate)


@pytest.mark.parametrize(
    ("value", "half", "margin", "equal", "verdict"),
    [
        (2.0, 1.0, 0.0, False, "supported"),
        (-2.0, 1.0, 0.0, False, "contradicted"),
        (0.5, 1.0, 0.0, False, "inconclusive"),
        (0.0, 0.0, 0.0, False, "inconclusive"),  # a run and itself
        (0.5, 1.0, 1.6, False, "no effect"),
        (2.0, 1.0, 1.6, False, "supported"),
        (0.5, 1.0, 1.6, True, "supported"),
        (-3.0, 1.0, 1.6, True, "contradicted"),
        (3.0, 1.0, 1.6, True, "contradicted"),
        (1.6, 1.0, 1.6, True, "inconclusive"),
    ],
)
def test_the_verdict_is_where_the_interval_lies(value, half, margin, equal, verdict):
    assert result(value, half, margin, equal).verdict == verdict


@settings(deadline=None)
@given(st.floats(-3, 3), st.floats(0.01, 3), st.floats(0, 3), st.booleans())
def test_the_p_value_is_the_level_up_to_which_the_verdict_holds(value, half, margin, equal):
    claimed = result(value, half, margin, equal)
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


@pytest.fixture(scope="module")
def four_directory(tmp_path_factory):
    """The directory of a study with the runs a to d in one mirrored pair, which is not to be changed."""
    workdir = tmp_path_factory.mktemp("four")
    study = make_seeded_study(2, *"abcd")
    study.counterbalanced = True
    for seed, frequency in (("seed_3", FREQUENCY), ("seed_3_mirrored", FREQUENCY[::-1])):
        for number, (name, slope) in enumerate(zip("abcd", (0.8, 0.5, 0.4, 0.0))):
            confusion = confusion_of(slope, number, frequency)
            write_run(study.runs[name], workdir / seed / name, confusion, frequency=frequency)
    write_study(workdir, Study("Four", tuple("abcd"), [["seed_3", "seed_3_mirrored"]]))
    return workdir


def replicates_in(workdir):
    return by_replicate(read_study(workdir), find_runs(workdir))


@pytest.fixture(scope="module")
def four(four_directory):
    return replicates_in(four_directory)


def evaluated(runs, higher, lower, **more):
    return evaluate_claim(Claim("", "odds_acc", higher, lower, margin=0.2, **more), runs)


def test_a_difference_of_differences_is_compared_over_the_same_classes(four):
    found = evaluated(four, "a", "b", minus=("c", "d"))
    first, second = evaluated(four, "a", "b").difference, evaluated(four, "c", "d").difference
    assert found.difference.value == pytest.approx(first.value - second.value)
    assert evaluated(four, "a", "b", minus=("a", "b")).difference[:3] == (0, 0, 0)
    assert found.compared == "(a − b) − (c − d)"


def test_a_difference_that_is_claimed_to_exceed_a_number_is_compared_with_it(four):
    plain, low, high = (evaluated(four, "a", "b", by=by) for by in (0.0, -50.0, 50.0))
    assert low.difference == high.difference == plain.difference
    assert (low.verdict, high.verdict) == ("supported", "contradicted") and high.compared == "a − b > 50"
    assert max(low.p_value, high.p_value) < 1e-6


def test_a_difference_in_another_study_has_its_own_uncertainty(four, tmp_path):
    report = tmp_path / "report.json"
    claims = {name: Claim("", "odds_acc", "a", name, margin=0.2) for name in "be"}
    tested = [{"key": key} | claim_numbers(found) for key, found in evaluate_claims(claims, four, {}).items()]
    write_json(report, {"claims": tested})
    there = dict(minus=("a", "b"), study=str(report))
    value, low, high, _ = evaluated(four, "a", "b").difference
    twice = np.hypot(value - low, high - value)
    np.testing.assert_allclose(evaluated(four, "a", "b", **there).difference[:3], [0, -twice, twice])
    absent = evaluated(four, "a", "b", **there | {"minus": ("a", "e")})
    assert absent.obstacle == f"in {report}, there is no trained run of e"
    absent = evaluated(four, "a", "b", **there | {"minus": ("b", "a")})
    assert absent.obstacle == f"{report} tests no claim on b − a in odds_acc"
    write_json(report, {"claims": [{"key": "one"}]})
    earlier = evaluated(four, "a", "b", **there).obstacle
    assert earlier == f"a claim in {report} has no field 'text': write the report again with --report"
    assert evaluated(four, "a", "b", minus=("a", "b"), study="machanism").obstacle.startswith(
        "there are no results 'machanism' (did you mean mechanism?): give the path of a study's report.json, or one of "
    )


def test_published_results_are_another_study_by_their_name(four):
    """By the numbers of configs/study/results/mechanism.json, and MOVER's formula for independent estimates."""
    claims = json.loads(find_results("mechanism").read_text())["claims"]
    theirs = next(claim for claim in claims if claim["key"] == "batch_odds_acc")["difference"]
    ours = evaluated(four, "a", "b").difference
    found = evaluated(four, "a", "b", minus=("sl_adamw", "batch"), study="mechanism").difference
    low = np.hypot(ours.value - ours.low, theirs["high"] - theirs["value"])
    high = np.hypot(ours.high - ours.value, theirs["value"] - theirs["low"])
    value = ours.value - theirs["value"]
    np.testing.assert_allclose(found[:3], [value, value - low, value + high], rtol=1e-12)


def test_a_run_is_compared_with_a_number(four):
    found, own = evaluated(four, 1.0, "a"), evaluated(four, "a", 0.0)
    assert own.by_seed == [(own.difference.value, 0.0)] and own.difference.value > 0.5
    np.testing.assert_allclose(found.difference.interval(0.95), np.subtract(1, own.difference.interval(0.95))[::-1])
    assert found.compared == "1.0 − a"


def test_runs_are_compared_at_equal_accuracy_by_their_class_counts(four, four_directory, tmp_path):
    obstacle = evaluated(four, "a", "b", at="equal accuracy").obstacle
    assert obstacle.startswith("a has no class counts, and a comparison at equal accuracy needs those of several")
    workdir = shutil.copytree(four_directory, tmp_path / "four")
    for run in find_runs(workdir):
        results = run.evaluation.results
        for step, share in ((4, 0.5), (8, 1.0)):  # half as often right at first
            numbers = {"correct": (share * results.correct).astype(int), "examples": results.examples}
            numbers |= {"predictions": results.predictions}
            counts = {key: array.tolist() for key, array in numbers.items()}
            add_summary(
                evaluation_directory(run.workdir, run.main_set), run.summary, {"step": step, "settings": {}} | counts
            )
    found = evaluated(replicates_in(workdir), "a", "d", at="equal accuracy")
    assert found.verdict == "supported" and found.measured == "odds_acc at equal accuracy"
    higher, lower = found.by_seed[0]
    at_end = evaluated(four, "a", "d").by_seed[0]
    assert (higher == at_end[0]) != (lower == at_end[1])  # one of them is interpolated


@pytest.fixture(scope="module")
def two_seeds_directory(tmp_path_factory):
    """The directory of a study with the runs a to d in two seeds, and e, at chance."""
    workdir, study = tmp_path_factory.mktemp("two"), make_seeded_study(2, *"abcde")
    for seed, directory in enumerate(("seed_3", "seed_4")):
        for number, (name, slope) in enumerate(zip("abcd", (0.8, 0.5, 0.4, 0.1))):
            confusion = confusion_of(slope + 0.1 * seed * (-1) ** number, 10 * seed + number)
            write_run(study.runs[name], workdir / directory / name, confusion)
        write_run(study.runs["e"], workdir / directory / "e", np.ones((CLASSES, CLASSES), int))
    write_study(workdir, Study("Two", tuple("abcde"), [["seed_3"], ["seed_4"]]))
    return workdir


@pytest.fixture(scope="module")
def two_seeds(two_seeds_directory):
    return replicates_in(two_seeds_directory)


@pytest.mark.parametrize(
    ("compared", "weights"),
    [
        (("a", "b"), {"a": 1, "b": -1}),
        ((1.0, "a"), {"a": -1}),
        (("a", "b", ("b", "c")), {"a": 1, "b": -2, "c": 1}),
        (("a", "b", ("c", "d")), {"a": 1, "b": -1, "c": -1, "d": 1}),
    ],
)
def test_the_variance_between_seeds_is_that_of_all_kinds_above_chance(compared, weights, two_seeds):
    """With the values of each kind compared with the number 0, in the order of no claim."""
    higher, lower, minus = (*compared, ())[:3]
    found = evaluated(two_seeds, higher, lower, minus=minus)
    own = {name: [compare(Claim("", "odds_acc", name, 0.0), seed)[0] for seed in two_seeds] for name in "dcba"}
    number = 1.0 if higher == 1.0 else 0.0
    contrasts = [
        Bootstrapped(*(number + sum(w * part[i] for w, part in parts) for i in (0, 1)))
        for parts in ([(w, own[name][seed]) for name, w in weights.items()] for seed in (0, 1))
    ]
    pooled = pooled_variance({name: seed_variance(seeds) for name, seeds in own.items()}, weights)
    np.testing.assert_allclose(found.difference, mean_over_seeds(contrasts, pooled))
    assert found.difference.degrees > 1


def test_a_table_and_a_claim_on_a_number_have_the_same_interval(two_seeds):
    claimed, group = evaluated(two_seeds, "a", 0.0), groups_of(two_seeds)["a"]
    np.testing.assert_allclose(group.bias["odds_acc"], claimed.difference)


def test_differences_on_the_page_have_the_intervals_of_claims(two_seeds, two_seeds_directory):
    kinds = page_comparison([read_directory(two_seeds_directory)]).kinds
    title = MEASURES["odds_acc"].title
    (row,) = [
        row for row in differences([kind for kind in kinds if kind.name in "abcd"]) if row[:3] == ["a", "b", title]
    ]
    np.testing.assert_allclose(row[3:], evaluated(two_seeds, "a", "b").difference[:3])
    np.testing.assert_allclose(kinds[0].bias["odds_acc"], groups_of(two_seeds)["a"].bias["odds_acc"])


def test_kinds_that_finished_one_seed_are_tested_alone(two_seeds):
    one, both = [[{"a": two_seeds[0][0]["a"]} | {"b": two_seeds[0][0]["b"]}]], evaluated(two_seeds, "a", "b")
    partly = [*one, [{name: run for name, run in two_seeds[1][0].items() if name != "b"}]]
    np.testing.assert_allclose(evaluated(partly, "a", "b").difference, evaluated(one, "a", "b").difference)
    assert both.difference.degrees < np.inf


def test_claims_at_equal_accuracy_are_pooled_with_each_other():
    """Differences with the excess 4 and 0 of two runs, of one degree each: half of the prior's 4 degrees is of either."""
    seeds = {"one": (0.0, 4.0), "other": (3.0, 3.0), "elsewhere": (0.0, 50.0)}
    claims = {name: Claim("", "odds_acc", "a", name, at="equal accuracy") for name in seeds}
    claims["elsewhere"] = dataclasses.replace(claims["one"], set="elsewhere")
    constant = {name: [Bootstrapped(v, np.full(RESAMPLES, v)) for v in values] for name, values in seeds.items()}
    compared = {name: (ClaimResult(**vars(claim)), constant[name]) for name, claim in claims.items()}
    own, mean = 8.0, 4.0
    assert pooled_over_claims("one", compared).of_seeds == pytest.approx((4 * mean + own) / 5)
    assert pooled_over_claims("other", compared).of_seeds == pytest.approx(4 * mean / 5)
    assert pooled_over_claims("elsewhere", compared) is None


def test_claims_on_runs_at_chance_are_not_tested(tmp_path):
    study = make_study("a", "chance")
    write_run(study.runs.a, tmp_path / "a", confusion_of(0.5, 0))
    write_run(study.runs.chance, tmp_path / "chance", np.ones((CLASSES, CLASSES), int))
    runs = [[{name: Run(tmp_path / name) for name in study.runs}]]
    found = evaluated(runs, "a", "chance")
    assert found.verdict == "not tested (at chance)" and correct_for_number([found])[0].corrected == found.verdict
    assert (
        found.obstacle
        == "chance is at chance: the interval of its top-1, 1.7 % [1.7, 1.7], is not above 3.3 %, twice the odds of chance"
    )


@pytest.mark.parametrize(
    "pairs, begins", [((1, 1), "The intervals come"), ((2, 1), "The intervals of 1 of the 2 tested"), ((2, 0), "")]
)
@pytest.mark.parametrize(
    "known, ends",
    [
        ({}, "Several seeds or pairs cover both."),
        (dict(covers_seeds=True), "is that of other runs of this study."),
        (dict(covers_seeds=True, borrowed="mine"), "is that of the published results of mine."),
    ],
)
def test_a_note_states_where_the_variance_of_one_pair_comes_from(pairs, begins, known, ends):
    claims = [dataclasses.replace(result(1, 0.5), by_seed=[(2.0, 1.0)] * number, **known) for number in pairs if number]
    note = "".join(one_replicate_notes([*claims, ClaimResult("untested", "tail", "a", "b")]))
    assert note.startswith(begins) and note.endswith(ends * bool(begins)) and bool(note) == bool(begins)


def test_a_claim_on_one_seed_borrows_the_variance_of_published_results(two_seeds):
    claims = {"": Claim("", "odds_acc", "a", "b")}
    variance = SeedVariance(0.5, 0.1, 8.0)
    one = two_seeds[:1]
    (found,) = evaluate_claims(claims, one, {}, Borrowed("mine", {"odds_acc": variance})).values()
    contrast = difference(*compare(claims[""], one[0]))
    np.testing.assert_allclose(found.difference, mean_over_seeds([contrast], SeedVariance(1.0, 0.2, 8.0)))
    assert found.covers_seeds and found.borrowed == "mine"
    for seeds, borrowed in ((two_seeds, Borrowed("mine", {"odds_acc": variance})), (one, Borrowed("mine", {}))):
        (other,) = evaluate_claims(claims, seeds, {}, borrowed).values()
        assert not other.borrowed and other.covers_seeds == (len(seeds) > 1)


def test_claims_that_were_added_or_changed_after_the_first_run_are_marked(trains, tmp_path, capsys):
    trains[0].update(a=0.0, b=0.8)
    first = claim("corr_acc", "b", "a", margin=0.1)
    run_study(make_study("a", "b", c=first), tmp_path)
    text, report = read_report(tmp_path)
    assert not report["claims"][0]["change"]["mark"] and "†" not in text
    assert "The claims were stated before the first run (claims.json)." in text
    run_study(make_study("a", "b", c=first, d=claim("corr_pred", "b", "a")), tmp_path)
    text, report = read_report(tmp_path)
    assert [claimed["change"]["mark"] for claimed in report["claims"]] == ["", "†"]
    assert (
        "† marks claims that were added or changed after the first run: added." in text
        and "more than the other† (corr_pred" in text
    )
    printed = capsys.readouterr().out
    assert "more than the other†\n" in printed and "† marks claims that were added" in " ".join(printed.split())
    run_study(make_study("a", "b", c=first | dict(margin=0.2)), tmp_path)
    assert read_report(tmp_path)[1]["claims"][0]["change"]["mark"] == "†"
    assert "‡" not in read_report(tmp_path)[0]
    (tmp_path / "claims.json").unlink()  # so that nobody knows what was claimed before the first run
    run_study(make_study("a", "b", c=first), tmp_path)
    assert read_report(tmp_path)[1]["claims"][0]["change"]["mark"] == "†"


def test_claims_whose_runs_were_changed_after_the_first_run_are_marked(trains, tmp_path):
    trains[0].update(a=0.0, b=0.8, c=0.4)
    made = make_study("a", "b", "c", one=claim("corr_acc", "b", "a"), other=claim("corr_acc", "c", "a"))
    run_study(made, tmp_path)
    shutil.rmtree(tmp_path / "b")  # made-up runs are not replaced
    made.runs.b.optimizer.learning_rate = 0.3
    run_study(made, tmp_path)
    text, report = read_report(tmp_path)
    change = "b: optimizer.learning_rate=0.1 not 0.3"
    assert [claimed["change"]["text"] for claimed in report["claims"]] == [change, ""] and "†" not in text
    assert text.count("more than the other‡ (corr_acc: b − a)") == 1
    assert f"‡ marks claims on runs whose recipes were changed after the first run: {change}." in text


def test_a_study_with_another_recipe_leaves_everything_as_it_is(trains, tmp_path):
    slopes, trained = trains
    slopes.update(a=0.5, b=0.1)
    made = make_study("a", "b", c=claim("corr_acc", "a", "b"))
    run_study(made, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    report = read_report(tmp_path)[1]
    other = make_study("a", "b", c=claim("corr_acc", "a", "b"))
    other.runs.b.optimizer.learning_rate = 0.25
    refusal = r"b contains the run of another config \(optimizer.learning_rate=0.1 not 0.25\): choose another --workdir, go back"
    with pytest.raises(UserError, match=refusal):
        run_study(other, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    run_study(made, tmp_path)
    assert read_report(tmp_path)[1] | {"seconds": 0} == report | {"seconds": 0} and trained == ["a", "b"]


def test_a_report_is_not_replaced_by_one_of_no_run(trains, tmp_path):
    trains[0].update(a=0.5)
    made = make_study("a", c=claim("corr_acc", "a", "a"))
    run_study(made, tmp_path)
    before = (tmp_path / "report.md").read_text()
    (tmp_path / "a" / "config.json").write_text("[1]")
    trains[0].update(a=UserError("config.json is damaged"))
    with pytest.raises(UserError, match="config.json is damaged|1 of 1 runs failed"):
        run_study(made, tmp_path)
    assert (tmp_path / "report.md").read_text() == before


INCIDENTAL = {"data.data_dir": "elsewhere", "data.workers": 3, "eval.neural_collapse": True, "checkpoint.keep": 5}


@pytest.mark.parametrize(
    ("values", "changes"),
    [
        ({"runs.b.eval.tail_classes": 3}, dict.fromkeys(("bias", "probe"), "b: eval.tail_classes=0 not 3")),
        ({f"runs.b.{key}": value for key, value in INCIDENTAL.items()}, {}),
        ({"seeds": 4}, dict.fromkeys(("bias", "probe", "other"), "seeds=2 not 4")),
        ({"transfer.sets": ("dtd",)}, {"probe": "transfer.sets=['cifar100'] not ['dtd']"}),
        ({"transfer.data.data_dir": "elsewhere", "transfer.batch_size": 7}, {}),
    ],
)
def test_a_claim_is_changed_by_what_can_change_its_numbers(values, changes, tmp_path):
    """The recipes of its runs, the seeds and, of a claim on probes, the transfer."""
    claims = dict(bias=claim("slope_acc", "a", "b"), probe=claim("probe", "a", "b"), other=claim("slope_acc", "a", "c"))
    study = with_seeds(make_transfer_study("a", "b", "c", **claims), 2)
    assert changes_of_claims(typed_study(study), tmp_path) == {}
    study.update_from_flattened_dict(values)
    found = changes_of_claims(typed_study(study), tmp_path)
    assert found == {key: ("‡", change) for key, change in changes.items()}


@pytest.mark.parametrize(
    "as_written",
    [
        lambda text: text.replace("optimizer.sgd.nesterov", "optimizer.nesterov"),
        lambda text: json.dumps({key: json.loads(text)[key] for key in ("claims", "recipes")}),
    ],
    ids=["other names of fields", "no design and no transfer"],
)
def test_claims_that_an_earlier_version_noted_are_unchanged(as_written, tmp_path):
    study = make_study("a", "b", c=claim("corr_acc", "a", "b"))
    study.runs.a.optimizer.sgd.nesterov = True
    assert changes_of_claims(typed_study(study), tmp_path) == {}
    file = tmp_path / "claims.json"
    file.write_text(as_written(file.read_text(encoding="utf-8")), encoding="utf-8")
    assert changes_of_claims(typed_study(study), tmp_path) == {}


DAMAGED = ([1], {"claims": 3, "recipes": {}}, {"claims": {"c": []}, "recipes": {}}, {"claims": {}, "recipes": {"a": 5}})


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_file_of_claims_is_named(content, tmp_path):
    (tmp_path / "claims.json").write_text(json.dumps(content), encoding="utf-8")
    study = make_study("a", "b", c=claim("tail", "a", "b"))
    with pytest.raises(UserError, match=f"^{tmp_path}/claims.json is damaged"):
        changes_of_claims(typed_study(study), tmp_path)


def test_claims_without_an_interval_are_undecided_in_any_order_and_when_read_again(tmp_path):
    nan, inf = float("nan"), float("inf")
    estimates = (Estimate(1.0, 0.05, 1.95), Estimate(1.0, nan, nan), Estimate(1.0, 0.4, 1.6), Estimate(1.0, -inf, 3.0))
    claims = [ClaimResult("", "f50", "a", "b", difference=of) for of in estimates]
    first = correct_for_number(claims)
    assert [of.corrected for of in first] == ["inconclusive", "inconclusive", "supported", "inconclusive"]
    for order in itertools.permutations(range(4)):
        again = correct_for_number([claims[place] for place in order])
        assert [of.corrected for of in again] == [first[place].corrected for place in order]
    write_json(
        tmp_path / "report.json", {"claims": [claim_numbers(of) | {"key": str(i)} for i, of in enumerate(first)]}
    )
    assert [of.verdict for of in read_claims(tmp_path / "report.json").values()] == [of.verdict for of in first]
    assert all(map(math.isfinite, ends_of([ClaimRow(1, of, "") for of in claims])))
