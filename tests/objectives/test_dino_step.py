"""The DINO step against itself on other meshes, and against what each of its parts does by definition."""

import jax
import numpy as np
import pytest
from flax import nnx

from cliptail_jax.images.resizing import resize
from cliptail_jax.input.transforms import CanvasWithViews, crops_of
from cliptail_jax.input.views import draw_views
from cliptail_jax.objectives.dino import sample_prototypes
from configs import dino
from tests.input.pillow_views import pillow_views, views_of_record
from tests.synthetic import assert_close, synthetic_objective, train_steps

BATCH, PROTOTYPES, RATE, DECAY, EPOCH = 16, 40, 0.1, 0.01, 2


@pytest.fixture(scope="module")
def config(small_config):
    config = small_config(dino)
    config.total_epochs = 10
    config.data.multi_crop.num_local = 2
    config.dino.update(
        {"prototypes": PROTOTYPES, "hidden": 16, "bottleneck": 8, "teacher_momentum": 0.9, "freeze_last_layer": 0}
    )
    config.optimizer.update({"name": "sgd", "learning_rate": RATE, "weight_decay": DECAY, "warmup_epochs": 0})
    return config


def random_batch(config, on_device=False):
    """Smooth images of 32 pixels, a fifth of them masked: their crops, or themselves with the views that are drawn."""
    coarse = np.random.default_rng(0).integers(0, 256, (BATCH, 4, 4, 3), np.uint8)
    images = np.stack([resize(image, 32, 32) for image in coarse])
    crops = crops_of(config.data)
    views = draw_views(0, 0, np.arange(BATCH), np.full((BATCH, 2), 32), crops)
    batch = {"labels": np.zeros(BATCH, np.int32), "mask": np.arange(BATCH) % 5 > 0}
    if on_device:
        return batch | {"images": images, "views": views}
    made = [pillow_views(image, views_of_record(views, slot), crops) for slot, image in enumerate(images)]
    return batch | dict(zip(("global_crops", "local_crops"), map(np.stack, zip(*made))))


def train(config, on_device=False, **options):
    """A few steps of epochs of `EPOCH`."""
    return train_steps(config, random_batch(config, on_device), steps_per_epoch=EPOCH, **options)


@pytest.fixture(scope="module")
def sampled_config(config):
    config = config.copy_and_resolve_references()
    config.vocabulary.size = 10
    return config


@pytest.fixture(scope="module")
def sampled(sampled_config):
    """Three steps with a sample of the prototypes, all of them trained."""
    return train(sampled_config, steps=3)


def prototypes(tree):
    return np.asarray(tree["head"]["prototypes"][...])


def test_eight_devices_compute_what_one_does(sampled, sampled_config):
    assert_close(train(sampled_config, devices=8, steps=3), sampled, rtol=1e-4)


def test_views_are_made_in_the_step(config):
    transform = CanvasWithViews(config.seed, crops_of(config.data), config.data.canvas)
    assert synthetic_objective(config).transform == transform


def test_views_made_in_the_step_teach_what_pillows_do(sampled, sampled_config):
    """Their pixels differ by rounding alone, and so the first update does by little."""
    start, by_pillow, by_step = (
        np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(state.trainable)])
        for state in (*sampled.states[:2], train(sampled_config, steps=1, on_device=True).states[1])
    )
    assert np.linalg.norm(by_step - by_pillow) < 0.05 * np.linalg.norm(by_pillow - start)


def test_the_teacher_starts_as_the_student_and_follows_it_by_a_momentum_that_rises_to_1(sampled, sampled_config):
    states = sampled.states
    for first, teacher in zip(jax.tree.leaves(states[0].trainable), jax.tree.leaves(states[0].ema), strict=True):
        np.testing.assert_array_equal(first, teacher)
    total = sampled_config.total_epochs * EPOCH
    for step, (before, after) in enumerate(zip(states[:-1], states[1:])):
        momentum = 1 - (1 - 0.9) * (1 + np.cos(np.pi * step / total)) / 2
        leaves = map(jax.tree.leaves, (before.ema, after.trainable, after.ema))
        for old, student, new in zip(*leaves, strict=True):
            np.testing.assert_allclose(new, momentum * old + (1 - momentum) * student, rtol=1e-5, atol=1e-6)
        assert sampled.metrics[step]["train/teacher_momentum"] == pytest.approx(momentum, abs=1e-6)


