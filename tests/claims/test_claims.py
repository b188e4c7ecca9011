"""What claims compare, and which are refused."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from cliptail_jax.claims.borrowed import Borrowed
from cliptail_jax.claims.testing import compare, evaluate_claims, variance_over_claims
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
from cliptail_jax.results.study import Study, by_replicate, read_study, write_study
from cliptail_jax.runs.evaluations import add_summary, evaluation_directory
from tests.synthetic_studies import (
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
    for name, slope, class_names in (("a", 0.0, NAMES), ("b", 0.8, names)):
        write_run(study.runs[name], tmp_path / name, confusion_of(slope, 0), class_names)
    runs = {name: Run(tmp_path / name) for name in study.runs}
    result = evaluate_claims({"": Claim("", "tail", "a", "b")}, [[runs]], {})[""]
    assert (result.obstacle, result.verdict) == (obstacle, "not tested" if obstacle else "supported")


@pytest.fixture(scope="module")
def four_directory(tmp_path_factory):
    """The directory of a study with the runs a to d in one mirrored pair. Tests must not change it."""
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


def evaluate(runs, higher, lower, **fields):
    return evaluate_claims({"": Claim("", "odds_acc", higher, lower, margin=0.2, **fields)}, runs, {})[""]


def test_a_difference_of_differences_is_compared_over_the_same_classes(four):
    result = evaluate(four, "a", "b", reference=("c", "d"))
    first, second = evaluate(four, "a", "b").difference, evaluate(four, "c", "d").difference
    assert result.difference.value == pytest.approx(first.value - second.value)
    assert evaluate(four, "a", "b", reference=("a", "b")).difference[:3] == (0, 0, 0)
    assert result.comparison == "(a − b) − (c − d)"


def test_a_difference_that_is_claimed_to_exceed_a_number_is_compared_with_it(four):
    plain, low, high = (evaluate(four, "a", "b", threshold=bound) for bound in (0.0, -50.0, 50.0))
    assert low.difference == high.difference == plain.difference
    assert (low.verdict, high.verdict) == ("supported", "contradicted") and high.comparison == "a − b > 50"
    assert max(low.p_value, high.p_value) < 1e-6


def test_a_difference_in_another_study_has_its_own_uncertainty(four, tmp_path):
    report = tmp_path / "report.json"
    claims = {name: Claim("", "odds_acc", "a", name, margin=0.2) for name in "be"}
    results = evaluate_claims(claims, four, {})
    write_json(report, {"claims": [{"key": key} | claim_numbers(result) for key, result in results.items()]})
    fields = dict(reference=("a", "b"), study=str(report))
    value, low, high, _ = evaluate(four, "a", "b").difference
    half = np.hypot(value - low, high - value)
    np.testing.assert_allclose(evaluate(four, "a", "b", **fields).difference[:3], [0, -half, half])
    absent = evaluate(four, "a", "b", **fields | {"reference": ("a", "e")})
    assert absent.obstacle == f"in {report}, there is no trained run of e"
    absent = evaluate(four, "a", "b", **fields | {"reference": ("b", "a")})
    assert absent.obstacle == f"{report} tests no claim on b − a in odds_acc"
    write_json(report, {"claims": [{"key": "one"}]})
    obstacle = evaluate(four, "a", "b", **fields).obstacle
    assert obstacle == f"a claim in {report} has no field 'text': write the report again with --report"
    assert evaluate(four, "a", "b", reference=("a", "b"), study="natrual").obstacle.startswith(
        "there are no results 'natrual' (did you mean natural?): give the path of a study's report.json, or one of "
    )


def test_published_results_are_another_study_by_their_name(four):
    """By the numbers of configs/study/results/mechanism_glyphs_16.json, and MOVER's formula for independent estimates."""
    claims = json.loads(find_results("mechanism_glyphs_16").read_text())["claims"]
    published = next(claim for claim in claims if claim["key"] == "batch_odds_acc")["difference"]
    measured = evaluate(four, "a", "b").difference
    result = evaluate(four, "a", "b", reference=("sl", "batch"), study="mechanism_glyphs_16").difference
    low = np.hypot(measured.value - measured.low, published["high"] - published["value"])
    high = np.hypot(measured.high - measured.value, published["value"] - published["low"])
    value = measured.value - published["value"]
    np.testing.assert_allclose(result[:3], [value, value - low, value + high], rtol=1e-12)


