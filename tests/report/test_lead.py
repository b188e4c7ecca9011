"""What a report has above its tables: the best run against the baseline, and pairs of runs that are confounded."""

import dataclasses
import re

import numpy as np
import pytest

from cliptail_jax.claims.best import best_run
from cliptail_jax.claims.judged import judge_contents
from cliptail_jax.host.files import write_json
from cliptail_jax.metrics.groups import head_mid_tail
from cliptail_jax.metrics.measures import MEASURES
from cliptail_jax.report.answer import answer, bias_of_all
from cliptail_jax.report.comparison import compare
from cliptail_jax.report.confounded import confounded
from cliptail_jax.report.lead import lead_of
from cliptail_jax.results.directory import read_directory
from cliptail_jax.results.group import RunGroup
from cliptail_jax.results.run import Run
from cliptail_jax.results.study import Study
from tests import synthetic_studies
from tests.judged_pages import page_of
from tests.synthetic_studies import (
    CLASSES,
    FREQUENCY,
    NAMES,
    claim,
    confusion_of,
    make_seeded_study,
    make_study,
    read_report,
    run_in_memory,
    run_study,
)

GROUPS = dict(zip(("head", "mid", "tail"), head_mid_tail(FREQUENCY)))
SLOPES = {"sl": 0.8, "fair": 0.0, "same": 0.8}
CONFOUNDED = "confounded: same and sl differ in objective and optimizer.learning_rate"


def confusion(slope, seed, frequency=FREQUENCY):
    """Of a fair run, about half of the mistakes are mended."""
    counts = confusion_of(slope, seed, frequency)
    if slope < 0.2:
        mended = np.where(np.arange(CLASSES) % 2, counts, 0)
        np.fill_diagonal(mended, 0)
        counts += np.diag(mended.sum(axis=1)) - mended
    return counts


def test_report_terminal_and_page_begin_with_the_answer_and_with_what_is_confounded(
    trains, tmp_path, capsys, monkeypatch
):
    trains[0].update(SLOPES)
    monkeypatch.setattr(synthetic_studies, "confusion_of", confusion)
    study = make_seeded_study(2, *SLOPES)
    study.baseline = "sl"
    study.runs.fair.loss.margin = study.runs.same.loss.margin = 0.3
    study.runs.same.optimizer.learning_rate = 0.01
    run_study(study, tmp_path)
    text, report = read_report(tmp_path)
    first, *_ = report["answer"]
    top1, tail = ([report["means"][name][key] for name in ("sl", "fair")] for key in ("top1", "tail"))
    assert first == f"Fair: top-1 {top1[0]:.1f} → {top1[1]:.1f}, tail {tail[0]:.1f} → {tail[1]:.1f} (2 seeds)."
    assert report["confounded"] == [CONFOUNDED]
    assert text.splitlines()[2].startswith(f"**{first}** It has the largest mean accuracy over classes of 2: +")
    assert text.splitlines()[4] == f"**{CONFOUNDED}**"
    output = " ".join(capsys.readouterr().out.split())
    assert " ".join(["By hand", *report["answer"], *report["confounded"], "top-1"]) in output
    contents = read_directory(tmp_path)
    lead = lead_of(compare([contents]), [judge_contents(contents)])
    assert [list(lead.answer), list(lead.confounded)] == [report["answer"], report["confounded"]]
    page = page_of(tmp_path, output=tmp_path / "page.html", images=0).read_text()
    assert page.index(first) < page.index(CONFOUNDED) < page.index('id="runs-part"')
    assert '"confounded":[["sl","same","objective and optimizer.learning_rate"]]' in page  # of all pairs


def answered(slopes, baseline="sl", next_command="", **options):
    """The answer of one run of each slope."""
    runs = {
        name: run_in_memory(confusion(slope, seed), FREQUENCY, NAMES, GROUPS, name)
        for seed, (name, slope) in enumerate(slopes.items())
    }
    study = Study("", tuple(runs), baseline=baseline, next_command=next_command, **options)
    return answer_of(study, runs), runs


def answer_of(study, runs):
    return answer(study, [[runs]], best_run(study, [[runs]]))


def test_a_difference_that_is_not_decided_is_stated_as_such():
    (undecided, largest, covered), runs = answered({"sl": 0.8, "same_too": 0.8})
    assert undecided == "No run is measurably better than SL in mean accuracy over classes (1 seed)."
    means = [MEASURES["mean_per_class"].point([run.evaluation.results]) for run in runs.values()]
    assert largest.startswith(f"The largest difference is that of same too: {means[1] - means[0]:+.1f} [")


def test_remedies_that_are_not_measurably_worse_and_the_cost_in_the_head_are_named():
    first, mean, close, head, covered = answered({"sl": 0.8, "fair": 0.0, "as_fair": 0.0, "biased": 0.6})[0]
    other = "as fair" if first.startswith("Fair") else "fair"
    assert first.startswith(("Fair: top-1 ", "As fair: top-1 ")) and "of 3: +" in mean
    assert close == f"Not measurably worse: {other}."
    assert head.startswith("It costs ")
    assert covered == "Intervals are for the choice of test examples, with these classes."


def test_the_answer_has_the_intervals_and_looks_of_claims(tmp_path):
    assert answered({"sl": 0.8, "fair": 0.0})[0][0].startswith("Fair: ")
    results = tmp_path / "report.json"
    write_json(results, {"variances": {"mean_per_class": (400.0, 0.0, 5.0)}})
    lead = answered({"sl": 0.8, "fair": 0.0}, variances_from=str(results))[0]
    assert lead[0].startswith("No run is measurably better than SL")
    assert answered({"sl": 0.8, "fair": 0.0}, max_replicates=5)[0] == []  # the first look is after two pairs or seeds


def test_without_a_run_above_chance_the_answer_is_to_train_longer():
    names = ("sl", "fair")
    runs = {name: run_in_memory(np.ones((CLASSES, CLASSES), int), FREQUENCY, NAMES, GROUPS, name) for name in names}
    (only,) = answer_of(Study("", names, baseline="sl"), runs)
    assert only == "No run is compared with SL, since SL, fair are at chance: train longer."


def test_the_best_run_completes_the_command_that_goes_on_with_it():
    (best, command), _ = answered(
        {"1e-3": 0.8, "fair": 0.1, "3e-3": 0.8}, baseline="", next_command="cliptail study x:rate=BEST"
    )
    assert best.startswith("fair has the largest mean accuracy over classes: ") and "(1e-3 " in best
    assert command == "Continue with: cliptail study x:rate=fair" and "at the end" not in best
    (last, _), runs = answered({"1e-3": 0.8, "fair": 0.1}, baseline="", next_command="BEST")
    assert last.endswith("It is at the end of those tried: one beyond it may be better.")
    study = Study("", (*runs, "3e-2"), next_command="BEST")
    (only,) = answer_of(study, runs)
    assert only.startswith("So far, fair has ") and only.endswith(" Not finished: 3e-2.")
    failed = dataclasses.replace(study, failures={"3e-2": "the loss is nan"})
    assert answer_of(failed, runs)[1] == "Continue with: fair"


@pytest.mark.parametrize("baseline", ["", "gone", "sl"])
def test_without_a_baseline_or_other_runs_the_answer_is_how_biased_the_runs_are(baseline):
    (only,), runs = answered({"sl": 0.8}, baseline)
    accuracy = 100 * runs["sl"].evaluation.accuracy
    tail, head = (accuracy[GROUPS[group]].mean() for group in ("tail", "head"))
    gain = np.polyfit(np.log10(FREQUENCY), accuracy, 1)[0]
    numbers = re.fullmatch(
        r"Tail (\d+) %, head (\d+) %; with ten times as many images a class gains (\d+) points\.", only
    )
    assert [*map(int, numbers.groups())] == pytest.approx([tail, head, gain], abs=0.51)


def test_the_most_and_the_least_biased_runs_are_named_and_those_at_chance_are_not():
    first, last = answered({"a_little": 0.2, "sl": 0.8, "less": 0.4}, baseline="")[0]
    assert first.startswith("The most biased by the estimate of odds_acc is SL: tail ")
    assert last.startswith("The least biased by the estimate of odds_acc is a little: tail ")
    runs = answered({"sl": 0.8, "a_little": 0.2})[1]
    by_chance = run_in_memory(np.ones((CLASSES, CLASSES), int), FREQUENCY, NAMES, GROUPS)
    higher, lower = bias_of_all([RunGroup(run.workdir.name, [[run]]) for run in (*runs.values(), by_chance)])
    assert higher.startswith("The more biased by the estimate of odds_acc is sl") and lower.startswith(
        "The less biased by the estimate of odds_acc is a little"
    )
    (only,) = bias_of_all([RunGroup("chance", [[by_chance]])])
    assert only == "At chance: 1.7 % of 3,600 examples are right, and by chance 1.7 % would be."


def test_a_claim_on_runs_of_two_differences_is_confounded_and_many_pairs_are_shortened(trains, tmp_path):
    names = [f"r{n}" for n in range(6)]
    trains[0].update(dict.fromkeys(names, 0.5))
    study = make_study(*names, **{f"c{n}": claim("top1", name, "r0") for n, name in enumerate(names[1:])})
    for number, config in enumerate(study.runs.values()):
        config.update({"batch_size": 128 * (1 + (number > 0))})
        config.optimizer.learning_rate = 0.1 * (1 + (number > 0))
    run_study(study, tmp_path)
    (line,) = read_report(tmp_path)[1]["confounded"]
    assert line == (
        "confounded: r1 and r0, r2 and r0, r3 and r0 and 2 more pairs differ in batch_size and optimizer.learning_rate"
    )


def test_models_without_a_known_recipe_are_not_called_confounded(tmp_path):
    class Group:
        def __init__(self, name, objective):
            self.name, run = name, Run(tmp_path)
            run.document = {"config": {"objective": objective, "total_epochs": name}}
            run.data, self.runs = {}, [run]

    groups = [Group("a", "zero_shot"), Group("b", "supervised"), Group("c", []), Group("d", "dino")]
    assert confounded(groups, [("a", "b"), ("b", "c"), ("c", "a"), ("b", "gone")]) == []
    damaged = confounded(groups, [("b", "d")])
    assert damaged == ["confounded: b and d differ in objective and total_epochs"]
