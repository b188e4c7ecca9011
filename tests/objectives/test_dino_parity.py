"""Whole DINO steps against torch in float64 (scripts/parity/dino_fixtures.py)."""

from pathlib import Path

import jax
import numpy as np

from configs import dino
from tests import dino_case as case
from tests.models.published_names import filled, published
from tests.pretrained.seeded_weights import draw_all
from tests.synthetic import train_steps

TORCH = np.load(Path(__file__).parents[1] / "data" / "dino_steps.npz")
TOLERANCE = 1e-4  # of losses; of weights, of the largest value that an array has at the start or the end


def dino_config(small_config):
    config = small_config(dino)
    config.batch_size, config.total_epochs = case.BATCH, case.TOTAL_STEPS // case.STEPS_PER_EPOCH
    config.data.update({"image_size": case.SIZES["global"], "eval_resize": case.SIZES["global"]})
    config.data.canvas = case.SIZES["global"]
    config.data.multi_crop.update({"num_local": case.VIEWS, "local_size": case.SIZES["local"]})
    image = {"name": "modified_resnet", "layers": (1, 1, 1, 1), "width": case.WIDTH, "heads": case.HEADS}
    config.model.image.update(image | {"output_dim": case.OUTPUT_DIM})
    config.dino.update(
        {
            "hidden": case.HIDDEN,
            "bottleneck": case.BOTTLENECK,
            "prototypes": case.PROTOTYPES,
            "freeze_last_layer": case.HELD_STEPS // case.STEPS_PER_EPOCH,
            "teacher_momentum": case.TEACHER_MOMENTUM,
            "resample_own_grid": True,
        }
    )
    config.optimizer.update({"name": "sgd", "learning_rate": case.LEARNING_RATE, "sgd": {"momentum": case.MOMENTUM}})
    config.optimizer.update({"weight_decay": case.WEIGHT_DECAY, "final_weight_decay": case.WEIGHT_DECAY})
    config.optimizer.update({"clip_each_norm": case.CLIP, "final_learning_rate": case.FINAL_RATE})
    config.optimizer.warmup_epochs = case.WARMUP_STEPS // case.STEPS_PER_EPOCH
    return config


def weights_of(part):
    """The parameters and statistics of 'student' or 'teacher' at the end, by their names."""
    prefix = f"{part}/"
    return {key.removeprefix(prefix): TORCH[key] for key in TORCH if key.startswith(prefix)}


def start_from(weights):
    """Puts the weights in the places of a state's parameters and statistics, the teacher's too."""

    def fill(state):  # on the same devices: elsewhere, the step would be compiled twice
        return jax.tree.map(lambda old, new: jax.device_put(new, old.sharding), state, filled(state, weights))

    parts = ("trainable", "batch_stats", "ema", "ema_batch_stats")
    return lambda state: state.replace(**{part: fill(getattr(state, part)) for part in parts})


def test_six_steps_are_those_of_torch(small_config):
    config = dino_config(small_config)
    initial = draw_all({key: list(value.shape) for key, value in weights_of("student").items()})
    batch = {"labels": np.zeros(case.BATCH, np.int32), "mask": np.ones(case.BATCH, bool)}
    batch |= {f"{kind}_crops": case.draw_crops(kind) for kind in case.SIZES}

    run = train_steps(config, batch, case.STEPS, steps_per_epoch=case.STEPS_PER_EPOCH, change=start_from(initial))

    losses = [float(metrics["train/loss"]) for metrics in run.metrics]
    np.testing.assert_allclose(losses, TORCH["losses"], rtol=TOLERANCE)
    end = run.states[-1]
    for part, params, statistics in (
        ("student", end.trainable, end.batch_stats),
        ("teacher", end.ema, end.ema_batch_stats),
    ):
        variables, expected = published(params) | published(statistics), weights_of(part)
        assert variables.keys() == expected.keys()
        moved = {name: np.abs(expected[name] - initial[name]).max() for name in expected}
        for name, value in expected.items():
            largest = max(np.abs(value).max(), np.abs(initial[name]).max())
            np.testing.assert_allclose(variables[name], value, rtol=0, atol=TOLERANCE * largest, err_msg=name)
        assert moved["head.prototypes"] > 10 * TOLERANCE and moved["visual.conv1.weight"] > 10 * TOLERANCE
