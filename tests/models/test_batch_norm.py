import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from cliptail_jax.models.layers import BatchNorm

BATCH, PIXELS, CHANNELS = 8, (3, 5), 4
SCALES = np.array([0.1, 1, 3, 10])
MEAN = 300 + np.array([2, -1, 0.5, -1]) * SCALES  # running means, near those of the images


@pytest.fixture(scope="module")
def images():
    random = np.random.default_rng(0)
    # Channels far from zero, each at its own scale: a mean of squares that are not shifted would lose digits here.
    return (random.normal(size=(BATCH, *PIXELS, CHANNELS)) * SCALES + 300).astype(np.float32)


@jax.jit
def apply(module, x, mask):
    """Training outputs and the module's running statistics after them, in one compiled call."""
    module = nnx.merge(*nnx.split(module), copy=True)
    y = module(x, True, mask)
    return y, module.mean[...], module.var[...]


def norm(group_size=0, mean=MEAN, **kwargs):
    module = BatchNorm(CHANNELS, group_size, **kwargs)
    module.scale[...] = jnp.array([0.5, 1.0, 1.5, 2.0])
    module.bias[...] = jnp.array([0.0, -1.0, 1.0, 2.0])
    module.mean[...] = jnp.array(mean, jnp.float32)
    return module


def reference(module, x):
    """The formula in float64: output, mean and unbiased variance of one group."""
    x = x.astype(np.float64)
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    y = (x - mean) / np.sqrt(var + 1e-5) * np.asarray(module.scale[...]) + np.asarray(module.bias[...])
    return y, mean, x.var((0, 1, 2), ddof=1)


def assert_close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    "group_size, valid, groups",
    [
        (0, 8, [(0, 8)]),
        (2, 5, [(0, 2), (2, 4), (4, 5)]),  # full, full, half, empty
    ],
)
def test_each_group_is_normalised_by_its_statistics_and_running_averages_keep_nine_tenths(
    group_size, valid, groups, images
):
    """Examples that are masked, the last ones, stay out of the statistics."""
    mask = np.arange(BATCH) < valid
    x = np.where(mask[:, None, None, None], images, 1e4).astype(np.float32)
    y, mean, var = apply(norm(group_size), x, None if mask.all() else mask)
    outputs, means, variances = zip(*(reference(norm(), images[start:end]) for start, end in groups))
    assert_close(y[:valid], np.concatenate(outputs))
    assert_close(mean, 0.9 * MEAN + 0.1 * np.mean(means, 0))
    np.testing.assert_allclose(var, 0.9 + 0.1 * np.mean(variances, 0), rtol=1e-5)
    assert np.isfinite(y).all()


def test_batch_without_valid_examples_changes_nothing_and_has_finite_gradients(images):
    module = norm(group_size=4)
    _, mean, var = apply(module, images, np.zeros(BATCH, bool))
    np.testing.assert_array_equal(mean, module.mean[...])
    np.testing.assert_array_equal(var, module.var[...])
    gradient = jax.jit(jax.grad(lambda x: apply(module, x, jnp.zeros(BATCH, bool))[0].sum()))(images)
    assert np.isfinite(gradient).all()


def test_gradient_equals_that_of_the_plain_formula(images):
    group_size = 2
    mask = np.array([1, 1, 1, 1, 1, 1, 1, 0], bool)
    cotangent = np.random.default_rng(1).normal(size=images.shape).astype(np.float32) * mask[:, None, None, None]
    module = norm(group_size, MEAN - 300)

    def plain(x):
        outputs = []
        for start in range(0, BATCH, group_size):
            group = x[start : start + group_size]
            valid = group[: mask[start : start + len(group)].sum()]
            mean = valid.mean((0, 1, 2))
            var = ((valid - mean) ** 2).mean((0, 1, 2))
            outputs.append((group - mean) / jnp.sqrt(var + 1e-5) * module.scale[...])
        return (jnp.concatenate(outputs) * cotangent).sum()

    x = images - 300  # the plain formula needs inputs near zero to be a precise truth
    actual = jax.jit(jax.grad(lambda x: (apply(module, x, mask)[0] * cotangent).sum()))(x)
    expected = jax.jit(jax.grad(plain))(x)
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


def test_variance_of_a_millionth_of_the_squared_mean_keeps_its_digits_while_the_running_mean_follows(images):
    x = np.random.default_rng(0).normal(size=(BATCH, 40, 40, CHANNELS)).astype(np.float32) * 0.3 + 300
    module = norm(mean=np.zeros(CHANNELS))
    for _ in range(100):
        y, module.mean[...], module.var[...] = apply(module, x, None)
    expected, _, var = reference(module, x)
    np.testing.assert_allclose(module.var[...], var, rtol=1e-3)  # 1 and the first steps' errors, by 0.9^100
    np.testing.assert_allclose(y, expected, atol=1e-3)


@pytest.mark.parametrize("train, frozen", [(False, False), (True, True)])
def test_evaluation_and_frozen_training_use_running_averages_and_keep_them(images, train, frozen):
    module = norm()
    module.frozen = frozen
    y = module(images, train)
    expected = (images - MEAN) / np.sqrt(1 + 1e-5) * np.array([0.5, 1, 1.5, 2]) + [0, -1, 1, 2]
    assert_close(y, expected)
    np.testing.assert_array_equal(module.mean[...], MEAN.astype(np.float32))
    np.testing.assert_array_equal(module.var[...], 1)


@pytest.mark.parametrize("group_size", [0, 1])
def test_eight_devices_equal_one(images, group_size):
    mesh = jax.make_mesh((BATCH,), ("data",), axis_types=(AxisType.Auto,))
    spread = NamedSharding(mesh, PartitionSpec("data"))
    mask = np.arange(BATCH) < 7
    module = norm(group_size, MEAN - 300)
    near_zero = images - 300  # where float32 resolves the last digits of a mean
    result = apply(module, near_zero, mask)
    x, valid = jax.device_put(near_zero, spread), jax.device_put(mask, spread)
    everywhere = jax.device_put(module, NamedSharding(mesh, PartitionSpec()))
    for actual, expected in zip(apply(everywhere, x, valid), result, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)
    if group_size == 1:
        compiled = apply.lower(everywhere, x, valid).compile().as_text()
        normalised = jax.jit(lambda m, x, v: apply(m, x, v)[0]).lower(everywhere, x, valid).compile().as_text()
        assert "all-reduce" in compiled and "all-reduce" not in normalised


def test_statistics_are_as_exact_as_sums_in_blocks_of_float32():
    """One sum of all values after the other has an error of 2e-5 here."""
    rng = np.random.default_rng(0)
    images = np.maximum(rng.normal(2.0, 1.0, (16, 112, 112, 4)), 0).astype(np.float32)
    layer = BatchNorm(4)
    normalized = nnx.jit(lambda layer, x: layer(x, train=True))(layer, images)
    values = images.astype(np.float64)
    expected = (values - values.mean((0, 1, 2))) / np.sqrt(values.var((0, 1, 2)) + 1e-5)
    assert np.abs(normalized - expected).max() < 5e-6 * np.abs(expected).max()
