"""What claims compare, and which are refused."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from cliptail_jax.claims.testing import compare, evaluate_claims, pooled_over_claims
from cliptail_jax.claims.verdicts import ClaimResult, claim_numbers, correct_for_number
from cliptail_jax.config.files import find_results
from cliptail_jax.host.files import write_json
from cliptail_jax.metrics.bootstrap import RESAMPLES, Bootstrapped, Estimate, difference
from cliptail_jax.metrics.measures import MEASURES
from cliptail_jax.metrics.seeds import SeedVariance, mean_over_seeds, pooled_variance, seed_variance
from cliptail_jax.report.comparison import compare as page_comparison
from cliptail_jax.report.notes import one_replicate_notes
from cliptail_jax.report.pairs import differences
from cliptail_jax.results.claims import Claim
from cliptail_jax.results.directory import read_directory
from cliptail_jax.results.group import groups_of
from cliptail_jax.results.run import Run, find_runs
from cliptail_jax.results.study import Borrowed, Study, by_replicate, read_study, write_study
from cliptail_jax.runs.evaluations import add_summary, evaluation_directory
from tests.study.synthetic_studies import (
    CLASSES,
    FREQUENCY,
    NAMES,
    confusion_of,
    make_seeded_study,
    make_study,
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
    found = evaluate_claims({"": Claim("", "tail", "a", "b")}, [[runs]], {})[""]
    assert (found.obstacle, found.verdict) == (obstacle, "not tested" if obstacle else "supported")


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
    return evaluate_claims({"": Claim("", "odds_acc", higher, lower, margin=0.2, **more)}, runs, {})[""]


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
    tested = ClaimResult("", "corr_acc", "a", "b", difference=Estimate(1, 0.5, 1.5))
    claims = [dataclasses.replace(tested, by_seed=[(2.0, 1.0)] * number, **known) for number in pairs if number]
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
