"""The DINO step against itself on other meshes, and against what each of its parts does by definition."""

import jax
import numpy as np
import pytest

from cliptail_jax.formats.resizing import resize
from cliptail_jax.host.errors import UserError
from cliptail_jax.input.device_views import device_views
from cliptail_jax.input.transforms import CanvasWithViews, crops_of
from cliptail_jax.input.views import draw_views
from cliptail_jax.objectives import base_config
from cliptail_jax.objectives.dino import sample_prototypes
from configs import dino
from tests.synthetic import assert_close, sections, synthetic_objective, train_steps

BATCH, PROTOTYPES, RATE, DECAY, EPOCH = 16, 40, 0.1, 0.01, 2


@pytest.fixture(scope="module")
def sampled_config(small_config):
    config = small_config(dino)
    config.total_epochs, config.vocabulary.size = 10, 10
    config.data.multi_crop.num_local = 2
    config.dino.update(
        {"prototypes": PROTOTYPES, "hidden": 16, "bottleneck": 8, "teacher_momentum": 0.9, "freeze_last_layer": 0}
    )
    config.optimizer.update({"name": "sgd", "learning_rate": RATE, "weight_decay": DECAY, "warmup_epochs": 0})
    return config


def random_batch(config, on_device=False):
    """Smooth images of 32 pixels, a fifth of them masked: their crops, or themselves with the views that are drawn."""
    coarse = np.random.default_rng(0).integers(0, 256, (BATCH, 4, 4, 3), np.uint8)
    images, crops = np.stack([resize(image, 32, 32) for image in coarse]), crops_of(sections(config).data)
    views = draw_views(0, 0, np.arange(BATCH), np.full((BATCH, 2), 32), crops)
    batch = {"labels": np.zeros(BATCH, np.int32), "mask": np.arange(BATCH) % 5 > 0}
    if on_device:
        return batch | {"images": images, "views": views}
    sizes = {"global_crops": (views.global_views(), crops.global_size)}
    sizes["local_crops"] = views.local_views(), crops.local_size
    make = jax.jit(device_views, static_argnums=2)
    return batch | {name: np.asarray(make(images, *size)) for name, size in sizes.items()}


def train(config, **options):
    """A few steps of epochs of `EPOCH`."""
    return train_steps(config, random_batch(config), steps_per_epoch=EPOCH, **options)


@pytest.fixture(scope="module")
def sampled(sampled_config):
    """Three steps with a sample of the prototypes, all of them trained."""
    return train(sampled_config, steps=3)


@pytest.mark.parametrize(
    "tower, changes, complaint",
    [
        (
            "ViT-B-16-SigLIP",
            {"num_local": 2, "local_size": 96},
            "positions of this image tower are for crops of 224 pixels",
        ),
        ("ViT-B-16", {"num_local": 2, "local_size": 100}, "data.multi_crop.local_size: 100 is not divisible by 16"),
        ("ViT-B-16", {"num_local": 2, "local_size": 96}, ""),
        ("ViT-B-16-SigLIP", {"num_local": 0}, ""),
        ("convnext_base", {"num_local": 2, "local_size": 16}, "data.multi_crop.local_size: 16 is not divisible by 32"),
    ],
)
def test_a_tower_can_see_local_crops_and_resamples_positions_where_it_can(tower, changes, complaint):
    config = base_config()
    config.update({"objective": "dino", "data": {"resize": "step", "multi_crop": changes}})
    config.model.image.update({"name": tower, "output_dim": 768})
    objective = synthetic_objective(config)
    if complaint:
        with pytest.raises(UserError, match=complaint):
            objective.describe_model()
    else:
        resamples = "cliptail_resampling" in objective.describe_model()["model_cfg"]["vision_cfg"]
        assert resamples == (tower == "ViT-B-16")


def prototypes(tree):
    return np.asarray(tree["head"]["prototypes"][...])


def test_eight_devices_compute_what_one_does(sampled, sampled_config):
    assert_close(train(sampled_config, devices=8, steps=3), sampled, rtol=1e-4)


def test_views_are_made_in_the_step(sampled_config):
    data = sections(sampled_config).data
    transform = CanvasWithViews(sampled_config.seed, crops_of(data), data.canvas)
    assert synthetic_objective(sampled_config).transform == transform


def test_crops_in_the_step_are_the_views_that_are_drawn(sampled_config):
    batch, host_batch = random_batch(sampled_config, on_device=True), random_batch(sampled_config)
    crops = jax.jit(synthetic_objective(sampled_config)._crops_by_size)(batch)
    for name, crop in zip(("global_crops", "local_crops"), crops, strict=True):
        np.testing.assert_allclose(crop, host_batch[name], atol=1)


def test_the_teacher_starts_as_the_student_and_follows_it_by_a_momentum_that_rises_to_1(sampled, sampled_config):
    states = sampled.states
    for student, teacher in zip(jax.tree.leaves(states[0].trainable), jax.tree.leaves(states[0].ema), strict=True):
        np.testing.assert_array_equal(student, teacher)
    total = sampled_config.total_epochs * EPOCH
    for step, (state, next_state) in enumerate(zip(states[:-1], states[1:])):
        momentum = 1 - (1 - 0.9) * (1 + np.cos(np.pi * step / total)) / 2
        leaves = map(jax.tree.leaves, (state.ema, next_state.trainable, next_state.ema))
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
    samples = [
        set(sample_prototypes(jax.random.fold_in(states[0].rng, step), PROTOTYPES, 10).tolist()) for step in (0, 1)
    ]
    assert samples[0] != samples[1]
    never = sorted(set(range(PROTOTYPES)) - samples[0] - samples[1])
    p, velocity = prototypes(states[0].trainable)[never], 0
    for step in (0, 1):
        rate = 1e-6 + (RATE - 1e-6) * (1 + np.cos(np.pi * step / (sampled_config.total_epochs * EPOCH))) / 2
        velocity = 0.9 * velocity + DECAY * p
        p = p - rate * velocity
    np.testing.assert_allclose(prototypes(states[2].trainable)[never], p, rtol=1e-5)
    sample = sorted(samples[0])
    decayed = prototypes(states[0].trainable)[sample] * (1 - RATE * DECAY)
    assert np.abs(prototypes(states[1].trainable)[sample] - decayed).max() > 1e-5


def test_masked_images_have_no_part_in_the_step(sampled):
    """Batch statistics, targets and loss are those of the others, whatever the masked ones show."""
    batch = dict(sampled.batch)
    for name in ("global_crops", "local_crops"):
        crops, mask = np.asarray(batch[name]), np.asarray(batch["mask"])[:, None, None, None, None]
        batch[name] = jax.device_put(np.where(mask, crops, 77).astype(np.uint8), batch[name].sharding)
    _, metrics = sampled.step(sampled.states[0], batch)
    assert metrics["train/loss"] == sampled.metrics[0]["train/loss"]
    assert metrics["train/grad_norm"] == sampled.metrics[0]["train/grad_norm"]
