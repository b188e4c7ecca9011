"""Whole DINO runs: they go on with the same numbers, the teacher's included, and what they refuse."""

import jax
import numpy as np
import pytest
from test_train import copy_interrupted, damage, losses

from cliptail_jax.errors import UserError
from cliptail_jax.evaluate import evaluate
from cliptail_jax.train import train
from tests.saved_state import read_state


@pytest.mark.filterwarnings("ignore:Sharding info not provided")
def test_a_run_goes_on_from_its_last_valid_checkpoint_with_the_same_student_and_teacher(trained_run, tmp_path):
    config, workdir = trained_run("dino")
    copy = tmp_path / "copy"
    copy_interrupted(workdir, copy)
    damage(copy / "checkpoints" / "2")
    train(config, copy)
    assert losses(copy) == losses(workdir) and len(losses(copy)) == 2
    whole, resumed = read_state(workdir), read_state(copy)
    assert whole.pop("rng") == resumed.pop("rng")
    assert {"trainable", "batch_stats", "ema", "ema_batch_stats", "opt_state"} <= whole.keys()
    for a, b in zip(*map(jax.tree.leaves, (whole, resumed)), strict=True):
        np.testing.assert_array_equal(a, b)
    different = [not np.array_equal(a, b) for a, b in zip(*(jax.tree.leaves(whole[k]) for k in ("trainable", "ema")))]
    assert different and all(different)


def test_a_run_has_no_evaluation_and_says_where_to_go(trained_run):
    config, workdir = trained_run("dino")
    assert not (workdir / "eval").exists()
    config = config.copy_and_resolve_references()
    config.eval.sets = ("glyphs:test",)
    with pytest.raises(UserError, match="measure it with cliptail_jax.transfer"):
        evaluate(config, workdir)


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ({"vocabulary.size": 41}, "vocabulary.size=41 is larger than dino.prototypes=40"),
        ({"accumulate_steps": 2}, "accumulate_steps is 1 with objective='dino'"),
        ({"data.shift": 2}, "data.shift is not supported with objective='dino': set it to 0"),
        ({"optimizer.ema_decay": 0.5}, "the teacher is the moving average"),
        ({"optimizer.warmup_steps": 5, "optimizer.warmup_epochs": 1}, "or optimizer.warmup_epochs, not both"),
        ({"data.multi_crop.local_scale": (0.5, 0.1)}, "'data.multi_crop.local_scale' is .* a pair of shares"),
        ({"data.multi_crop.local_size": 48}, "local_size=48 is larger than data.image_size=32"),
    ],
)
def test_what_dino_cannot_do_is_refused(trained_run, tmp_path, changes, complaint):
    config = trained_run("dino")[0].copy_and_resolve_references()
    config.update_from_flattened_dict(changes)
    with pytest.raises(UserError, match=complaint):
        train(config, tmp_path)
    assert not list(tmp_path.iterdir())
