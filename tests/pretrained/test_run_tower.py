"""Training that starts from the image tower of another run."""

import shutil

import jax
import numpy as np
import pytest
from flax import nnx

from cliptail_jax import runs
from cliptail_jax.errors import UserError
from cliptail_jax.files import read_lines, write_json
from cliptail_jax.parallel.sharding import make_mesh
from cliptail_jax.pretrained.export import export
from cliptail_jax.pretrained.towers import image_shape, open_towers
from cliptail_jax.pretrained.trained import restore_run, with_tokenizer
from cliptail_jax.runs.checkpoints import manifest_of, newest_sound_step
from cliptail_jax.train import train
from cliptail_jax.training.initialization import FILE
from cliptail_jax.training.optimizer import make_optimizer
from cliptail_jax.training.initialization import init_state, load_towers
from configs import clip, dino, sup


@pytest.fixture(scope="session")
def first_runs(tmp_path_factory, small_config):
    """A run of each family, by its name: the config and the work directory. SL's has a moving average."""
    configs = {name: small_config(family) for name, family in (("sup", sup), ("clip", clip), ("dino", dino))}
    configs["sup"].optimizer.ema_decay = 0.5
    configs["dino"].data.multi_crop.update({"num_local": 1, "on_device": False})
    configs["dino"].dino.update({"prototypes": 40, "hidden": 16, "bottleneck": 8})
    configs["dino"].optimizer.warmup_epochs = 0
    folder = tmp_path_factory.mktemp("first")
    for name, config in configs.items():
        config.total_steps, config.checkpoint.every_steps, config.eval.sets = 2, 1, ()
        train(config, folder / name)
    return {name: (config, folder / name) for name, config in configs.items()}


@pytest.fixture
def config(sup_config, first_runs):
    """A linear head on the tower of DINO's run."""
    sup_config.image.init, sup_config.head.kind = str(first_runs["dino"][1]), "linear"
    sup_config.total_steps, sup_config.eval.sets, sup_config.checkpoint.every_steps = 3, (), 1
    return sup_config


def start(config):
    """The first state of a run."""
    towers = open_towers(config)
    _, state, shardings = init_state(config, make_optimizer(config, 1), make_mesh(config.mesh), 12, towers=towers)
    return load_towers(state, towers, shardings)


def evaluated(config, workdir):
    """The image tower that evaluation uses, and the training state, of a run."""
    config, _ = with_tokenizer(config, workdir)
    graphdef, state = restore_run(config, workdir, make_mesh(config.mesh), 12)
    return nnx.merge(graphdef, *state.parts()).visual, state


def values(state):
    return {".".join(map(str, path)): np.asarray(v[...]) for path, v in nnx.to_flat_state(state)}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for key in a:
        np.testing.assert_array_equal(a[key], b[key], err_msg=key)


@pytest.mark.parametrize("name, fsdp", [("sup", 1), ("clip", 1), ("dino", 4)])
def test_a_tower_starts_with_the_weights_and_statistics_that_the_run_is_evaluated_with(config, first_runs, name, fsdp):
    of_run, workdir = first_runs[name]
    config.image.init, config.mesh.fsdp = str(workdir), fsdp
    tower, last = evaluated(of_run, workdir)
    first = start(config)
    assert_same(values(first.trainable["visual"]), values(nnx.state(tower, nnx.Param)))
    assert_same(values(first.batch_stats["visual"]), values(nnx.state(tower, nnx.BatchStat)))
    if name != "clip":
        student = values(last.trainable["visual"])
        assert all(not np.array_equal(v, student[key]) for key, v in values(first.trainable["visual"]).items())
    if name == "dino":
        student = values(last.batch_stats["visual"])
        assert all(not np.array_equal(v, student[key]) for key, v in values(first.batch_stats["visual"]).items())
    assert image_shape(str(workdir)) == (16, 32)


def test_a_frozen_tower_and_one_of_a_clip_run_start_so_too(config, clip_config, first_runs):
    tower, _ = evaluated(*first_runs["dino"])
    config.image.freeze = True
    assert_same(values(start(config).frozen["visual"]), values(nnx.state(tower, nnx.Param)))
    clip_config.image.init = config.image.init
    assert_same(values(start(clip_config).trainable["visual"]), values(nnx.state(tower, nnx.Param)))


