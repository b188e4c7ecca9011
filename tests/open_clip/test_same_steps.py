"""Trainings by open_clip's own program (scripts/parity/open_clip_fixtures.py) and by the translation of their commands."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from cliptail_jax.models import open_clip
from cliptail_jax.objectives import make_objective
from cliptail_jax.open_clip.flags import parse
from cliptail_jax.open_clip.translate import translate
from cliptail_jax.parallel.sharding import to_devices
from cliptail_jax.planning.synthetic import synthetic_variant
from cliptail_jax.training.initialization import first_state
from cliptail_jax.training.state import state_shardings
from cliptail_jax.training.step import jit_train_step, make_train_step
from tests import open_clip_case as case
from tests.models.published_names import filled, published
from tests.pretrained.seeded_weights import draw_all
from tests.synthetic import mesh_of

THEIRS = json.loads((Path(__file__).parents[1] / "data/open_clip_steps.json").read_text())
TOLERANCE = 1e-4
# The gradient of a tiny ResNet jumps where rounding moves a unit across zero: after three updates, open_clip's own norms differ
# by up to 1 % if torch convolves by another algorithm.
JUMPS = 2e-2


def seeded_state(shapes):
    """A first state with the weights that are drawn from their names, and moments of zero."""
    state = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes.replace(rng=None))
    parts = {part: getattr(state, part) for part in ("trainable", "frozen", "batch_stats")}
    weights = {
        part: filled(zeros, draw_all({name: value.shape for name, value in published(zeros).items()}))
        for part, zeros in parts.items()
    }
    return state.replace(rng=jax.random.key(0), **weights)


def batch_of(step, size):
    """The batch of an update, of one or several of open_clip's."""
    count = size // case.BATCH
    images, texts = map(np.concatenate, zip(*(case.draw_pairs(step * count + part) for part in range(count))))
    return {"images": images, "text": texts, "labels": np.zeros(size, np.int32), "mask": np.ones(size, bool)}


@pytest.mark.parametrize("name", case.COMMANDS)
def test_fifty_updates_are_those_of_open_clip(name, monkeypatch):
    for architecture, sizes in case.ARCHITECTURES.items():
        monkeypatch.setitem(open_clip._read_table("architectures.json"), architecture, sizes)
    line = parse(case.COMMANDS[name].split())
    config, mesh = translate(line, devices=1, tokenizer=None).config, mesh_of(1)
    objective = make_objective(config, synthetic_variant(line.values["train_num_samples"], 1), shapes_only=True)
    assert objective.total_steps == case.STEPS
    optimizer = objective.make_optimizer()
    graphdef, shapes, _ = first_state(objective, optimizer)
    shardings = state_shardings(mesh, shapes, shard_optimizer=False)
    state = jax.device_put(seeded_state(shapes), shardings)
    step = jit_train_step(make_train_step(objective, graphdef, optimizer, mesh), mesh, shardings)
    metrics = [{"train/logit_scale": np.exp(state.trainable["logit_scale"][...])}]
    for number in range(case.STEPS):
        state, measured = step(state, to_devices(mesh, batch_of(number, config.batch_size)))
        metrics.append(jax.device_get(measured))
    for key, expected in THEIRS[name].items():
        values = [float(record[f"train/{key}"]) for record in metrics if f"train/{key}" in record]
        jumps = name == "resnet" and key == "grad_norm"
        np.testing.assert_allclose(values[:3], expected[:3], rtol=TOLERANCE, err_msg=key)
        np.testing.assert_allclose(values, expected, rtol=JUMPS if jumps else TOLERANCE, err_msg=key)