def test_a_run_is_compared_with_a_number(four):
    from_one, from_zero = evaluate(four, 1.0, "a"), evaluate(four, "a", 0.0)
    value, interval = from_zero.difference.value, from_zero.difference.interval(0.95)
    assert from_zero.by_seed == [(value, 0.0)] and value > 0.5
    np.testing.assert_allclose(from_one.difference.interval(0.95), np.subtract(1, interval)[::-1])
    assert from_one.comparison == "1.0 − a"


def test_runs_are_compared_at_equal_accuracy_by_their_class_counts(four, four_directory, tmp_path):
    obstacle = evaluate(four, "a", "b", condition="equal accuracy").obstacle
    assert obstacle.startswith("a has no class counts, and a comparison at equal accuracy needs those of several")
    workdir = shutil.copytree(four_directory, tmp_path / "four")
    for run in find_runs(workdir):
        results = run.evaluation.results
        directory = evaluation_directory(run.workdir, run.main_set)
        for step, share in ((4, 0.5), (8, 1.0)):  # half as often right at first
            results_by_step = dataclasses.replace(results, correct=(share * results.correct).astype(int))
            add_summary(directory, run.summary | {"step": step}, results_by_step)
    result = evaluate(replicates_in(workdir), "a", "d", condition="equal accuracy")
    assert result.verdict == "supported" and result.quantity == "odds_acc at equal accuracy"
    higher, lower = result.by_seed[0]
    final = evaluate(four, "a", "d").by_seed[0]
    assert (higher == final[0]) != (lower == final[1])  # one of them is interpolated


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
    ("terms", "weights"),
    [
        (("a", "b"), {"a": 1, "b": -1}),
        ((1.0, "a"), {"a": -1}),
        (("a", "b", ("b", "c")), {"a": 1, "b": -2, "c": 1}),
        (("a", "b", ("c", "d")), {"a": 1, "b": -1, "c": -1, "d": 1}),
    ],
)
def test_the_variance_between_seeds_is_that_of_all_kinds_above_chance(terms, weights, two_seeds):
    """Against the values of each kind compared with the number 0, in an order that no claim has."""
    higher, lower, minus = (*terms, ())[:3]
    result = evaluate(two_seeds, higher, lower, reference=minus)
    kinds = {name: [compare(Claim("", "odds_acc", name, 0.0), seed)[0] for seed in two_seeds] for name in "dcba"}
    number = 1.0 if higher == 1.0 else 0.0
    contrasts = [
        Bootstrapped(*(number + sum(w * part[i] for w, part in parts) for i in (0, 1)))
        for parts in ([(w, kinds[name][seed]) for name, w in weights.items()] for seed in (0, 1))
    ]
    variance = pooled_variance({name: seed_variance(seeds) for name, seeds in kinds.items()}, weights)
    np.testing.assert_allclose(result.difference, mean_over_seeds(contrasts, variance))
    assert result.difference.degrees > 1


def test_a_table_and_a_claim_on_a_number_have_the_same_interval(two_seeds):
    claimed, group = evaluate(two_seeds, "a", 0.0), groups_of(two_seeds)["a"]
    np.testing.assert_allclose(group.estimates["odds_acc"], claimed.difference)


def test_differences_on_the_page_have_the_intervals_of_claims(two_seeds, two_seeds_directory):
    kinds = page_comparison([read_directory(two_seeds_directory)]).kinds
    title = MEASURES["odds_acc"].title
    (row,) = [
        row for row in differences([kind for kind in kinds if kind.name in "abcd"]) if row[:3] == ["a", "b", title]
    ]
    np.testing.assert_allclose(row[3:], evaluate(two_seeds, "a", "b").difference[:3])
    np.testing.assert_allclose(kinds[0].estimates["odds_acc"], groups_of(two_seeds)["a"].estimates["odds_acc"])


