"""Evaluation of a run alone, and what the command prints."""

import shutil

import jax
import numpy as np
import pytest

from cliptail_jax.errors import UserError
from cliptail_jax.evaluate import evaluate, table
from cliptail_jax.parallel.sharding import make_mesh
from tests.evaluation.plain_evaluation import NUMBERS, copied, evaluation_files


def test_stand_alone_evaluation_adds_the_line_that_training_wrote(sl_run, tmp_path, capsys, monkeypatch):
    """Also: on one device, in other batches."""
    monkeypatch.setattr("cliptail_jax.evaluate.make_mesh", lambda axes: make_mesh(axes, jax.devices()[:1]))
    config, workdir = copied(sl_run, tmp_path)
    (before,), arrays_before = evaluation_files(workdir)
    config.eval.batch_size = 7
    summary = evaluate(config, workdir)["glyphs:test"]
    (unchanged, line), arrays = evaluation_files(workdir)
    assert unchanged == before and line.keys() == before.keys()
    for key in NUMBERS:
        written = [np.nan if numbers[key] is None else numbers[key] for numbers in (line, before)]
        assert written == pytest.approx([summary[key]] * 2, nan_ok=True)
    for name in ("confusion", "predicted"):
        np.testing.assert_array_equal(arrays[name], arrays_before[name])
    printed = capsys.readouterr().out
    assert "step 4 (epoch 1)" in printed and table({"glyphs:test": summary}) in printed


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
    for manifest in (workdir / "checkpoints").glob("*.json"):
        manifest.unlink()
    with pytest.raises(UserError, match="no valid checkpoint"):
        evaluate(config, workdir)
    shutil.rmtree(workdir / "checkpoints")
    with pytest.raises(UserError, match="no valid checkpoint"):
        evaluate(config, workdir)


def test_printed_table_has_a_column_a_set_and_the_intervals():
    summary = {"step": 3, "epoch": 1.0, "top1": 26.84, "corr_acc": 0.858, "corr_acc_interval": [0.8, 0.912]}
    other = {"step": 3, "epoch": 1.0, "top1": 9.0, "corr_acc": float("nan"), "corr_acc_interval": [float("nan")] * 2}
    summary |= {"ece": 12.345, "overconfidence_tail": -3.21}
    assert table({"cifar100:test": summary, "glyphs:test": other}).splitlines() == [
        "                     cifar100:test      glyphs:test",
        "top-1 %              26.8               9.0",
        "corr_acc             0.86 [0.80, 0.91]  –",
        "ECE %                12.3               –",
        "overconfidence_tail  -3.2               –",
    ]
