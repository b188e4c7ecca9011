"""Which checkpoints are kept, which are gone on from, and which are set aside."""

import hashlib
import json
import logging

import jax
import jax.numpy as jnp
import pytest

from cliptail_jax.runs.checkpoints import Checkpoints
from cliptail_jax.runs.manifests import corruption, manifest_of, newest_valid_step, steps_in
from cliptail_jax.training.state import TrainState


def state_of(step: int) -> TrainState:
    """A state as small as can be, with numbers that tell its step."""
    weights = {"kernel": jnp.full((4, 4), float(step))}
    return TrainState(jnp.int32(step), jax.random.key(step), weights, {}, {}, {"trace": weights}, None)


def save(directory, steps, keep=2):
    with Checkpoints(directory, keep) as checkpoints:
        for step in steps:
            checkpoints.save(step, state_of(step))


def manifests_in(directory):
    return sorted(int(path.name.partition(".")[0]) for path in directory.glob("*.sha256.json"))


def test_old_steps_go_with_their_manifests_and_the_newest_stays(tmp_path):
    save(tmp_path, [1, 2, 3, 4], keep=2)
    assert sorted(steps_in(tmp_path)) == manifests_in(tmp_path) == [3, 4]
    save(tmp_path, [5], keep=2)  # by a later session
    assert sorted(steps_in(tmp_path)) == manifests_in(tmp_path) == [4, 5]
    assert newest_valid_step(tmp_path) == 5


@pytest.mark.parametrize("left_over", ["saved", "empty"])
def test_a_step_without_a_manifest_is_set_aside_and_saved_anew(left_over, tmp_path, caplog):
    """As a kill leaves it between the end of saving and the manifest; or a directory that never was a checkpoint."""
    save(tmp_path, [3])
    if left_over == "saved":
        save(tmp_path, [6])
        manifest_of(tmp_path / "6").unlink()
    else:
        (tmp_path / "6").mkdir()
    with caplog.at_level(logging.WARNING), Checkpoints(tmp_path, keep=2) as checkpoints:
        assert "6, which was not finished" in caplog.text
        assert checkpoints.newest == 3 and steps_in(tmp_path) == [3] and (tmp_path / "6.corrupt").is_dir()
        checkpoints.save(6, state_of(6))
    assert newest_valid_step(tmp_path) == 6 and manifests_in(tmp_path) == [3, 6]


def test_what_a_kill_leaves_of_a_save_is_removed(tmp_path):
    save(tmp_path, [3])
    (tmp_path / "6.orbax-checkpoint-tmp" / "default").mkdir(parents=True)
    save(tmp_path, [6])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3", "3.sha256.json", "6", "6.sha256.json"]


def test_a_corrupt_step_before_the_newest_valid_one_stays_where_it_is(tmp_path):
    save(tmp_path, [3, 6])
    manifest_of(tmp_path / "3").write_text("{")
    assert corruption(tmp_path / "3") == "has an unreadable manifest"
    with Checkpoints(tmp_path, keep=2) as checkpoints:
        assert checkpoints.newest == 6
    assert sorted(steps_in(tmp_path)) == [3, 6]


def test_a_save_that_fails_in_the_background_is_not_silent(tmp_path, monkeypatch):
    def full(step):
        raise OSError("no space left")

    monkeypatch.setattr("cliptail_jax.runs.checkpoints.write_manifest", full)
    with pytest.raises(OSError, match="no space left"):
        save(tmp_path, [3])
    assert newest_valid_step(tmp_path) == -1


def test_a_manifest_has_the_hash_of_every_file_of_its_step(tmp_path):
    save(tmp_path, [7])
    manifest = json.loads(manifest_of(tmp_path / "7").read_text())
    files = [path for path in (tmp_path / "7").rglob("*") if path.is_file()]
    assert files and manifest == {
        str(path.relative_to(tmp_path / "7")): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }
