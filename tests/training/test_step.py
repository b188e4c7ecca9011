"""The training step against itself on other meshes, and against what it leaves alone."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special
from flax import nnx

from cliptail_jax.errors import UserError
from cliptail_jax.input.images import normalize
from cliptail_jax.parallel.sharding import batch_sharding, check_accumulation, make_mesh, replicated, to_devices
from cliptail_jax.training.optimizer import learning_rate, make_optimizer
from cliptail_jax.training.state import init_state
from cliptail_jax.training.step import make_train_step

CLASSES, BATCH = 12, 16


def random_batch(tokens: bool):
    rng = np.random.default_rng(0)
    batch = {
        "images": rng.integers(0, 255, (BATCH, 32, 32, 3)).astype(np.uint8),
        "labels": rng.integers(0, CLASSES, BATCH).astype(np.int32),
        "mask": np.arange(BATCH) % 5 > 0,
    }
    if tokens:
        batch["text"] = rng.integers(0, 500, (BATCH, 8)).astype(np.int32)
    return batch


def run_steps(config, devices=1, steps=2, head=None):
    """The state and metrics after a few steps on the first so many devices."""
    mesh = make_mesh(config.mesh) if devices == 8 else jax.sharding.Mesh(
        np.reshape(jax.devices()[:devices], (devices, 1)), ("data", "fsdp")
    )  # fmt: skip
    optimizer = make_optimizer(config, steps_per_epoch=10)
    graphdef, state, shardings = init_state(config, optimizer, mesh, CLASSES, head)
    start = jax.tree.map(np.asarray, state.replace(rng=None))
    step = jax.jit(
        make_train_step(graphdef, optimizer, config, jnp.ones(CLASSES), mesh.size),
        in_shardings=(shardings, batch_sharding(mesh)),
        out_shardings=(shardings, replicated(mesh)),
    )
    batch = to_devices(mesh, random_batch(config.objective == "contrastive"))
    for _ in range(steps):
        state, metrics = step(state, batch)
    return start, state, metrics


def numbers(state, metrics):
    return [np.asarray(leaf) for leaf in jax.tree.leaves((metrics, state.trainable, state.batch_stats))]


@pytest.fixture
def any_config(request, sup_config, clip_config):
    config = {"sup": sup_config, "clip": clip_config}[request.param]
    if request.param == "sup":
        config.vocabulary.update({"size": 6, "group_size": 8})
    # Adam divides each gradient by its own size, and so the rounding of gradients that are 0 in exact arithmetic.
    config.optimizer.update({"name": "sgd", "learning_rate": 0.1})
    return config


@pytest.mark.parametrize("any_config", ["sup", "clip"], indirect=True)
def test_eight_devices_compute_what_one_does(any_config):
    """Data parallel with batch statistics of the whole batch; and with parameters sharded."""
    one = numbers(*run_steps(any_config)[1:])
    for fsdp in (1, 4):
        any_config.mesh.fsdp = fsdp
        for a, b in zip(one, numbers(*run_steps(any_config, devices=8)[1:]), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(a).max())


@pytest.mark.parametrize("any_config", ["sup", "clip"], indirect=True)
def test_accumulated_micro_batches_compute_what_one_batch_does_on_any_number_of_devices(any_config):
    """With batch statistics in groups, which must lie within a device's share of a micro-batch."""
    any_config.batch_norm.group_size = 4
    whole = numbers(*run_steps(any_config)[1:])
    for devices, steps in ((1, 4), (2, 2)):
        any_config.accumulate_steps = steps
        for a, b in zip(whole, numbers(*run_steps(any_config, devices)[1:]), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(a).max())


def test_groups_that_a_micro_batch_would_tear_are_refused(sup_config):
    sup_config.batch_norm.group_size, sup_config.accumulate_steps = 4, 2
    with pytest.raises(UserError, match="group_size=4 does not divide the 1 examples that each of 8 devices"):
        check_accumulation(make_mesh(sup_config.mesh), sup_config)


def test_fsdp_shards_parameters_and_their_momentum(clip_config):
    clip_config.mesh.fsdp = 4
    _, state, _ = run_steps(clip_config, devices=8, steps=1)
    embedding = state.trainable["text"]["token_embedding"]["embedding"][...]
    assert embedding.addressable_shards[0].data.size * 4 == embedding.size
    moments = [leaf for leaf in jax.tree.leaves(state.opt_state) if leaf.shape == embedding.shape]
    assert len(moments) == 2 and all(m.sharding == embedding.sharding for m in moments)


@pytest.mark.parametrize(
    "frozen",
    [dict(head=True), dict(text=True), dict(paths=("visual",)), dict(paths=("visual.layer1", "text.ln_final"))],
)
def test_a_frozen_part_keeps_its_weights_and_statistics_and_has_no_optimizer_state(frozen, sup_config, clip_config):
    config = sup_config if "head" in frozen else clip_config
    config.head.freeze, config.text.freeze = frozen.get("head", False), frozen.get("text", False)
    config.freeze = frozen.get("paths", ())
    prefixes = [*config.freeze, *["head"] * config.head.freeze, *["text"] * config.text.freeze]
    start, state, _ = run_steps(config)
    before = dict(nnx.to_flat_state(nnx.merge_state(start.trainable, start.frozen, start.batch_stats)))
    after = dict(nnx.to_flat_state(nnx.merge_state(state.trainable, state.frozen, state.batch_stats)))
    moved = {".".join(map(str, p)) for p in after if not np.array_equal(before[p][...], after[p][...])}
    under = {
        ".".join(map(str, p)) for p in after if any((".".join(map(str, p)) + ".").startswith(x + ".") for x in prefixes)
    }
    assert under and not moved & under
    assert any("conv" in path or "text" in path for path in moved)
    slots = 2 if config.optimizer.name == "adamw" else 1
    trained = sum(leaf.size for leaf in jax.tree.leaves(state.trainable))
    held = sum(leaf.size for leaf in jax.tree.leaves(state.opt_state) if leaf.ndim or leaf.dtype == jnp.float32)
    assert trained * slots <= held <= trained * slots + 2  # beside it only step counts


def test_freezing_what_is_not_there_is_an_error(sup_config):
    sup_config.freeze = ("visual.layer9",)
    with pytest.raises(UserError, match="'visual.layer9', but the model has no such part"):
        run_steps(sup_config, steps=0)
    sup_config.freeze = ("visual", "head", "logit_scale")
    with pytest.raises(UserError, match="everything is frozen"):
        run_steps(sup_config, steps=0)


def test_logit_scale_stays_at_most_100(sup_config):
    sup_config.optimizer.learning_rate = 1e4
    _, state, metrics = run_steps(sup_config)
    assert 1 <= metrics["train/logit_scale"] <= 100.001


def test_ema_follows_the_weights(sup_config):
    sup_config.optimizer.ema_decay = 0.75
    start, state, _ = run_steps(sup_config, steps=1)
    for first, now, ema in zip(*map(jax.tree.leaves, (start.trainable, state.trainable, state.ema)), strict=True):
        np.testing.assert_allclose(ema, 0.75 * first + 0.25 * now, rtol=1e-5, atol=1e-7)
    assert state.parts()[0] is state.ema


def test_cosine_by_epoch_and_by_step(sup_config):
    o = sup_config.optimizer
    o.learning_rate, sup_config.total_epochs = 0.4, 4
    by_epoch = learning_rate(sup_config, steps_per_epoch=10)
    np.testing.assert_allclose(
        [by_epoch(step) for step in (0, 9, 10, 20, 39)],
        [0.4 * 0.5 * (1 + np.cos(np.pi * epoch / 4)) for epoch in (0, 0, 1, 2, 3)],
        rtol=1e-6,
    )
    o.schedule, o.warmup_steps = "cosine_steps", 8
    by_step = learning_rate(sup_config, steps_per_epoch=10)
    expected = [
        0.4 * 1 / 8,
        0.4,
        0.4,
        0.4 * 0.5 * (1 + np.cos(np.pi * 16 / 32)),
        0.4 * 0.5 * (1 + np.cos(np.pi * 31 / 32)),
    ]
    np.testing.assert_allclose([by_step(step) for step in (0, 7, 8, 24, 39)], expected, rtol=1e-5)


