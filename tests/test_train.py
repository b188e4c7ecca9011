"""Whole runs: their files, how they stop and go on, and what they refuse."""

import json
import os
import shutil
import signal
from pathlib import Path

import jax
import numpy as np
import pytest
from orbax.checkpoint import v1 as ocp

from cliptail_jax.curation.variant import make_variant
from cliptail_jax.datasets.source import Source, open_source
from cliptail_jax.formats.frequency_tables import read_frequency
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import line_of, read_json, read_lines, write_json, write_text
from cliptail_jax.jobs.evaluate import evaluate
from cliptail_jax.jobs.train import is_due, train
from cliptail_jax.parallel.sharding import make_mesh
from cliptail_jax.runs.manifests import corruption, newest_valid_step, write_manifest
from configs import sup
from tests.saved_state import damage, losses, read_state, unfinish
from tests.synthetic import sections
from tests.tiny_runs import devices

DEVICES = 2
STEPS = 6  # an epoch of 3 batches (48 records in 16s), twice


@pytest.fixture(scope="module")
def sup_run(tmp_path_factory, small_config):
    """A finished run, and its config."""
    config = small_config(sup)
    config.vocabulary.size = 6
    workdir = tmp_path_factory.mktemp("sup")
    train(config, workdir)
    return workdir, config


def test_the_time_of_a_run_is_that_of_its_parts(sup_run):
    finished = json.loads((sup_run[0] / "config.json").read_text())["finished"]
    parts = {"preparing", "loading the first images", "compiling", "evaluating", "saving", "training"}
    assert finished["spent"].keys() == parts | {"waiting for images"} and min(finished["spent"].values()) >= 0
    assert finished["spent"]["compiling"] > 0.1
    assert sum(finished["spent"].values()) >= finished["seconds"] - 1.0  # which begin after what is prepared


def test_a_run_leaves_the_files_that_the_design_lists(sup_run):
    workdir, config = sup_run
    noted = json.loads((workdir / "config.json").read_text())
    assert noted["config"]["vocabulary.size"] == 6 and "jax" in noted["software"]
    names, frequency = read_frequency(workdir / "class_frequency.tsv")
    assert len(names) == 12
    assert sum(frequency) == json.loads((workdir / "variant.json").read_text())["records"]
    lines = list(read_lines(workdir / "metrics.jsonl"))
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    assert {"epoch", "train/loss", "train/lr", "images_per_second"} <= lines[0].keys()
    assert "compile_seconds" in lines[0] and "compile_seconds" not in lines[1]
    assert [line["epoch"] for line in read_lines(workdir / "eval/glyphs_test/summary.jsonl")] == [1, 2]
    assert newest_valid_step(workdir / "checkpoints") == STEPS
    assert list((workdir / "tensorboard").iterdir())


def test_a_work_directory_of_another_config_is_refused_without_overwrite(sup_run):
    workdir, config = sup_run
    kept, other = (workdir / "config.json").read_bytes(), config.copy_and_resolve_references()
    other.seed, other.optimizer.learning_rate = 7, 0.05
    with pytest.raises(UserError, match=r"\(optimizer.learning_rate=0.1 not 0.05, seed=0 not 7\); .* --overwrite"):
        train(other, workdir)
    assert (workdir / "config.json").read_bytes() == kept


def test_changed_data_is_refused_before_anything_is_written(sup_run, tmp_path):
    workdir, config = sup_run
    copy = unfinish(shutil.copytree(workdir, tmp_path / "copy"))
    data = read_json(copy / "variant.json")
    write_json(copy / "variant.json", data | {"records": 50, "fingerprint": "0123456789abcdef"})
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file() and path.name != "lock"}
    selected = f"now selects 48 records of fingerprint {data['fingerprint'][:12]}"
    with pytest.raises(UserError, match=f"50 records of fingerprint 0123456789ab, .* {selected}"):
        train(config, copy)
    assert {path: path.read_bytes() for path in before} == before


def test_checkpoints_without_a_readable_config_are_refused(sup_run, tmp_path):
    workdir, config = sup_run
    copy = unfinish(shutil.copytree(workdir, tmp_path / "copy"))
    for spoil in (Path.unlink, lambda path: path.write_text("{"), lambda path: path.write_text("[]")):
        spoil(copy / "config.json")
        with pytest.raises(UserError, match="config.json.*choose another --workdir or pass --overwrite"):
            train(config, copy)
    assert newest_valid_step(copy / "checkpoints") == STEPS
    train(config, copy, overwrite=True)
    assert losses(copy) == losses(workdir)


