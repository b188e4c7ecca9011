"""The program collect, on runs whose evaluations are invented."""

import numpy as np
import pytest

from cliptail_jax.formats.frequency_tables import write_frequency
from cliptail_jax.host.files import write_json
from cliptail_jax.metrics import collecting
from cliptail_jax.metrics.collection import collection
from cliptail_jax.metrics.groups import head_mid_tail
from cliptail_jax.metrics.measures import GROUPS
from cliptail_jax.predictions.counts import counts_of
from cliptail_jax.results.run import find_runs
from cliptail_jax.runs.evaluations import ClassArrays, add_summary, evaluation_directory, write_class_arrays
from tests.commands import collect, measure, report
from tests.figures.synthetic_runs import CLASSES, FREQUENCY, NAMES, biased_confusion


def write_run(workdir, confusion, frequency=FREQUENCY, is_finished=True, groups=None):
    workdir.mkdir(parents=True)
    document = {
        "config": {"eval.sets": ["birds:test"]},
        **({"finished": {"step": 9, "seconds": 1.0}} if is_finished else {}),
    }
    write_json(workdir / "config.json", document)
    write_frequency(workdir / "class_frequency.tsv", NAMES, frequency)
    folder = evaluation_directory(workdir, "birds:test")
    folder.mkdir(parents=True)
    write_class_arrays(folder, ClassArrays(confusion, dict(zip(GROUPS, groups or head_mid_tail(frequency)))))
    add_summary(folder, {"step": 9, "epoch": 1.0, "settings": {}})


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two seeds of `sl` and one run of `even`; the runs of `mirrored` have different class frequencies."""
    folder, rng = tmp_path_factory.mktemp("study"), np.random.default_rng(0)
    for seed in ("seed_0", "seed_1"):
        write_run(folder / "study" / seed / "sl", biased_confusion(FREQUENCY, 0.5, rng))
    write_run(folder / "study" / "seed_0" / "chance", np.full((CLASSES, CLASSES), 2))
    for seed, frequency in (("seed_0", FREQUENCY), ("seed_0_mirrored", FREQUENCY[::-1])):
        write_run(folder / "pair" / seed / "sl", biased_confusion(frequency, 0.5, rng), frequency)
    write_frequency(folder / "available.tsv", NAMES[::-1], np.arange(CLASSES)[::-1])
    (folder / "cost.tsv").write_text("".join(f"{name}\t{2.5 if name == NAMES[3] else 1}\n" for name in NAMES))
    (folder / "free.tsv").write_text("".join(f"{name}\t{name != NAMES[3]:d}\n" for name in NAMES))
    return folder


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(collecting, "RESAMPLES", 40)


def read_plan(path):
    header, *rows = (line.split("\t") for line in path.read_text().splitlines())
    return {name: dict(zip(header[1:], numbers)) for name, *numbers in rows}


def test_a_plan_is_written_with_its_pictures(study, tmp_path, capsys):
    command = [f"--workdir={study}/study", "--runs=sl", f"--output={tmp_path}/new/plan.tsv"]
    assert collect([*command[:2], f"--output={tmp_path}/new/other.tsv", "--images=300"]) == 0
    for images in (200, 100):  # the second replaces the first
        assert collect([*command, f"--images={images}"]) == 0
    plan, text = read_plan(tmp_path / "new" / "plan.tsv"), capsys.readouterr().out
    assert list(plan) == list(NAMES) and sum(int(row["collect"]) for row in plan.values()) == 100
    assert all(float(row["predicted"]) >= float(row["accuracy"]) for row in plan.values())
    assert all(row["images_for_50"] in "<>" or int(row["images_for_50"]) > 0 for row in plan.values())
    assert "the plan" in text and "all in proportion" in text and "and 14 more classes" in text
    assert all((tmp_path / "new" / f"plan{suffix}").stat().st_size > 5000 for suffix in (".png", ".pdf", ".svg"))
    assert sum(int(row["collect"]) for row in read_plan(tmp_path / "new" / "other.tsv").values()) == 300
    assert {path.stem for path in (tmp_path / "new").iterdir()} == {"plan", "other"}  # files are named by their plan


def test_a_plan_made_again_on_another_day_has_the_same_bytes(study, tmp_path, monkeypatch):
    contents = []
    for seconds in ("0", "86400"):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", seconds)  # Matplotlib's clock
        assert collect([f"--workdir={study}/study/seed_0/sl", "--images=50", f"--output={tmp_path}/plan.tsv"]) == 0
        contents.append({path.name: path.read_bytes() for path in tmp_path.iterdir()})
    assert contents[0] == contents[1] and {"plan.pdf", "plan.svg"} <= {*contents[0]}


def test_images_that_do_not_help_the_target_are_left(study, tmp_path, capsys):
    flags = [
        f"--workdir={study}/study",
        "--runs=sl",
        f"--available={study}/available.tsv",
        f"--output={tmp_path}/plan.tsv",
    ]
    assert collect([*flags, "--images=276", "--target=tail"]) == 0
    tail = np.argsort(FREQUENCY, kind="stable")[:8]
    assert f"{276 - tail.sum()} images are left: no more of them help tail" in capsys.readouterr().out


def test_a_plan_has_no_more_images_than_there_are_and_costs_no_more(study, tmp_path):
    command = [f"--workdir={study}/study", "--runs=sl", "--images=60", f"--output={tmp_path}/plan.tsv", "--target=tail"]
    assert collect([*command, f"--available={study}/available.tsv", f"--cost={study}/cost.tsv"]) == 0
    collected = [int(row["collect"]) for row in read_plan(tmp_path / "plan.tsv").values()]
    assert all(number <= limit for limit, number in enumerate(collected))
    remainder = 60 - sum(collected) - 1.5 * collected[3]
    assert (
        0 <= remainder < 2.5 and np.argsort(FREQUENCY)[8:][np.array(collected)[np.argsort(FREQUENCY)[8:]] > 0].size == 0
    )


def test_runs_that_have_not_ended_are_left_out_unless_there_are_no_others(study, tmp_path, capsys):
    rng = np.random.default_rng(0)
    for seed, is_finished in (("seed_0", True), ("seed_1", False)):
        write_run(tmp_path / "two" / seed / "sl", biased_confusion(FREQUENCY, 0.5, rng), is_finished=is_finished)
    plans = []
    for workdir in ("two", "two/seed_0/sl", "two/seed_1/sl"):
        assert collect([f"--workdir={tmp_path}/{workdir}", "--images=50", f"--output={tmp_path}/plan.tsv"]) == 0
        plans.append((tmp_path / "plan.tsv").read_text())
    assert plans[0] == plans[1] != plans[2]
    notes = [line for line in capsys.readouterr().err.splitlines() if "note: " in line]
    assert "1 of 2 runs called sl have not ended, and are left out" in notes[0] and "so more training can" in notes[1]


def test_the_tail_is_that_of_the_run_and_of_classes_with_examples(tmp_path):
    order, confusion = np.argsort(-FREQUENCY, kind="stable"), biased_confusion(FREQUENCY, 0.5, np.random.default_rng(0))
    confusion[order[-1]] = 0
    write_run(tmp_path / "sl", confusion, groups=(order[:5], order[5:-3], order[-3:]))
    assert collect([f"--workdir={tmp_path}/sl", "--images=9", "--target=tail", f"--output={tmp_path}/plan.tsv"]) == 0
    assert {name for name, row in read_plan(tmp_path / "plan.tsv").items() if row["collect"] != "0"} <= {
        NAMES[c] for c in order[-3:-1]
    }
    counts = counts_of(tmp_path / "sl", None)[1]
    result = collection(counts, 9, "tail")
    accuracy = 100 * result.accuracy("the plan")
    assert result.means("the plan")["tail"] == pytest.approx(accuracy[order[-3:-1]].mean())
    assert result.means("the plan")["mid"] == pytest.approx(accuracy[order[5:-3]].mean())


def test_a_budget_of_costs_is_called_so(study, tmp_path, capsys):
    command = [f"--workdir={study}/study/seed_0/sl", f"--cost={study}/cost.tsv", f"--output={tmp_path}/plan.tsv"]
    assert collect([*command, "--images=50"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "get 50 images for 50 in all" in text and "for 50, by class" in (tmp_path / "plan.svg").read_text()
    (study / "dear.tsv").write_text("".join(f"{name}\t200\n" for name in NAMES))
    assert collect([command[0], f"--cost={study}/dear.tsv", command[2], "--images=100"]) == 2
    assert "--images=100 is less than the cost of any image, 200 or more: raise it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--workdir={}/study"], "contains several runs: choose one by --runs=NAME: "),
        (["--workdir={}/study", "--runs=slt"], "no run is called --runs=slt (did you mean sl?): there are "),
        (["--workdir={}/study", "--runs=chance"], "chance is at chance, so its results do not show which images help: 4.2 % of 1,152 examples are right, "),
        (["--workdir={}/pair"], "the 2 runs called sl have different class frequencies: give the directory of one of them"),
        (["--workdir={}/study/seed_0/sl", "--images=0"], "--images=0 is not a number of images: give 1 or more"),
        (["--workdir={}/study/seed_0/sl", "--available={}/available.tsv", "--images=300"],
         "--images=300 is more than the 276 that are available: lower it"),
        (["--workdir={}/study/seed_0/sl", "--cost={}/free.tsv"], f"an image of '{NAMES[3]}' has no positive cost"),
        (["--workdir={}/study/seed_0/sl", "--cost={}/none.tsv"], "cannot read the frequency table"),
        (["--workdir={}/study/seed_0/sl", "--output=plan.png"], "is the name of a folder or a picture: give a file such as plan.tsv"),
        (["--workdir={}/study/seed_0/sl", "--output=."], "is the name of a folder or a picture: give a file such as plan.tsv"),
        (["--workdir={}/study/seed_0/sl", "--output="], "--output is empty: is a variable of the shell empty?"),
        (["--workdir="], "--workdir is empty: is a variable of the shell empty?"),
        (["--workdir={}/study/seed_0/sl", "--output={}/available.tsv"], "exists, and this program did not write it"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(flags, line, study, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert collect(["--images=50", "--output=plan.tsv", *(flag.format(study) for flag in flags)]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert line in error and not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("correct", "notes"),
    [
        (np.full(CLASSES, 20), 1),
        (np.where(FREQUENCY > np.median(FREQUENCY), 20, 0), 1),
        (np.argsort(np.argsort(FREQUENCY)) % 20 + 1, 0),
    ],
    ids=["all are right", "those of frequent classes are right", "some are right"],
)
def test_a_law_without_a_best_fit_has_one_note(correct, notes, tmp_path, capsys):
    confusion = np.diag(correct)
    confusion[np.arange(CLASSES), (np.arange(CLASSES) + 1) % CLASSES] += 20 - correct
    write_run(tmp_path / "sl", confusion)
    assert collect([f"--workdir={tmp_path}/sl", "--images=9", f"--output={tmp_path}/plan.tsv"]) == 0
    assert capsys.readouterr().out.count("note: no law fits best") == notes


def test_a_plan_for_measured_logits_is_without_their_adjustment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng, labels = np.random.default_rng(0), np.repeat(np.arange(6), 30)
    frequency = np.array([600, 200, 70, 20, 9, 4])
    np.savez("logits.npz", labels=labels, logits=rng.normal(size=(180, 6)) + 4 * np.eye(6)[labels] + np.log(frequency))
    write_frequency(tmp_path / "counts.tsv", tuple("abcdef"), frequency)
    arguments = ["model=logits.npz", "--frequency=counts.tsv", "--output=measured"]
    assert measure(arguments) == 0
    assert collect(["--workdir=measured", "--images=50", "--output=measured/plan.tsv"]) == 0
    plain, adjusted = (run.evaluation.results.correct for run in find_runs(tmp_path / "measured"))
    for name, correct in ((None, plain), ("model_adjusted", adjusted)):
        np.testing.assert_array_equal(counts_of(tmp_path / "measured", name)[1].correct, correct)
    assert (plain != adjusted).any()
    assert measure(arguments) == report(["--workdir=measured"]) == 0  # the plan beside the results does not matter
