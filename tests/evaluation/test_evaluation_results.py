"""The numbers and files of an evaluation, the settings it is known by, and evaluation of a run alone."""

import json
import shutil

import numpy as np
import pytest

from cliptail_jax.evaluation.results import class_results, evaluation_settings, head_mid_tail, is_evaluated
from cliptail_jax.formats.frequency_tables import read_frequency
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import append_line
from cliptail_jax.jobs.evaluate import evaluate, evaluate_run
from cliptail_jax.metrics.measures import summarize
from cliptail_jax.objectives import typed_config
from cliptail_jax.programs import command_line
from cliptail_jax.programs import evaluate as program
from cliptail_jax.report.evaluation import table
from tests.evaluation.plain_evaluation import ARRAYS, CLASSES, INTERVALS, NUMBERS, copied, evaluation_files
from tests.synthetic import sections
from tests.tiny_runs import devices

DEVICES = 8
COLLAPSE = {
    "within_class_similarity", "nc1", "nc2_mean", "nc2_nearest", "nc2_head_mean", "nc2_head_nearest"
}  # fmt: skip


@pytest.mark.parametrize("name", ["sl_run", "clip_run"])
def test_run_files_hold_what_the_design_lists(name, request):
    config, workdir = request.getfixturevalue(name)
    (line,), arrays = evaluation_files(workdir)
    collapse = COLLAPSE if config.eval.neural_collapse else set()
    correlations = {f"corr_{c}{suffix}{i}" for c in collapse for suffix in ("", "_acc") for i in ("", "_interval")}
    has_text_tower = config.objective == "contrastive"
    tokens = {"name_tokens", "corr_name_tokens", "corr_name_tokens_interval"} if has_text_tower else set()
    assert set(line) == NUMBERS | INTERVALS | collapse | correlations | tokens | {"set", "settings"}
    assert ("templates" in line["settings"]) == has_text_tower
    assert set(arrays) == ARRAYS | collapse | ({"name_tokens"} if has_text_tower else set())
    assert arrays["confusion"].dtype == np.int64 and arrays["confusion"].shape == (CLASSES, CLASSES)
    assert {arrays[key].shape for key in collapse | {"per_class_accuracy", "per_class_predictions"}} == {(CLASSES,)}
    assert line["step"] == {"sl_run": 4, "clip_run": 3}[name] and line["epoch"] == 1
    accuracy = arrays["per_class_accuracy"]
    np.testing.assert_allclose(accuracy, np.diag(arrays["confusion"]) / arrays["confusion"].sum(1))
    np.testing.assert_array_equal(arrays["per_class_predictions"], arrays["confusion"].sum(0))
    _, frequency = read_frequency(workdir / "class_frequency.tsv")
    for part in ("head", "mid", "tail"):
        assert line[part] == pytest.approx(100 * accuracy[arrays[part]].mean())
    assert frequency[arrays["head"]].min() >= frequency[arrays["mid"]].max()
    assert frequency[arrays["mid"]].min() >= frequency[arrays["tail"]].max()


def test_without_a_config_a_run_is_evaluated_with_its_own(clip_run, tmp_path):
    config, workdir = clip_run
    options = command_line.parse("evaluate", program, ["--workdir", str(workdir), "--config.eval.batch_size=7"])
    assert typed_config(options.config).eval.batch_size == 7
    options.config.eval.batch_size = config.eval.batch_size
    assert typed_config(options.config) == typed_config(config)
    with pytest.raises(
        UserError, match="there is no run in .*, and the config is missing: give the --workdir of a run"
    ):
        command_line.parse("evaluate", program, [f"--workdir={tmp_path}"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a cat\t3\n", "lacks 1 of the classes, such as 'a dog'"),
        ("a cat\t3\na dog\t2\nA_dog\t4\n", "lists 'a dog' more than once"),
        ("a dog\t2\na cat\tmany\n", "is not a frequency table"),
        (None, "cannot read the frequency table"),
    ],
)
def test_a_ranking_table_that_does_not_fit_is_an_error(content, message, sup_config, tmp_path):
    path = tmp_path / "table.tsv"
    if content is not None:
        path.write_text(content)
    sup_config.eval.rank_by = str(path)
    with pytest.raises(UserError, match=message):
        head_mid_tail(sections(sup_config).eval, ("a cat", "a dog"), np.array([1, 2]))