def test_the_teachers_batch_statistics_are_its_own_and_what_evaluation_uses(sampled):
    states = sampled.states
    student, teacher = (jax.tree.leaves(part) for part in (states[1].batch_stats, states[1].ema_batch_stats))
    assert all(not np.array_equal(a, b) for a, b in zip(student, teacher, strict=True))
    assert all(not np.array_equal(a, b) for a, b in zip(jax.tree.leaves(states[0].ema_batch_stats), teacher))
    assert states[1].parts() == (states[1].ema, states[1].frozen, states[1].ema_batch_stats)


def test_prototypes_that_are_not_drawn_get_weight_decay_and_momentum_alone(sampled, sampled_config):
    states = sampled.states
    drawn = [
        set(sample_prototypes(jax.random.fold_in(states[0].rng, step), PROTOTYPES, 10).tolist()) for step in (0, 1)
    ]
    assert drawn[0] != drawn[1]
    never = sorted(set(range(PROTOTYPES)) - drawn[0] - drawn[1])
    p, velocity = prototypes(states[0].trainable)[never], 0
    for step in (0, 1):
        rate = 1e-6 + (RATE - 1e-6) * (1 + np.cos(np.pi * step / (sampled_config.total_epochs * EPOCH))) / 2
        velocity = 0.9 * velocity + DECAY * p
        p = p - rate * velocity
    np.testing.assert_allclose(prototypes(states[2].trainable)[never], p, rtol=1e-5)
    first = sorted(drawn[0])
    decayed = prototypes(states[0].trainable)[first] * (1 - RATE * DECAY)
    assert np.abs(prototypes(states[1].trainable)[first] - decayed).max() > 1e-5


def test_masked_images_have_no_part_in_the_step(sampled):
    """Batch statistics, targets and loss are those of the others, whatever the masked ones show."""
    batch = dict(sampled.batch)
    for name in ("global_crops", "local_crops"):
        crops, mask = np.asarray(batch[name]), np.asarray(batch["mask"])[:, None, None, None, None]
        batch[name] = jax.device_put(np.where(mask, crops, 77).astype(np.uint8), batch[name].sharding)
    _, metrics = sampled.step(sampled.states[0], batch)
    assert metrics["train/loss"] == sampled.metrics[0]["train/loss"]
    assert metrics["train/grad_norm"] == sampled.metrics[0]["train/grad_norm"]


@pytest.fixture(scope="module")
def frozen_at_first(config):
    """Three steps of a vision transformer with all prototypes, which stay as they are in the first epoch."""
    config = config.copy_and_resolve_references()
    config.model.image.update({"name": "vit", "layers": (1,), "width": 16, "heads": 2, "patch_size": 8})
    config.dino.freeze_last_layer = 1
    return train(config, steps=3)


def test_prototypes_are_frozen_at_first_without_momentum_for_later(frozen_at_first):
    states = frozen_at_first.states
    assert EPOCH == 2
    np.testing.assert_array_equal(prototypes(states[2].trainable), prototypes(states[0].trainable))
    assert not np.array_equal(prototypes(states[3].trainable), prototypes(states[2].trainable))
    kernel = ("visual", "conv1", "kernel")
    first, second = (dict(nnx.to_flat_state(state.trainable))[kernel][...] for state in states[:2])
    assert not np.array_equal(first, second)
    # As if training had begun at the third step: no decay or gradient of the first two is in the momentum.
    momenta = [s for s in jax.tree.leaves(states[2].opt_state) if s.shape == (PROTOTYPES, 8)]
    assert len(momenta) == 1 and not np.asarray(momenta[0]).any()


def test_a_vision_transformer_takes_crops_of_both_sizes(frozen_at_first):
    metrics = frozen_at_first.metrics[0]
    assert np.isfinite(metrics["train/loss"]) and metrics["train/grad_norm"] > 0
    assert not jax.tree.leaves(frozen_at_first.states[1].ema_batch_stats)