@pytest.fixture(scope="session")
def second(tmp_path_factory, first_runs, small_config):
    """A finished run that started from DINO's."""
    config = small_config(sup)
    config.image.init, config.head.kind = str(first_runs["dino"][1]), "linear"
    config.total_steps, config.eval.sets, config.checkpoint.every_steps = 3, (), 1
    workdir = tmp_path_factory.mktemp("second") / "run"
    train(config, workdir)
    return config, workdir


def unfinished(workdir, copy):
    """A copy of a run without its last step."""
    shutil.copytree(workdir, copy)
    last = copy / "checkpoints" / str(newest_sound_step(copy / "checkpoints"))
    shutil.rmtree(last)
    manifest_of(last).unlink()
    noted = runs.read_config(copy)
    write_json(copy / "config.json", {"config": noted})
    return copy


def test_it_goes_on_with_the_same_numbers_and_says_where_its_parameters_are_from(second, tmp_path):
    config, workdir = second
    copy = unfinished(workdir, tmp_path / "copy")
    train(config, copy)
    losses = [[line["train/loss"] for line in read_lines(w / "metrics.jsonl")] for w in (workdir, copy)]
    assert losses[0] == losses[1] and len(losses[0]) == 3
    a, b = (values(nnx.state(evaluated(config, w)[0])) for w in (workdir, copy))
    assert_same(a, b)
    rows = [line.split("\t") for line in (workdir / FILE).read_text().splitlines()[1:]]
    assert {row[2] for row in rows if row[0].startswith("visual.")} == {config.image.init}
    assert {row[0] for row in rows if row[2] == "drawn"} == {"head", "bias"}


def test_a_run_that_was_trained_on_is_noticed(second, first_runs, tmp_path):
    config, workdir = second
    base = unfinished(first_runs["dino"][1], tmp_path / "base")
    config = config.copy_and_resolve_references()
    config.image.init = str(base)
    train(config, tmp_path / "run")
    copy = unfinished(tmp_path / "run", tmp_path / "copy")
    train(first_runs["dino"][0], base)
    with pytest.raises(UserError, match="began with other weights of .*base than are there now"):
        train(config, copy)


def test_a_run_may_start_from_one_that_did(second, config):
    tower, _ = evaluated(*second)
    config.image.init = str(second[1])
    assert_same(values(start(config).trainable["visual"]), values(nnx.state(tower, nnx.Param)))


def test_another_width_of_the_features_is_refused_or_drawn(config):
    config.model.image.output_dim = 24
    with pytest.raises(UserError, match="does not fill the tower: .*set model.image.output_dim=16, or image.partial"):
        open_towers(config)
    config.image.partial = True
    drawn = {".".join(map(str, path)) for path in open_towers(config).image.drawn}
    assert drawn == {"fc.kernel", "fc.bias"}
    assert values(start(config).trainable["visual"])["fc.kernel"].shape == (16, 24)


def test_a_run_without_a_checkpoint_is_refused(config, first_runs, tmp_path):
    shutil.copytree(first_runs["dino"][1], tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    config.image.init = str(tmp_path / "run")
    with pytest.raises(UserError, match="image.init: there is no sound checkpoint in .*checkpoints: train until"):
        open_towers(config)


def test_what_open_clip_has_no_place_for_is_not_exported(second, tmp_path):
    with pytest.raises(UserError, match="has head.kind='linear'"):
        export(second[1], tmp_path)


def test_the_wrong_batch_norm_groups_are_refused(config):
    config.batch_norm.group_size = 5
    with pytest.raises(UserError, match="batch_norm.group_size=5 does not divide batch_size=16"):
        open_towers(config)


def test_every_device_of_the_mesh_has_its_part(config):
    config.mesh.fsdp = 4
    kernel = start(config).trainable["visual"]["fc"]["kernel"][...]
    assert kernel.addressable_shards[0].data.size * 4 == kernel.size
    assert all(leaf.sharding.mesh.shape["fsdp"] == 4 for leaf in jax.tree.leaves(start(config).batch_stats))