def test_a_finished_run_with_a_corrupt_end_is_evaluated_once_it_is_trained_again(sup_run, tmp_path):
    workdir, config = sup_run
    copy = shutil.copytree(workdir, tmp_path / "copy")
    damage(copy / "checkpoints" / "6")
    summaries = (copy / "eval/glyphs_test/summary.jsonl").read_text()
    with pytest.raises(UserError, match="was trained to step 6, but .* is step 3: train it again with the same"):
        evaluate(config, copy)
    assert (copy / "eval/glyphs_test/summary.jsonl").read_text() == summaries
    train(config, copy)
    assert losses(copy) == losses(workdir)
    assert evaluate(config, copy)["glyphs:test"]["step"] == STEPS


def test_weights_that_are_not_finite_are_not_evaluated(sup_run, tmp_path):
    workdir, config = sup_run
    copy = shutil.copytree(workdir, tmp_path / "copy")
    state = read_state(copy)
    scale = state["trainable"]["visual"]["ln_pre"]["scale"]
    scale["value"] = scale["value"].at[0].set(np.nan)
    ocp.save(copy / "checkpoints" / "6", state, overwrite=True)
    write_manifest(copy / "checkpoints" / "6")
    with pytest.raises(UserError, match="checkpoints/6: visual.ln_pre.scale has NaN or infinite values"):
        evaluate(config, copy)


def test_a_finished_run_is_not_repeated_and_its_checkpoints_may_be_removed(sup_run, tmp_path, capsys):
    workdir, config = sup_run
    copy = shutil.copytree(workdir, tmp_path / "copy")
    shutil.rmtree(copy / "checkpoints")
    train(config, copy)
    assert "already trained to its end" in capsys.readouterr().err
    assert losses(copy) == losses(workdir) and not (copy / "checkpoints").exists()


def test_a_run_goes_on_with_another_number_of_devices(sup_run, tmp_path, monkeypatch):
    workdir, config = sup_run
    meshes = []
    monkeypatch.setattr("cliptail_jax.jobs.train.make_mesh", lambda axes: meshes.append(make_mesh(axes)) or meshes[-1])
    copy = unfinish(shutil.copytree(workdir, tmp_path / "copy"))
    shutil.rmtree(copy / "checkpoints" / "6")
    with devices(4):
        train(config, copy)
    found, expected = ([loss for _, loss in losses(of_run)] for of_run in (copy, workdir))
    assert len(found) == STEPS and meshes[0].size == 4
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_run_goes_on_from_its_last_valid_checkpoint_with_the_same_numbers(sup_run, tmp_path, caplog):
    """Its last checkpoint has a flipped byte, a later one was never finished: both are named, and it resumes from step 3.

    Its duration is that of all sessions.
    """
    workdir, config = sup_run
    copy = unfinish(shutil.copytree(workdir, tmp_path / "copy"))
    damage(copy / "checkpoints" / "6")
    (copy / "checkpoints" / "7").mkdir()
    lines = read_lines(copy / "metrics.jsonl")
    lines[2]["seconds"] = 1000.0  # the last of which step 3's checkpoint knows
    write_text(copy / "metrics.jsonl", "".join(map(line_of, lines)))
    train(config, copy)
    assert 1000 < read_json(copy / "config.json")["finished"]["seconds"] < 1100
    assert "checkpoints/7, which was not finished" in caplog.text
    assert "checkpoints/6, which is corrupt" in caplog.text
    assert losses(copy) == losses(workdir)
    for name in ("confusion", "per_class_accuracy"):
        first, second = (np.load(d / "eval/glyphs_test/latest.npz")[name] for d in (workdir, copy))
        np.testing.assert_array_equal(first, second)
    assert corruption(copy / "checkpoints" / "6") is None
    assert not (copy / "checkpoints" / "6.corrupt").exists()  # the new one is whole


def test_a_loss_that_is_no_number_stops_the_run_and_saves_nothing(tmp_path, sup_config):
    sup_config.optimizer.learning_rate = 1e30
    sup_config.checkpoint.every_steps = 2
    with pytest.raises(UserError, match=r"is (nan|inf) at step \d .*optimizer.learning_rate=1e\+30"):
        train(sup_config, tmp_path)
    saved = newest_valid_step(tmp_path / "checkpoints")
    assert saved == -1 or all(np.isfinite(array).all() for array in jax.tree.leaves(read_state(tmp_path)["trainable"]))


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ({"batch_size": 13}, "batch_size / accumulate_steps=13 is not divisible by the 2 devices"),
        ({"mesh.fsdp": 3}, "mesh.data=-1 x mesh.fsdp=3 does not cover the 2 devices"),
        ({"vocabulary.size": 13}, "vocabulary.size=13 is larger than the 12 classes"),
        ({"head.freeze": True}, "head.freeze=True needs a head to freeze: set head.init"),
        ({"objective": "contrastive"}, "needs captions: set data.captions.template"),
        ({"data.drop_last": True, "batch_size": 64}, "batch_size=64, but the variant has 48 records"),
        ({"data.batch_classes": 13}, "data.batch_classes=13 is larger than the 12 classes that have records"),
        ({"data.data_dir": "/nowhere", "data.name": "cifar100"}, "download_and_prepare"),
    ],
)
def test_a_users_mistake_is_named_before_training(changes, complaint, tmp_path, sup_config):
    sup_config.update_from_flattened_dict(changes)
    with pytest.raises(UserError, match=complaint):
        train(sup_config, tmp_path / "run")
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_a_given_head_may_have_another_width_but_not_another_class_count(tmp_path, sup_config):
    head = np.random.default_rng(0).normal(size=(12, 24)).astype(np.float16)
    sup_config.head.init, sup_config.head.freeze = str(tmp_path / "head.npy"), True
    sup_config.total_epochs = 1
    np.save(tmp_path / "head.npy", head[:11])
    with pytest.raises(UserError, match="11 rows.*12 classes"):
        train(sup_config, tmp_path / "run")
    np.save(tmp_path / "head.npy", head)
    train(sup_config, tmp_path / "run")
    assert len(losses(tmp_path / "run")) == 3


