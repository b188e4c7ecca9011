"""The files of a run directory: whose run it is, and what is left of it after an interruption."""

import json
import math

import numpy as np
import pytest

from cliptail_jax import runs
from cliptail_jax.concepts.frequency_tables import read_frequency, write_frequency
from cliptail_jax.config.fields import plain
from cliptail_jax.errors import UserError
from cliptail_jax.files import append_line, line_of, read_json, read_lines, write_json
from cliptail_jax.objectives import FIELDS
from configs import sup

DATA = {"records": 3, "fingerprint": "abc"}


@pytest.fixture
def config():
    return sup.get_config("data=glyphs_lt")


def test_config_json_has_the_config_and_the_software(config, tmp_path):
    runs.open_or_resume(tmp_path / "deep" / "run", plain(config), FIELDS, DATA, overwrite=False)
    noted = json.loads((tmp_path / "deep" / "run" / "config.json").read_text())
    assert noted["config"]["optimizer.learning_rate"] == 0.1 and noted["config"]["eval.sets"] == ["glyphs:test"]
    assert {"python", "jax", "flax", "cliptail_jax"} <= noted["software"].keys()


def test_another_configs_run_is_refused_and_the_keys_are_named(config, tmp_path):
    runs.open_or_resume(tmp_path, plain(config), FIELDS, DATA, overwrite=False)
    (tmp_path / "checkpoints").mkdir()
    kept = (tmp_path / "config.json").read_bytes()
    config.seed, config.data.profile.ratio = 7, 10.0
    with pytest.raises(UserError, match=r"\(data.profile.ratio=100.0 not 10.0, seed=0 not 7\); .* --overwrite"):
        runs.open_or_resume(tmp_path, plain(config), FIELDS, DATA, overwrite=False)
    assert (tmp_path / "config.json").read_bytes() == kept


def test_a_config_that_failed_before_its_first_checkpoint_holds_no_run(config, tmp_path):
    runs.open_or_resume(tmp_path, plain(config), FIELDS, DATA, overwrite=False)
    (tmp_path / "tokenizer.json").write_text("{}")
    config.seed = 7
    runs.open_or_resume(tmp_path, plain(config), FIELDS, DATA, overwrite=False)
    assert runs.read_config(tmp_path)["seed"] == 7
    assert not (tmp_path / "tokenizer.json").exists()


def test_of_many_differences_three_are_named(config, tmp_path):
    runs.open_or_resume(tmp_path, plain(config), FIELDS, DATA, overwrite=False)
    (tmp_path / "checkpoints").mkdir()
    config.optimizer.update({"b1": 0.1, "b2": 0.2, "momentum": 0.3, "learning_rate": 1.0, "warmup_steps": 5})
    with pytest.raises(UserError, match="[^=]*(=[^=]*){3}, and 2 more"):
        runs.open_or_resume(tmp_path, plain(config), FIELDS, DATA, overwrite=False)


def test_a_line_that_a_kill_has_cut_off_does_not_spoil_the_next(tmp_path):
    path = tmp_path / "results.jsonl"
    for number in (1, 2):
        append_line(path, {"number": number})
    for rest in ('{"num', "x" * 5000):
        path.write_text(path.read_text() + rest)
        append_line(path, {"number": 3})
    assert [line["number"] for line in read_lines(path)] == [1, 2, 3, 3]
    path.write_text('{"nothing whole')
    append_line(path, {"number": 4})
    assert list(read_lines(path)) == [{"number": 4}]


def test_a_key_that_only_the_old_run_has_is_a_difference(config, tmp_path):
    runs.open_or_resume(tmp_path, plain(config), FIELDS, DATA, overwrite=False)
    noted = read_json(tmp_path / "config.json")
    noted["config"]["optimizer.lookahead"] = True
    write_json(tmp_path / "config.json", noted)
    assert runs.difference_to(tmp_path, plain(config), FIELDS) == "optimizer.lookahead=True not None"