def test_a_ranking_table_is_joined_by_name_and_none_means_the_training_frequency(sup_config, tmp_path):
    path = tmp_path / "table.tsv"
    path.write_text("unused\t9\nA_Dog\t7\na cat\t3\nan owl\t5\n")
    names, training = ("a cat", "a dog", "an owl"), np.array([2, 1, 3])
    assert np.concatenate(head_mid_tail(sections(sup_config).eval, names, training)).tolist() == [2, 0, 1]
    assert head_mid_tail(sections(sup_config).eval, names, None) is None
    sup_config.eval.rank_by = str(path)
    assert np.concatenate(head_mid_tail(sections(sup_config).eval, names, training)).tolist() == [1, 2, 0]


def test_settings_know_files_by_their_content(clip_config, tmp_path):
    path, moved = tmp_path / "table.tsv", tmp_path / "moved.tsv"
    path.write_text("a cat\t3\n")
    clip_config.eval.rank_by = str(path)
    settings = evaluation_settings(sections(clip_config).eval, uses_prompts=True)
    moved.write_text("a cat\t3\n")
    clip_config.eval.rank_by = str(moved)
    assert evaluation_settings(sections(clip_config).eval, uses_prompts=True) == settings
    moved.write_text("a cat\t4\n")
    assert evaluation_settings(sections(clip_config).eval, uses_prompts=True) != settings
    clip_config.eval.rank_by = "nowhere.tsv"
    with pytest.raises(UserError, match="cannot read nowhere.tsv: No such file"):
        evaluation_settings(sections(clip_config).eval, uses_prompts=True)


def test_evaluations_from_before_calibration_are_not_repeated(clip_run, tmp_path):
    config, workdir = copied(clip_run, tmp_path)
    (line,), _ = evaluation_files(workdir)
    append_line(workdir / "eval/glyphs_test/summary.jsonl", {key: line[key] for key in line if key != "ece"})
    assert is_evaluated(workdir, sections(config).eval, uses_prompts=True)
    assert not is_evaluated(workdir, sections(config).eval, uses_prompts=True, step=line["step"] - 1)


def test_undefined_measures_are_null_in_the_files(tmp_path):
    """A model that predicts one class, evaluated on a set that lacks examples of another."""
    confusion = np.array([[2, 0, 0], [2, 0, 0], [0, 0, 0]])
    parts = (np.array([0]), np.array([1]), np.array([2]))
    summary = summarize(class_results({"confusion": confusion, "top5": np.array(4)}, np.array([0, 0, 0]), parts, {}))
    assert np.isnan(summary["corr_acc"]) and np.isnan(summary["tail"]) and summary["head"] == 100
    append_line(tmp_path / "summary.jsonl", summary)
    line = json.loads((tmp_path / "summary.jsonl").read_text(), parse_constant=pytest.fail)
    assert line["corr_acc"] is None and line["corr_acc_interval"] == [None, None] and line["tail"] is None


def test_stand_alone_evaluation_adds_the_line_that_training_wrote(sl_run, tmp_path, capsys):
    """Also: on one device, in other batches."""
    config, workdir = copied(sl_run, tmp_path)
    (old_line,), arrays_before = evaluation_files(workdir)
    config.eval.batch_size = 7
    with devices(1):
        evaluate_run(config, workdir)
    (unchanged, line), arrays = evaluation_files(workdir)
    summary = {key: np.nan if value is None else value for key, value in line.items()}
    assert unchanged == old_line and line.keys() == old_line.keys()
    for key in NUMBERS:
        assert summary[key] == pytest.approx(np.nan if old_line[key] is None else old_line[key], nan_ok=True)
    for name in ("confusion", "predicted"):
        np.testing.assert_array_equal(arrays[name], arrays_before[name])
    output = capsys.readouterr().out
    assert "step 4 (epoch 1)" in output and table({"glyphs:test": summary}) in output


def test_evaluation_refuses_what_is_not_its_run(sl_run, tmp_path):
    config, workdir = copied(sl_run, tmp_path)
    with pytest.raises(UserError, match="there is no run in .*elsewhere"):
        evaluate(config, tmp_path / "elsewhere")
    config.optimizer.learning_rate = 3.0
    with pytest.raises(UserError, match=r"another config \(optimizer.learning_rate=0.1 not 3.0\)"):
        evaluate(config, workdir)
    config.optimizer.learning_rate = 0.1
    config.eval.sets = ()
    with pytest.raises(UserError, match="eval.sets is empty"):
        evaluate(config, workdir)
    config.eval.sets = ("glyphs:test",)
    shutil.rmtree(workdir / "checkpoints")
    with pytest.raises(UserError, match="no valid checkpoint"):
        evaluate(config, workdir)
