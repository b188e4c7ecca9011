from pathlib import Path

import numpy as np
import pytest

from cliptail_jax.input.images import Purpose
from cliptail_jax.input.views import MultiCrop, draw_views
from tests.input.plain_crops import random_crop_box, record_rng

TRUTH = np.load(Path(__file__).parents[1] / "data" / "torchvision_views.npz")
MULTI_CROP = MultiCrop()
DRAWS = 4000
SIZES = np.random.default_rng(0).integers(200, 400, (DRAWS, 2))


@pytest.fixture(scope="module")
def all_views():
    return draw_views(3, 1, np.arange(DRAWS), SIZES, MULTI_CROP)


@pytest.mark.parametrize("height, width, scale", [(300, 200, (0.14, 1.0)), (10, 100, (0.05, 0.14)), (1, 1, (1.0, 1.0))])
def test_a_box_is_what_a_record_alone_would_draw(height, width, scale):
    sizes = np.tile([height, width], (200, 1))
    views = draw_views(3, 1, np.arange(200), sizes, MultiCrop(global_scale=scale))
    # The first numbers of a record are those of its first box.
    alone = [random_crop_box(record_rng(3, 1, record, Purpose.VIEWS), height, width, scale) for record in range(200)]
    np.testing.assert_array_equal(views.box[:, 0], alone)


def test_shares_of_the_area_are_those_of_global_and_local_crops(all_views):
    box = all_views.box / np.tile(SIZES, 2)[:, None]
    area = box[..., 2] * box[..., 3]
    slack = 0.01  # sides are whole pixels
    assert area[:, :2].min() > 0.14 - slack and area[:, :2].max() <= 1 and area[:, :2].max() > 0.9
    assert area[:, 2:].min() > 0.05 - slack and area[:, 2:].max() < 0.14 + slack
    assert box[..., :2].min() >= 0 and (box[..., :2] + box[..., 2:]).max() <= 1


def test_each_augmentation_happens_as_often_as_dino_says(all_views):
    first, second, local = slice(0, 1), slice(1, 2), slice(2, None)
    chances = [
        (all_views.flip, 0.5, 0.5, 0.5),
        (all_views.jitter, 0.8, 0.8, 0.8),
        (all_views.grey, 0.2, 0.2, 0.2),
        (all_views.blur > 0, 1.0, 0.1, 0.5),
        (all_views.solarize, 0.0, 0.2, 0.0),
    ]
    for happens, *expected in chances:
        for views, chance in zip((first, second, local), expected):
            share = happens[:, views].mean()
            assert abs(share - chance) <= 4.5 * np.sqrt(chance * (1 - chance) / DRAWS)


def test_factors_are_distributed_as_in_torchvision(all_views):
    mean, deviation = TRUTH["factor_statistics"]
    factors = all_views.factors.reshape(-1, 4)
    np.testing.assert_array_less(np.abs(factors.mean(axis=0) - mean), 6.5 * deviation / np.sqrt(len(factors)))
    np.testing.assert_allclose(factors.std(axis=0), deviation, rtol=0.02)
    low, high = np.array([0.6, 0.6, 0.8, -0.1]), np.array([1.4, 1.4, 1.2, 0.1])
    assert np.all(low - 1e-6 <= factors.min(axis=0)) and np.all(factors.max(axis=0) <= high + 1e-6)


def test_every_order_of_adjustments_is_as_likely(all_views):
    orders, counts = np.unique(all_views.order.reshape(-1, 4), axis=0, return_counts=True)
    assert len(orders) == 24 and np.all(np.sort(orders, axis=1) == np.arange(4))
    expected = DRAWS * 10 / 24
    assert np.abs(counts - expected).max() < 4.5 * np.sqrt(expected)


def test_radii_of_blur_are_uniform(all_views):
    radii = all_views.blur[all_views.blur > 0]
    assert 0.1 <= radii.min() < 0.11 and 1.99 < radii.max() <= 2
    np.testing.assert_allclose([radii.mean(), radii.std()], [1.05, 1.9 / np.sqrt(12)], rtol=0.02)
    small = draw_views(3, 1, np.arange(100), SIZES[:100], MultiCrop(max_blur=0.5)).blur
    np.testing.assert_allclose(small, all_views.blur[:100] / 4, rtol=1e-6)
    assert not draw_views(3, 1, np.arange(100), SIZES[:100], MultiCrop(max_blur=0)).blur.any()


def test_views_depend_on_their_record_alone(all_views):
    records = np.array([17, 5, 3999])
    for field, other in zip(draw_views(3, 1, records, SIZES[records], MULTI_CROP), all_views):
        np.testing.assert_array_equal(field, other[records])