def test_a_stop_in_an_evaluation_leaves_it_to_the_next_session(sup_run, tmp_path, sup_config, monkeypatch):
    """SIGTERM arrives while the first epoch is evaluated: the step is saved at once, and the evaluation made up for."""
    sup_config.vocabulary.size = 6

    with monkeypatch.context() as patch:
        patch.setattr("cliptail_jax.evaluation.labelled.count", lambda *_: (os.kill(os.getpid(), signal.SIGTERM), ()))
        for _ in range(2):  # and again while it is made up for
            with pytest.raises(SystemExit) as stopped:
                train(sup_config, tmp_path)
            assert stopped.value.code == 128 + signal.SIGTERM
    assert newest_valid_step(tmp_path / "checkpoints") == 3
    assert not (tmp_path / "eval").exists()
    train(sup_config, tmp_path)
    assert losses(tmp_path) == losses(sup_run[0])
    first, again = (list(read_lines(d / "eval/glyphs_test/summary.jsonl")) for d in (sup_run[0], tmp_path))
    assert again == first


def test_unreadable_images_are_left_out_up_to_a_share_and_then_stop_the_run(tmp_path, sup_config, monkeypatch, capsys):
    data = sup_config.data
    stored, records = (
        Source.encoded_images,
        make_variant(open_source("glyphs", data.data_dir, "train"), sections(sup_config).data).records,
    )
    broken = [records[0]]
    monkeypatch.setattr(
        Source,
        "encoded_images",
        lambda source, wanted: [
            b"no image" if record in broken and source.split == "train" else image
            for record, image in zip(wanted, stored(source, wanted))
        ],
    )
    sup_config.vocabulary.size, data.max_unreadable = 6, 0.03
    train(sup_config, tmp_path / "one")
    assert capsys.readouterr().err.count(f"record {records[0]} of glyphs (train) is unreadable") == 1
    broken.append(records[1])
    with pytest.raises(UserError, match=r"2 of 48 images of glyphs \(train\) are unreadable \(records \d+, \d+\)"):
        train(sup_config, tmp_path / "two")


@pytest.mark.filterwarnings("ignore:Sharding info not provided")
def test_a_run_goes_on_from_its_last_valid_checkpoint_with_the_same_student_and_teacher(trained_run, tmp_path):
    config, workdir = trained_run("dino")
    copy = unfinish(shutil.copytree(workdir, tmp_path / "copy"))
    damage(copy / "checkpoints" / "2")
    with devices(1):  # as `trained_run` has
        train(config, copy)
    assert losses(copy) == losses(workdir) and len(losses(copy)) == 2
    whole, resumed = read_state(workdir), read_state(copy)
    assert whole.pop("rng") == resumed.pop("rng")
    assert {"trainable", "batch_stats", "ema", "ema_batch_stats", "opt_state"} <= whole.keys()
    for a, b in zip(*map(jax.tree.leaves, (whole, resumed)), strict=True):
        np.testing.assert_array_equal(a, b)
    for trained in (whole["trainable"], whole["ema"]):
        del trained["head"]["prototypes"]  # in the first epoch, they are not trained
    different = [not np.array_equal(a, b) for a, b in zip(*(jax.tree.leaves(whole[k]) for k in ("trainable", "ema")))]
    assert different and all(different)


def test_a_run_has_no_evaluation_and_says_where_to_go(trained_run):
    config, workdir = trained_run("dino")
    assert not (workdir / "eval").exists()
    config = config.copy_and_resolve_references()
    config.eval.sets = ("glyphs:test",)
    with pytest.raises(UserError, match="measure it with cliptail transfer"):
        evaluate(config, workdir)


@pytest.mark.parametrize("every, last, due", [(1, 0, [1, 2, 3, 4, 5, 6, 7]), (3, 7, [3, 6, 7]), (9, 7, [7])])
def test_an_action_is_due_after_every_so_many_steps_and_the_last(every, last, due):
    assert [step for step in range(8) if is_due(step, every, last)] == due