def test_overwrite_leaves_nothing_of_the_other_run(config, tmp_path):
    runs.open_or_resume(tmp_path, plain(config), FIELDS, DATA, overwrite=False)
    (tmp_path / "checkpoints" / "3").mkdir(parents=True)
    append_line(tmp_path / "eval" / "glyphs_test" / "summary.jsonl", {"step": 3})
    append_line(tmp_path / "metrics.jsonl", {"step": 3})
    (tmp_path / "tokenizer.json").write_text("{}")
    runs.finish(tmp_path, 3, 1.0)
    config.seed = 7
    runs.open_or_resume(tmp_path, plain(config), FIELDS, DATA, overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "variant.json", "sha256.json"}
    assert runs.read_config(tmp_path)["seed"] == 7
    assert not runs.is_finished(tmp_path, plain(config), FIELDS)


def test_overwrite_keeps_a_run_of_the_same_config(config, tmp_path):
    runs.open_or_resume(tmp_path, plain(config), FIELDS, DATA, overwrite=False)
    append_line(tmp_path / "metrics.jsonl", {"step": 3})
    runs.open_or_resume(tmp_path, plain(config), FIELDS, DATA, overwrite=True)
    assert (tmp_path / "metrics.jsonl").exists()


def test_a_run_goes_on_with_other_values_of_what_does_not_train(config, tmp_path):
    runs.open_or_resume(tmp_path, plain(config), FIELDS, DATA, overwrite=False)
    config.data.update({"data_dir": "/elsewhere", "workers": 3, "cache": False})
    config.eval.update({"sets": ("cifar100:test",), "neural_collapse": True})
    config.log_every_steps, config.checkpoint.keep, config.mesh.fsdp = 1, 9, 2
    runs.open_or_resume(tmp_path, plain(config), FIELDS, DATA, overwrite=False)
    assert runs.read_config(tmp_path)["data.data_dir"] == "/elsewhere"


def test_a_run_is_finished_once_it_says_so_and_only_for_its_own_config(config, tmp_path):
    assert not runs.is_finished(tmp_path, plain(config), FIELDS)
    runs.open_or_resume(tmp_path, plain(config), FIELDS, DATA, overwrite=False)
    assert not runs.is_finished(tmp_path, plain(config), FIELDS)
    runs.finish(tmp_path, 3, 12.5)
    assert runs.is_finished(tmp_path, plain(config), FIELDS)
    config.total_epochs += 1
    assert not runs.is_finished(tmp_path, plain(config), FIELDS)


def test_forgetting_drops_what_was_logged_after_the_step(tmp_path):
    for step in (1, 2, 3):
        append_line(tmp_path / "metrics.jsonl", {"step": step, "train/loss": math.nan})
        append_line(tmp_path / "eval" / "glyphs_test" / "summary.jsonl", {"step": step})
    runs.truncate_logs(tmp_path, 2)
    assert [line["step"] for line in read_lines(tmp_path / "metrics.jsonl")] == [1, 2]
    assert [line["step"] for line in read_lines(tmp_path / "eval" / "glyphs_test" / "summary.jsonl")] == [1, 2]
    assert not list(tmp_path.rglob("*.partial"))


def test_a_line_cut_off_by_a_kill_is_left_out_and_then_gone(tmp_path):
    path = tmp_path / "metrics.jsonl"
    append_line(path, {"step": 1})
    with path.open("a") as file:
        file.write('{"step": 2, "train/lo')
    assert list(read_lines(path)) == [{"step": 1}]
    runs.truncate_logs(tmp_path, 5)
    append_line(path, {"step": 2})
    assert path.read_text() == line_of({"step": 1}) + line_of({"step": 2})
    assert list(read_lines(path)) == [{"step": 1}, {"step": 2}]


def test_lines_of_a_missing_file_are_none(tmp_path):
    assert list(read_lines(tmp_path / "metrics.jsonl")) == []


def test_json_has_null_for_what_is_not_finite(tmp_path):
    path = tmp_path / "value.json"
    write_json(path, {"a": math.nan, "b": [math.inf, 1.5], "c": {"d": (-math.inf,)}, "e": np.float64("nan")})
    text = path.read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {"a": None, "b": [None, 1.5], "c": {"d": [None]}, "e": None}


def test_a_frequency_table_reads_back_in_order_with_names_that_come_twice(tmp_path):
    names, counts = ("crane", "a\x85b", "crane"), np.array([3, 0, 12])
    write_frequency(tmp_path / "class_frequency.tsv", names, counts)
    read_names, read_counts = read_frequency(tmp_path / "class_frequency.tsv")
    assert read_names == names
    np.testing.assert_array_equal(read_counts, counts)