def test_sgd_is_pytorchs_with_coupled_l2_on_every_parameter(sup_config):
    """v = m v + (g + wd p); p = p - lr v."""
    o = sup_config.optimizer
    o.learning_rate, o.weight_decay, o.momentum, sup_config.total_epochs = 0.1, 0.01, 0.9, 10**6
    optimizer = make_optimizer(sup_config, 10)
    p, v, params = np.array([1.0, -2.0]), np.zeros(2), {"bias": jnp.array([1.0, -2.0])}
    state = optimizer.init(params)
    for g in ([0.5, 0.5], [-1.0, 2.0], [0.3, 0.0]):
        updates, state = optimizer.update({"bias": jnp.array(g)}, state, params)
        params = optax.apply_updates(params, updates)
        v = 0.9 * v + np.array(g) + 0.01 * p
        p = p - 0.1 * v
    np.testing.assert_allclose(params["bias"], p, rtol=1e-6)


def test_nesterov_momentum_is_pytorchs(sup_config):
    """d = g + wd p; v = m v + d; p = p - lr (d + m v)."""
    sup_config.optimizer.update({"learning_rate": 0.1, "weight_decay": 0.01, "momentum": 0.9, "nesterov": True})
    sup_config.total_epochs = 10**6
    optimizer = make_optimizer(sup_config, 10)
    p, v, params = np.array([1.0, -2.0]), np.zeros(2), {"bias": jnp.array([1.0, -2.0])}
    state = optimizer.init(params)
    for g in ([0.5, 0.5], [-1.0, 2.0], [0.3, 0.0]):
        updates, state = optimizer.update({"bias": jnp.array(g)}, state, params)
        params = optax.apply_updates(params, updates)
        d = np.array(g) + 0.01 * p
        v = 0.9 * v + d
        p = p - 0.1 * (d + 0.9 * v)
    np.testing.assert_allclose(params["bias"], p, rtol=1e-6)


def test_a_linear_head_has_the_cross_entropy_of_its_logits_and_no_logit_scale(sup_config):
    """The step of a frozen encoder, whose statistics stand still, is the head's: (p - y) of each example, by hand."""
    sup_config.head.kind, sup_config.freeze = "linear", ("visual",)
    sup_config.optimizer.update({"learning_rate": 1.0, "weight_decay": 0.0, "momentum": 0.0})
    start, state, metrics = run_steps(sup_config, steps=1)
    assert set(state.trainable) == {"head", "bias"} and "train/logit_scale" not in metrics
    weights, bias = (start.trainable[name][...] for name in ("head", "bias"))
    bound = weights.shape[1] ** -0.5
    for drawn in (weights, bias):
        assert np.abs(drawn).max() <= bound and np.std(drawn) == pytest.approx(bound / 3**0.5, rel=0.35)

    graphdef, _, _ = init_state(sup_config, make_optimizer(sup_config, 10), make_mesh(sup_config.mesh), CLASSES)
    model, batch = nnx.merge(graphdef, start.trainable, start.frozen, start.batch_stats), random_batch(False)
    images = jnp.asarray(batch["images"][batch["mask"]])
    features = np.asarray(jax.jit(lambda x: model.encode_image(normalize(x)))(images), np.float64)
    logits = features @ weights.T.astype(np.float64) + bias
    p = scipy.special.softmax(logits, axis=1)
    labels = batch["labels"][batch["mask"]]
    assert metrics["train/loss"] == pytest.approx(-np.log(p[np.arange(len(p)), labels]).mean(), rel=1e-4)
    error = (p - np.eye(CLASSES)[labels]) / len(p)
    np.testing.assert_allclose(state.trainable["bias"][...], bias - error.sum(0), atol=1e-5)
    np.testing.assert_allclose(state.trainable["head"][...], weights - error.T @ features, atol=1e-4)


def test_adamw_decays_matrices_alone(clip_config):
    """With no gradient, a matrix shrinks by lr · wd, and a gain, a bias and the logit scale stay."""
    o = clip_config.optimizer
    o.learning_rate, o.weight_decay, clip_config.total_epochs = 0.1, 0.2, 10**6
    optimizer = make_optimizer(clip_config, 10)
    params = {"kernel": jnp.ones((2, 2)), "scale": jnp.ones(2), "logit_scale": jnp.ones(())}
    updates, _ = optimizer.update(jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params)
    np.testing.assert_allclose(updates["kernel"], -0.1 * 0.2, rtol=1e-6)
    assert not updates["scale"].any() and not updates["logit_scale"].any()


