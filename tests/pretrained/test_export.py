import jax
import numpy as np
import pytest
from flax import nnx

from cliptail_jax import runs
from cliptail_jax.concepts.frequency_tables import write_frequency
from cliptail_jax.input.tokenizer import train_tokenizer
from cliptail_jax.objectives import FIELDS, base_config
from cliptail_jax.parallel.sharding import make_mesh
from cliptail_jax.pretrained.export import main
from cliptail_jax.pretrained.model import load
from cliptail_jax.runs.checkpoints import Checkpoints
from cliptail_jax.training.optimizer import make_optimizer
from cliptail_jax.training.initialization import init_state

CLASSES = ("cat", "dog", "fox")
CAPTIONS = ["a photo of a dog", "a photo of a cat"]


def write_run(workdir, config, tokenizer=None):
    """A run that was stopped after its first step; returns its model."""
    runs.claim(workdir, config, FIELDS, overwrite=False)
    write_frequency(workdir / "class_frequency.tsv", CLASSES, np.ones(len(CLASSES), int))
    if tokenizer:
        tokenizer.save(workdir / "tokenizer.json")
        config.model.text.vocab_size = tokenizer.vocab_size
    mesh = make_mesh(base_config().mesh)
    graphdef, state, _ = init_state(config, make_optimizer(config, 1), mesh, len(CLASSES))
    with Checkpoints(workdir / "checkpoints", keep=2) as checkpoints:
        checkpoints.save(1, state)
    return nnx.merge(graphdef, *state.parts())


def vit(config):
    config.model.image.update({"name": "vit", "layers": (1,), "width": 8, "heads": 2, "patch_size": 8})
    return config


def test_a_clip_run_is_exported_with_its_tokenizer(clip_config, tmp_path, capsys):
    tokenizer = train_tokenizer(CAPTIONS, 540, 8)
    model = write_run(tmp_path / "run", vit(clip_config), tokenizer)
    assert main([f"--workdir={tmp_path / 'run'}", f"--output={tmp_path / 'out'}"]) == 0
    assert f"local-dir:{tmp_path / 'out'}" in capsys.readouterr().out
    again = load(tmp_path / "out")
    jax.tree.map(np.testing.assert_array_equal, nnx.state(again.model), nnx.state(model))
    np.testing.assert_array_equal(again.tokenizer(CAPTIONS), tokenizer(CAPTIONS))


def test_a_supervised_run_is_exported_with_its_head(sup_config, tmp_path):
    model = write_run(tmp_path / "run", vit(sup_config))
    assert main([f"--workdir={tmp_path / 'run'}", f"--output={tmp_path / 'out'}"]) == 0
    again = load(tmp_path / "out").model
    assert again.head.shape == (len(CLASSES), 16)
    jax.tree.map(np.testing.assert_array_equal, nnx.state(again), nnx.state(model))


@pytest.mark.parametrize("held", [False, True])
def test_what_cannot_be_exported_is_one_line(sup_config, tmp_path, capsys, held):
    if held:
        runs.claim(tmp_path, sup_config, FIELDS, overwrite=False)
    assert main([f"--workdir={tmp_path}", f"--output={tmp_path / 'out'}"]) == 2
    expected = "open_clip has no basic_resnet" if held else "holds no run"
    assert expected in capsys.readouterr().err