def test_kinds_that_finished_one_seed_are_tested_alone(two_seeds):
    first_seed = [[{"a": two_seeds[0][0]["a"]} | {"b": two_seeds[0][0]["b"]}]]
    seeds = [*first_seed, [{name: run for name, run in two_seeds[1][0].items() if name != "b"}]]
    np.testing.assert_allclose(evaluate(seeds, "a", "b").difference, evaluate(first_seed, "a", "b").difference)
    assert evaluate(two_seeds, "a", "b").difference.degrees < np.inf


def test_claims_at_equal_accuracy_are_pooled_with_each_other():
    """Two differences with the variances 8 and 0, of one degree of freedom each; their mean has 4 degrees."""
    seeds = {"one": (0.0, 4.0), "other": (3.0, 3.0), "elsewhere": (0.0, 50.0)}
    claims = {name: Claim("", "odds_acc", "a", name, condition="equal accuracy") for name in seeds}
    claims["elsewhere"] = dataclasses.replace(claims["one"], set="elsewhere")
    constant = {name: [Bootstrapped(v, np.full(RESAMPLES, v)) for v in values] for name, values in seeds.items()}
    comparisons = {name: (ClaimResult(**vars(claim)), constant[name]) for name, claim in claims.items()}
    variance, mean = 8.0, 4.0
    assert variance_over_claims("one", comparisons).v_seeds == pytest.approx((4 * mean + variance) / 5)
    assert variance_over_claims("other", comparisons).v_seeds == pytest.approx(4 * mean / 5)
    assert variance_over_claims("elsewhere", comparisons) is None


def test_claims_on_runs_at_chance_are_not_tested(tmp_path):
    study = make_study("a", "chance")
    write_run(study.runs.a, tmp_path / "a", confusion_of(0.5, 0))
    write_run(study.runs.chance, tmp_path / "chance", np.ones((CLASSES, CLASSES), int))
    runs = [[{name: Run(tmp_path / name) for name in study.runs}]]
    result = evaluate(runs, "a", "chance")
    assert result.verdict == "not tested (at chance)" and correct_for_number([result])[0].corrected == result.verdict
    assert result.obstacle == "chance is at chance: 1.7 % of 3,600 examples are right, and by chance 1.7 % would be"


@pytest.mark.parametrize(
    "pairs, begins", [((1, 1), "The intervals come"), ((2, 1), "The intervals of 1 of the 2 tested"), ((2, 0), "")]
)
@pytest.mark.parametrize(
    "fields, ends",
    [
        ({}, "Several seeds or pairs cover both."),
        (dict(covers_seeds=True), "is that of other runs of this study."),
        (dict(covers_seeds=True, borrowed="mine"), "is that of the published results of mine."),
    ],
)
def test_a_note_states_where_the_variance_of_one_pair_comes_from(pairs, begins, fields, ends):
    claim = ClaimResult("", "corr_acc", "a", "b", difference=Estimate(1, 0.5, 1.5))
    claims = [dataclasses.replace(claim, by_seed=[(2.0, 1.0)] * number, **fields) for number in pairs if number]
    note = "".join(one_replicate_notes([*claims, ClaimResult("untested", "tail", "a", "b")]))
    assert note.startswith(begins) and note.endswith(ends * bool(begins)) and bool(note) == bool(begins)


def test_a_claim_on_one_seed_borrows_the_variance_of_published_results(two_seeds):
    claims = {"": Claim("", "odds_acc", "a", "b")}
    variance = SeedVariance(0.5, 0.1, 8.0)
    one_seed, mine = two_seeds[:1], Borrowed("mine", {"odds_acc": variance})
    (result,) = evaluate_claims(claims, one_seed, {}, mine).values()
    contrast = difference(*compare(claims[""], one_seed[0]))
    np.testing.assert_allclose(result.difference, mean_over_seeds([contrast], SeedVariance(1.0, 0.2, 8.0)))
    assert result.covers_seeds and result.borrowed == "mine"
    for seeds, variances in ((two_seeds, mine), (one_seed, Borrowed("mine", {}))):
        (result,) = evaluate_claims(claims, seeds, {}, variances).values()
        assert not result.borrowed and result.covers_seeds == (len(seeds) > 1)