def test_clipping_bounds_the_global_norm(sup_config):
    o = sup_config.optimizer
    o.learning_rate, o.weight_decay, o.clip_norm = 1.0, 0.0, 0.5
    optimizer = make_optimizer(sup_config, 10)
    params = {"a": jnp.zeros(2), "b": jnp.zeros(1)}
    updates, _ = optimizer.update({"a": jnp.array([2.0, 1.0]), "b": jnp.array([2.0])}, optimizer.init(params), params)
    np.testing.assert_allclose(optax.global_norm(updates), 0.5, rtol=1e-6)


def test_the_cosine_may_end_above_0_and_warm_up_by_epochs_within_a_number_of_steps(sup_config):
    o = sup_config.optimizer
    o.update({"learning_rate": 0.4, "final_learning_rate": 0.1, "schedule": "cosine_steps", "warmup_epochs": 2})
    sup_config.total_steps = 28
    schedule = learning_rate(sup_config, steps_per_epoch=4)
    expected = [0.05, 0.4, 0.4, 0.25, 0.1 + 0.3 * 0.5 * (1 + np.cos(np.pi * 19 / 20))]
    np.testing.assert_allclose([schedule(step) for step in (0, 7, 8, 18, 27)], expected, rtol=1e-5)


def updates_of(config, params, gradients, steps_per_epoch=10):
    """The updates of the last of a few steps on parameters that stay where they are."""
    optimizer = make_optimizer(config, steps_per_epoch)
    state = optimizer.init(params)
    for gradient in gradients:
        updates, state = optimizer.update(gradient, state, params)
    return updates


def test_weight_decay_follows_a_cosine_and_spares_vectors_where_told(sup_config):
    o = sup_config.optimizer
    o.update(
        {"learning_rate": 1.0, "weight_decay": 0.4, "final_weight_decay": 0.2, "momentum": 0.0, "decay_vectors": False}
    )
    sup_config.total_epochs = 1
    o.schedule, sup_config.total_steps = "cosine_steps", 8
    params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    nothing = jax.tree.map(jnp.zeros_like, params)
    updates = updates_of(sup_config, params, [nothing] * 5)  # of step 4, halfway: both cosines are at their middle
    np.testing.assert_allclose(updates["kernel"], -0.5 * 0.3, rtol=1e-5)
    assert not updates["bias"].any()


def test_clipping_each_parameter_leaves_the_small_ones_alone(sup_config):
    sup_config.optimizer.update({"learning_rate": 1.0, "weight_decay": 0.0, "clip_each_norm": 3.0})
    params = {"a": jnp.zeros((2, 1)), "b": jnp.zeros(2)}
    updates = updates_of(sup_config, params, [{"a": jnp.array([[6.0], [8.0]]), "b": jnp.array([1.0, 2.0])}])
    np.testing.assert_allclose(updates["a"], [[-1.8], [-2.4]], rtol=1e-5)
    np.testing.assert_allclose(updates["b"], [-1.0, -2.0], rtol=1e-6)


def test_lars_scales_a_matrix_by_its_trust_ratio_and_leaves_vectors_to_sgd(sup_config):
    """d = g + wd p; d *= 0.001 |p| / |d|; v = m v + d; p = p - lr v (You et al., 2017)."""
    sup_config.optimizer.update({"name": "lars", "learning_rate": 2.0, "weight_decay": 0.1, "momentum": 0.5})
    sup_config.total_epochs = 10**6
    params = {"kernel": jnp.array([[3.0, 4.0]]), "bias": jnp.array([1.0, 1.0])}
    gradients = [
        {"kernel": jnp.array([[1.0, 0.0]]), "bias": jnp.array([0.5, 0.0])},
        {"kernel": jnp.array([[0.0, 2.0]]), "bias": jnp.array([0.0, 0.5])},
    ]
    updates = updates_of(sup_config, params, gradients)
    p, v = np.array([[3.0, 4.0]]), 0
    for gradient in ([[1.0, 0.0]], [[0.0, 2.0]]):
        d = np.array(gradient) + 0.1 * p
        v = 0.5 * v + d * 0.001 * 5 / np.linalg.norm(d)
    np.testing.assert_allclose(updates["kernel"], -2 * v, rtol=1e-5)
    np.testing.assert_allclose(updates["bias"], [-2 * 0.25, -2 * 0.5], rtol=1e-6)
