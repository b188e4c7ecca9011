"""DINO's batches: the same views whoever loads them, made by Pillow here or by the step."""

import jax
import numpy as np
import pytest
from test_pipeline import Pictures, assert_same, batches_of, make_config, noisy, png

from cliptail_jax.input.images import resize
from cliptail_jax.input.pipeline import multi_crop
from cliptail_jax.input.views import draw_views


def dino_config(**chosen):
    config = make_config(image_size=12, crop_scale=(0.3, 1.0), workers=chosen.pop("workers", 0))
    config.objective = "dino"
    crops = {"num_local": 3, "local_size": 6, "local_scale": (0.1, 0.3), "max_blur": 1.0, "canvas": 16}
    config.data.multi_crop.update(crops | chosen)
    return config


def flat(batch):
    views = batch.get("views")
    rest = {name: value for name, value in batch.items() if name != "views"}
    return rest | (views._asdict() if views else {})


@pytest.fixture(scope="module")
def tall():
    """Pictures of 20 × 10 pixels."""
    return noisy(21, 20, 10)


@pytest.mark.parametrize("on_device", [True, False])
def test_batches_are_the_same_for_any_number_of_workers_processes_and_after_a_resume(on_device, tall):
    whole = [flat(batch) for batch in batches_of(tall, dino_config(on_device=on_device))]
    workers = dino_config(on_device=on_device, workers=2)
    assert_same(whole[1:], [flat(batch) for batch in batches_of(tall, workers, start=1)])
    halves = [
        [flat(batch) for batch in batches_of(tall, dino_config(on_device=on_device), slots=slots)]
        for slots in (slice(0, 4), slice(4, 8))
    ]
    for batch, first, second in zip(whole, *halves, strict=True):
        for name, value in batch.items():
            # An empty slot may hold anything; its mask says so.
            joined = np.concatenate([first[name], second[name]])
            np.testing.assert_array_equal(joined, value)


def test_for_the_step_images_are_whole_and_squashed_and_their_views_are_of_their_own_sizes(tall):
    config = dino_config()
    batch = batches_of(tall, config)[0]
    record = int(np.flatnonzero(batch["mask"])[0])
    pictures = [
        np.array(resize(image, 16, 16)) for image in map(lambda e: decoded(e), tall.encoded_images(range(len(tall))))
    ]
    assert batch["images"].shape == (8, 16, 16, 3)
    found = [i for i, p in enumerate(pictures) if np.array_equal(p, batch["images"][record])]
    assert len(found) == 1
    drawn = draw_views(config.seed, 0, np.array(found), np.array([[20, 10]]), multi_crop(config.data))
    for field, value in drawn._asdict().items():
        np.testing.assert_array_equal(getattr(batch["views"], field)[record], value[0])


def decoded(encoded):
    from cliptail_jax.input.images import decode_image

    return decode_image(encoded)


def test_an_unreadable_image_is_masked_and_named(tall):
    source = Pictures([*tall.encoded_images(range(6)), b"no image"])
    for on_device in (True, False):
        config = dino_config(on_device=on_device)
        config.total_epochs = 1
        (batch,) = batches_of(source, config)
        assert batch["unreadable"].tolist() == [6] and batch["mask"].sum() == 6


def test_every_epoch_has_views_of_its_own():
    config = dino_config()
    config.total_epochs = 2
    first, second = batches_of(Pictures([png(np.zeros((16, 16, 3)))]), config)
    assert not any(np.array_equal(*boxes) for boxes in zip(*(b["views"].box[b["mask"]] for b in (first, second))))


def test_flips_are_left_out_where_the_config_has_none(tall):
    """A mirrored character is another character."""
    config = dino_config()
    config.data.flip = True
    assert any(batch["views"].flip.any() for batch in batches_of(tall, config))
    config.data.flip = False
    assert not any(batch["views"].flip.any() for batch in batches_of(tall, config))


def test_views_are_a_tree_of_arrays(tall):
    batch = batches_of(tall, dino_config())[0]
    assert all(isinstance(leaf, np.ndarray) and len(leaf) == 8 for leaf in jax.tree.leaves(batch["views"]))
