"""Forecasts from logits: the networks of the tests are the minimizers themselves, so that forecasts are exact."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cliptail_jax import effective_log_prior, forecast
from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.bootstrap import Estimate
from cliptail_jax.report.forecasts import HEADER, SHOWN, draw_forecasts, draw_priors, file_text, read_forecasts
from cliptail_jax.runs.lock import sole_process_of_file
from tests.commands import forecast as forecast_command
from tests.predictions.examples import FREQUENCY, NAMES

REFERENCE = Path(__file__).parents[3] / "shared/reference/forecast_reference.npz"
PAIRS = REFERENCE.with_name("forecast_pairs.npz")

RECIPES = ("sl", "batch:64", "vocabulary:5:linear:4", "adjusted:0.5", "weights:0.99", "counts")


@pytest.fixture(scope="module")
def likelihoods():
    """Labels, class frequencies, and log P(image | class) of images of overlapping classes."""
    rng = np.random.default_rng(0)
    labels, frequency = np.repeat(np.arange(8), 40), np.geomspace(1000, 10, 8).astype(int)
    return labels, frequency, 3 * np.eye(8)[labels] + rng.normal(size=(320, 8))


@pytest.mark.parametrize("trained_with", RECIPES)
def test_the_optimum_of_a_recipe_forecasts_that_of_all_others(likelihoods, trained_with):
    labels, frequency, likelihood = likelihoods
    logits = {recipe: likelihood + effective_log_prior(recipe, frequency) for recipe in RECIPES}
    forecasts = forecast(labels, logits[trained_with], frequency, trained_with, RECIPES)
    assert set(forecasts) == set(RECIPES)
    for recipe, measured in forecasts.items():
        trained = forecast(labels, logits[recipe], frequency, recipe, [])[recipe]
        np.testing.assert_array_equal(measured.results[0].correct, trained.results[0].correct)
    assert forecasts["sl"].odds_acc > forecasts["batch:64"].odds_acc > forecasts["counts"].odds_acc


def test_probabilities_are_forecast_from_their_logarithms(likelihoods):
    labels, frequency, likelihood = likelihoods
    probabilities = np.exp(likelihood) / np.exp(likelihood).sum(axis=1, keepdims=True)
    of_logits, of_probabilities = (
        forecast(labels, x, frequency, "counts", ["sl"]) for x in (likelihood, probabilities)
    )
    assert of_logits["sl"].top1 == of_probabilities["sl"].top1
    assert any("probabilities" in note for note in of_probabilities["counts"].notes)


def test_classes_without_training_images_are_left_out(likelihoods):
    labels, frequency, likelihood = likelihoods
    unseen = np.append(frequency[:7], 0)
    without = forecast(labels[:280], likelihood[:280, :7], frequency[:7], "counts", ["sl"])["sl"]
    measured = forecast(labels, likelihood, unseen, "counts", ["sl"])["sl"]
    assert (measured.top1, measured.odds_acc) == (without.top1, without.odds_acc)
    assert any("1 class without training images, and their 40 examples" in note for note in measured.notes)


ERRORS = {
    "batches:64": ("'batches' is no recipe (did you mean batch?)", {}),
    "batch": ("the recipe 'batch' is wrong: write batch:BATCH", {}),
    "batch:one": ("the recipe 'batch:one' is wrong", {}),
    "vocabulary:70:square:64": ("write vocabulary:SIZE:uniform|sqrt|linear:BATCH", {}),
    "adjusted:inf": ("the recipe 'adjusted:inf' is wrong: write adjusted:TAU", {}),
    "sl:1": ("write sl, without parameters", {}),
    "weights:1": ("the recipe 'weights:1' is wrong", {}),
    "chance": (
        "is not measurably above chance",
        {"logits": np.random.default_rng(1).normal(size=(320, 8)), "trained_with": "counts"},
    ),
    "no logits": ("has predictions and no logits", {"logits": np.zeros(320, int), "trained_with": "counts"}),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_cannot_be_forecast_is_one_clear_error(likelihoods, case):
    labels, frequency, likelihood = likelihoods
    message, changes = ERRORS[case]
    arguments = {"logits": likelihood, "trained_with": case} | changes
    with pytest.raises(UserError) as error:
        forecast(labels, arguments["logits"], frequency, arguments["trained_with"], ["sl"])
    assert message in str(error.value)


def test_the_command_prints_the_forecasts_and_writes_them_with_a_picture(folder, capsys):
    command = ["sl", "counts", "--logits=logits.npz", "--frequency=counts.tsv", "--trained_with=adjusted:1"]
    assert forecast_command([*command, "--output=out/f.tsv"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in shown[2:5]] == ["adjusted:1 (trained)", "sl", "counts"]
    with np.load("logits.npz") as arrays:
        labels, logits, names = arrays["labels"], arrays["logits"], arrays["classes"].tolist()
    forecasts = forecast(labels, logits, dict(zip(NAMES, FREQUENCY)), "adjusted:1", ["sl"], names)
    written = read_forecasts(Path("out/f.tsv"))
    assert written["sl"]["odds_acc"] == pytest.approx(forecasts["sl"].odds_acc, abs=1e-4)
    assert written["sl"]["share_of_sl"] == 1 and written["counts"]["share_of_sl"] == 0
    assert {path.suffix for path in Path("out").iterdir()} == {".tsv", ".png", ".pdf", ".svg"}
    Path("out/f.tsv").write_text("mine", encoding="utf-8")
    assert forecast_command([*command, "--output=out/f.tsv"]) == 2
    assert Path("out/f.tsv").read_text(encoding="utf-8") == "mine"


def test_equal_forecasts_share_a_line_that_names_them_all(likelihoods):
    labels, frequency, likelihood = likelihoods
    forecasts = forecast(labels, likelihood, frequency, "clip", ["sl", "counts", "adjusted:1"])
    groups = {recipe: measured.group for recipe, measured in forecasts.items()}
    names = [text.get_text() for text in draw_forecasts(groups, "clip").legends[0].texts]
    assert names == ["clip (trained), counts, adjusted:1", "sl"]


def test_lines_of_priors_have_different_markers_and_equal_ones_share_one():
    recipes = ("sl", "batch:64", "batch:8", "adjusted:0.5", "counts", "clip")
    frequency = np.geomspace(1000, 10, 30).astype(int)
    panel = draw_priors({recipe: effective_log_prior(recipe, frequency) for recipe in recipes}, frequency).axes[0]
    assert [line.get_label() for line in panel.lines] == [*recipes[:4], "counts, clip"]
    markers = [line.get_marker() for line in panel.lines]
    assert len(set(markers)) == len(markers) and "" not in markers


def test_one_program_at_a_time_writes_a_file_of_forecasts(folder, capsys):
    command = ["sl", "--frequency=counts.tsv", "--output=out/f.tsv"]
    with sole_process_of_file(Path("out/f.tsv")):
        assert forecast_command(command) == 2
    assert "writes to out/f.tsv: wait until it ends" in capsys.readouterr().err and not any(Path("out").iterdir())
    Path("out/f.tsv.unfinished").mkdir()
    Path("out/f.tsv.unfinished/notes.txt").touch()
    assert forecast_command(command) == 0
    assert [path.name for path in Path("out/f.tsv.unfinished").iterdir()] == ["notes.txt"]


ROW = "\t".join(["sl", *["1.0"] * (len(HEADER) - 1)])
DAMAGED = {
    "another table": (b"name\tcount\n", "is no table of forecasts: write it with"),
    "bytes": (bytes(range(256)), "is no text"),
    "a text in place of a number": (
        f"{ROW}\n{ROW}".replace("1.0", "much", 1).encode(),
        "line 2, has 'much' for prior_per_decade, which is no finite number",
    ),
    "an undefined number": (ROW.replace("1.0", "nan").encode(), "line 2, has 'nan' for prior_per_decade"),
    "an infinite slope": (ROW.replace("1.0", "inf", 1).encode(), "line 2, has 'inf' for prior_per_decade"),
    "a row that ends early": (f"{ROW}\ncounts\t0\t0\t5\t6".encode(), f"line 3, has 5 of {len(HEADER)} fields"),
    "a folder": (None, "is no file"),
}


@pytest.mark.parametrize("content, complaint", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_of_forecasts_is_named(tmp_path, content, complaint):
    path = tmp_path / "forecasts.tsv"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(
            content if content[:2] in (b"na", b"\0\1") else "\t".join(HEADER).encode() + b"\n" + content + b"\n"
        )
    with pytest.raises(UserError, match=complaint):
        read_forecasts(path)


def test_undefined_numbers_of_forecasts_are_empty_and_those_outside_of_the_data_infinite(tmp_path):
    measures = {key: Estimate(np.nan) for key in SHOWN} | {"f50": Estimate(-np.inf, -np.inf, 3.0)}
    (tmp_path / "f.tsv").write_text(file_text({"sl": 2.3}, {"sl": measures}), encoding="utf-8")
    numbers = read_forecasts(tmp_path / "f.tsv")["sl"]
    assert numbers["f50"] == numbers["f50_low"] == -np.inf and numbers["f50_high"] == 3 and np.isnan(numbers["top1"])


@pytest.mark.parametrize(
    "flags, complaint",
    [
        (["transfer", "--frequency=counts.tsv"], "'transfer' is no config of a training"),
        (
            ["--logits=logits.npz", "--trained_with=quickstart"],
            "--trained_with=quickstart is a study, and a model has one",
        ),
        (["--logits=logits.npz", "--trained_with=sl", "--data_dir=d"], "--data_dir is the folder of the sets of a run"),
        (["--workdir=run", "--labels=l.csv"], "--workdir has its labels: leave out --labels"),
    ],
)
def test_flags_that_do_not_fit_are_named(folder, capsys, flags, complaint):
    frequency = [] if any("=run" in flag or "frequency" in flag for flag in flags) else ["--frequency=counts.tsv"]
    assert forecast_command(["counts", *flags, *frequency]) == 2
    assert complaint in capsys.readouterr().err


def test_what_is_no_file_of_arrays_is_named(folder, capsys):
    os.mkfifo("pipe.npz")
    with zipfile.ZipFile("texts.npz", "w") as archive:
        archive.writestr("logits", "no array")
    command = ["counts", "--frequency=counts.tsv", "--trained_with=sl"]
    assert forecast_command([*command, "--logits=pipe.npz"]) == 2
    assert "pipe.npz is no file" in capsys.readouterr().err
    assert forecast_command([*command, "--logits=texts.npz"]) == 2
    assert "texts.npz contains 'logits', which is no array" in capsys.readouterr().err


def test_a_config_names_the_recipe_of_a_model(folder, capsys):
    command = ["counts", "--logits=logits.npz", "--frequency=counts.tsv"]
    assert forecast_command([*command, "--trained_with=adjusted:1"]) == 0
    table = capsys.readouterr().out.splitlines()[3]
    assert forecast_command([*command, "--trained_with=sup:data=glyphs_lt,logit_adjustment=1"]) == 0
    assert capsys.readouterr().out.splitlines()[3].split() == table.split()


def test_priors_need_no_model(folder, capsys):
    assert forecast_command(["batch:64", "sup:data=glyphs_lt,logit_adjustment=0.5", "--frequency=counts.tsv"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("sup:")]
    assert line.split() == ["sup:data=glyphs_lt,logit_adjustment=0.5", "1.15", "50"]


def test_a_study_stands_for_its_kinds_of_runs(folder, capsys):
    assert forecast_command(["doses", "quickstart", "--frequency=counts.tsv"]) == 0
    shown = capsys.readouterr()
    rows = {line.split()[0]: line.split()[1:] for line in shown.out.splitlines()[2:] if line.split()}
    assert rows["sl"] == ["2.30", "100"] and {
        rows[name][1] for name in ("counts", "adjusted", "clip", "images_32")
    } == {"0"}
    assert forecast_command(["dino_cifar100_lt", "sl", "--frequency=counts.tsv"]) == 0
    shown = capsys.readouterr()
    assert (
        "note: dino is not forecast: objective='dino' has no effective log-prior" in shown.err
        and "dino" not in shown.out
    )


WRONG_COMMANDS = {
    "no frequency": ([], "the class frequency is missing"),
    "no recipe of the model": (["--logits=logits.npz", "--frequency=counts.tsv"], "--logits need the recipe"),
    "no logits": (["--logits=a.csv", "--frequency=counts.tsv", "--trained_with=sl"], "has predictions and no logits"),
    "margins": (["sup:data=glyphs_lt,margin=0.3", "--frequency=counts.tsv"], "no effective log-prior is known"),
    "two sources": (["--workdir=.", "--frequency=counts.tsv"], "leave out --logits and --frequency"),
    "no run": (["--workdir=."], "contains no run"),
    "an unknown recipe": (["conts", "--frequency=counts.tsv", "--output=new/f.tsv"], "'conts' is no recipe (did you mean counts?)"),
    "a picture": (["--frequency=counts.tsv", "--output=f.png"], "is the name of a folder or a picture: give a file such as"),
    "an input": (["--frequency=counts.tsv", "--output=counts.tsv", "--overwrite"], "counts.tsv is an output and an input"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_COMMANDS)
def test_a_wrong_command_is_one_line_and_changes_nothing(folder, case, capsys):
    arguments, message = WRONG_COMMANDS[case]
    contents = {path: path.read_bytes() for path in folder.iterdir()}
    assert forecast_command(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert {path: path.read_bytes() for path in folder.iterdir()} == contents


@pytest.mark.skipif(
    not REFERENCE.exists(), reason="needs the reference forecasts, which are not part of the repository"
)
def test_networks_of_another_framework_are_forecast():
    """The table of four PyTorch networks: log-odds per decade and top-1, from each for each."""
    data = np.load(REFERENCE)
    recipes = {"sl": "sl", "batch": "batch:64", "counts": "counts", "adjusted": "adjusted:1"}
    expected = {
        "sl": ((1.96, 32.8), (1.14, 36.7), (0.28, 39.4), (0.28, 39.4)),
        "batch": ((1.96, 32.0), (1.15, 36.5), (0.33, 38.8), (0.33, 38.8)),
        "counts": ((2.01, 33.2), (1.21, 38.2), (0.45, 41.1), (0.45, 41.1)),
        "adjusted": ((1.90, 33.0), (1.14, 37.3), (0.29, 40.6), (0.29, 40.6)),
    }
    for loss, values in expected.items():
        logits = data[f"logits_{loss}"]
        forecasts = forecast(data["labels"], logits, data["frequency"].tolist(), recipes[loss], list(recipes.values()))
        numbers = [(forecasts[recipe].odds_acc, forecasts[recipe].top1) for recipe in recipes.values()]
        np.testing.assert_allclose([odds for odds, _ in numbers], [odds for odds, _ in values], atol=0.02)
        np.testing.assert_allclose([top1 for _, top1 in numbers], [top1 for _, top1 in values], atol=0.06)


@pytest.mark.skipif(not PAIRS.exists(), reason="needs the reference forecasts, which are not part of the repository")
@pytest.mark.parametrize(
    "source, recipe, log_odds",
    [
        ("adjusted", "adjusted:1", (2.26, 1.52, 0.62, 1.47, 0.62)),
        ("sl", "sl", (2.31, 1.52, 0.63, 1.50, 0.63)),
        ("counts", "counts", (2.32, 1.60, 0.74, 1.58, 0.74)),
    ],
)
def test_networks_of_three_mirrored_pairs_are_forecast(source, recipe, log_odds):
    """The means over six trainings of log-odds per decade: of SL, half adjusted and adjusted logits, batch and counts."""
    data, recipes = np.load(PAIRS), ["sl", "adjusted:0.5", "adjusted:1", "batch:64", "counts"]
    logits, frequency = data[f"logits_{source}"], data["frequency"]
    runs = [
        forecast(data["labels"], logits[seed, mirrored], frequency[mirrored].tolist(), recipe, recipes)
        for seed in range(3)
        for mirrored in range(2)
    ]
    means = [np.mean([forecasts[name].odds_acc for forecasts in runs]) for name in recipes]
    np.testing.assert_allclose(means, log_odds, atol=0.02)
