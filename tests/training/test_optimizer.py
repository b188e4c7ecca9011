"""Learning rates and optimizers against their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cliptail_jax.objectives import base_config
from cliptail_jax.training.initialization import first_state
from cliptail_jax.training.optimizer import FrozenUntil, learning_rate, make_optimizer, warmup_steps, warmup_warning
from configs import clip
from tests.synthetic import sections, synthetic_objective


@pytest.fixture
def config():
    """SGD without weight decay or momentum at a rate that does not change within a test."""
    config = base_config()
    config.total_epochs = 10**6
    config.optimizer.update({"learning_rate": 0.1, "weight_decay": 0.0, "sgd": {"momentum": 0.0}})
    return config


def rates(config, steps, steps_per_epoch):
    schedule = synthetic_objective(config, steps_per_epoch).schedule
    return [float(schedule(step)) for step in steps]


def updates_of(config, params, gradients):
    """The updates of the last of a few steps on parameters that stay where they are."""
    optimizer = synthetic_objective(config).make_optimizer()
    state = optimizer.init(params)
    for gradient in gradients:
        updates, state = optimizer.update(gradient, state, params)
    return updates


def test_cosine_by_epoch_and_by_step(config):
    o = config.optimizer
    o.learning_rate, config.total_epochs = 0.4, 4
    expected = [0.4 * 0.5 * (1 + np.cos(np.pi * epoch / 4)) for epoch in (0, 0, 1, 2, 3)]
    np.testing.assert_allclose(rates(config, (0, 9, 10, 20, 39), 10), expected, rtol=1e-6)
    o.schedule, o.warmup_steps = "cosine_steps", 8
    decayed = [0.4 * 0.5 * (1 + np.cos(np.pi * step / 32)) for step in (0, 16, 31)]
    np.testing.assert_allclose(rates(config, (0, 7, 8, 24, 39), 10), [0.4 * 1 / 8, 0.4, *decayed], rtol=1e-5)


def test_the_cosine_may_end_above_0_and_warm_up_by_epochs_within_a_number_of_steps(config):
    config.optimizer.update(
        {"learning_rate": 0.4, "final_learning_rate": 0.1, "schedule": "cosine_steps", "warmup_epochs": 2}
    )
    config.total_steps = 28
    expected = [0.05, 0.4, 0.4, 0.25, 0.1 + 0.3 * 0.5 * (1 + np.cos(np.pi * 19 / 20))]
    np.testing.assert_allclose(rates(config, (0, 7, 8, 18, 27), 4), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("fields", "share", "steps", "warmup"),
    [
        ({"warmup_steps": 100}, 0.2, 150, 30),
        ({"warmup_steps": 100}, 0.2, 600, 100),
        ({"warmup_epochs": 10}, 0.2, 150, 30),
        ({"warmup_steps": 100}, 0.2, 4, 1),
        ({}, 0.2, 150, 0),
        ({"warmup_steps": 100}, 0.0, 150, 100),
    ],
)
def test_warm_up_takes_a_share_of_the_steps_at_most(fields, share, steps, warmup, config):
    config.optimizer.update(fields | {"schedule": "constant", "max_warmup_share": share})
    config.total_steps = steps
    assert warmup_steps(sections(config).optimizer, 10, steps) == warmup
    is_full = [rate == pytest.approx(0.1) for rate in rates(config, range(steps), 10)]
    assert is_full.index(True) == max(warmup - 1, 0)


def test_a_constant_rate_may_fall_along_a_power_of_the_steps_that_are_left(config):
    o = config.optimizer
    o.update({"learning_rate": 0.4, "schedule": "constant", "warmup_steps": 4})
    config.total_steps = 40
    assert rates(config, (0, 3, 4, 39), 10) == pytest.approx([0.1, 0.4, 0.4, 0.4])
    o.update({"cooldown": 0.25, "cooldown_power": 2.0, "final_learning_rate": 0.1})
    assert rates(config, (29, 30, 35, 39), 10) == pytest.approx([0.4, 0.4, 0.1 + 0.3 * 0.25, 0.1 + 0.3 * 0.01])


@pytest.mark.parametrize(
    ("fields", "steps", "says"),
    [
        ({"warmup_steps": 100}, 200, ""),
        ({"warmup_steps": 100}, 199, "rises in 100 of 199 steps: set a smaller optimizer.warmup_steps"),
        ({"warmup_epochs": 4}, 10, "rises in 10 of 10 steps and reaches 25% of optimizer.learning_rate: set a smaller"),
    ],
)
def test_a_run_that_is_mostly_warm_up_is_noted(fields, steps, says, config):
    config.optimizer.update(fields)
    objective = synthetic_objective(config, steps_per_epoch=10)
    warning = warmup_warning(objective.config.optimizer, 10, steps)
    assert says in warning and bool(says) == bool(warning)
    if "25%" in says:
        assert float(objective.schedule(steps - 1)) == pytest.approx(0.25 * config.optimizer.learning_rate)


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_is_pytorchs_with_coupled_l2_on_every_parameter(nesterov, config):
    """d = g + wd p; v = m v + d; p = p - lr v, and of Nesterov p - lr (d + m v)."""
    config.optimizer.update({"weight_decay": 0.01, "sgd": {"momentum": 0.9, "nesterov": nesterov}})
    p, v, gradients = np.array([1.0, -2.0]), 0, np.array([[0.5, 0.5], [-1.0, 2.0], [0.3, 0.0]])
    updates = updates_of(config, {"bias": jnp.array(p)}, [{"bias": jnp.array(g)} for g in gradients])
    for g in gradients:
        d = g + 0.01 * p
        v = 0.9 * v + d
    np.testing.assert_allclose(updates["bias"], -0.1 * (d + 0.9 * v if nesterov else v), rtol=1e-6)


@pytest.mark.parametrize("name", ["adamw", "lion"])
def test_decoupled_decay_is_of_matrices_alone(name, config):
    """With no gradient, a matrix shrinks by lr · wd, and a gain, a bias and the logit scale stay."""
    config.optimizer.update({"name": name, "weight_decay": 0.2})
    params = {"kernel": jnp.ones((2, 2)), "scale": jnp.ones(2), "logit_scale": jnp.ones(())}
    updates = updates_of(config, params, [jax.tree.map(jnp.zeros_like, params)])
    np.testing.assert_allclose(updates["kernel"], -0.1 * 0.2, rtol=1e-6)
    assert not updates["scale"].any() and not updates["logit_scale"].any()


def test_tables_of_positions_may_be_spared_except_in_the_pooling_of_a_resnet(config):
    """The parameters that open_clip's modules name in `no_weight_decay`, and BERT's tables in `no_weight_decay_patterns`."""
    config.optimizer.update({"name": "adamw", "weight_decay": 0.2, "decay_positions": False})
    matrix = jnp.ones((2, 2))
    spared = {"text": {"positional_embedding": matrix}, "bert": {"position_embeddings": {"embedding": matrix}}}
    decayed = {"attnpool": {"positional_embedding": matrix}, "token_embedding": {"embedding": matrix}}
    params = {"spared": spared, "decayed": decayed}
    updates = updates_of(config, params, [jax.tree.map(jnp.zeros_like, params)])
    assert not any(leaf.any() for leaf in jax.tree.leaves(updates["spared"]))
    for leaf in jax.tree.leaves(updates["decayed"]):
        np.testing.assert_allclose(leaf, -0.1 * 0.2, rtol=1e-6)


def test_held_parameters_start_from_their_own_count_at_the_schedules_current_values(config):
    """As in PyTorch, where a parameter without a gradient is skipped: m = v = 0 and t = 1 at its first update."""
    steps = 84
    config.optimizer.update({"name": "adamw", "weight_decay": 0.4, "final_weight_decay": 0.2, "clip_norm": 1.0})
    config.optimizer.update({"schedule": "cosine_steps", "warmup_steps": 0})
    total, b1, b2, eps = 100, 0.9, 0.999, 1e-8
    schedule = learning_rate(sections(config).optimizer, 10, total)
    optimizer = make_optimizer(sections(config).optimizer, schedule, total, FrozenUntil("head.prototypes", steps))
    params = {"head": {"prototypes": jnp.ones((1, 2)), "kernel": jnp.ones((1, 2))}}
    state, random = optimizer.init(params), np.random.default_rng(0)
    direct = {name: [np.ones((1, 2)), 0.0, 0.0, 0] for name in params["head"]}
    update = jax.jit(optimizer.update)
    for step in range(steps + 4):
        gradients = {name: random.normal(size=(1, 2)) for name in sorted(direct)}
        updates, state = update({"head": jax.tree.map(jnp.asarray, gradients)}, state, params)
        params = optax.apply_updates(params, updates)
        norm = np.sqrt(sum((g**2).sum() for g in gradients.values()))  # of all gradients, also the held one
        half = 0.5 * (1 + np.cos(np.pi * step / total))
        for name, (p, m, v, t) in direct.items():
            if name == "kernel" or step >= steps:
                g, t = gradients[name] / max(norm, 1), t + 1
                m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
                moved = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
                direct[name] = [p - 0.1 * half * (moved + (0.2 + 0.2 * half) * p), m, v, t]
            np.testing.assert_allclose(params["head"][name], direct[name][0], rtol=1e-4, atol=1e-5)


def test_lars_scales_a_matrix_by_its_trust_ratio_and_leaves_vectors_to_sgd(config):
    """d = g + wd p; d *= 0.001 |p| / |d|; v = m v + d; p = p - lr v (You et al., 2017)."""
    config.optimizer.update({"name": "lars", "learning_rate": 2.0, "weight_decay": 0.1, "lars": {"momentum": 0.5}})
    params = {"kernel": jnp.array([[3.0, 4.0]]), "bias": jnp.array([1.0, 1.0])}
    gradients = [
        {"kernel": jnp.array([[1.0, 0.0]]), "bias": jnp.array([0.5, 0.0])},
        {"kernel": jnp.array([[0.0, 2.0]]), "bias": jnp.array([0.0, 0.5])},
    ]
    updates = updates_of(config, params, gradients)
    p, v = np.array([[3.0, 4.0]]), 0
    for gradient in ([[1.0, 0.0]], [[0.0, 2.0]]):
        d = np.array(gradient) + 0.1 * p
        v = 0.5 * v + d * 0.001 * 5 / np.linalg.norm(d)
    np.testing.assert_allclose(updates["kernel"], -2 * v, rtol=1e-5)
    np.testing.assert_allclose(updates["bias"], [-2 * 0.25, -2 * 0.5], rtol=1e-6)


def test_weight_decay_follows_a_cosine_and_spares_vectors_where_the_config_says_so(config):
    config.optimizer.update({"learning_rate": 1.0, "weight_decay": 0.4, "final_weight_decay": 0.2})
    config.optimizer.update({"sgd": {"decay_vectors": False}, "schedule": "cosine_steps"})
    config.total_steps = 8
    params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    nothing = jax.tree.map(jnp.zeros_like, params)
    updates = updates_of(config, params, [nothing] * 5)  # of step 4, halfway: both cosines are at their middle
    np.testing.assert_allclose(updates["kernel"], -0.5 * 0.3, rtol=1e-5)
    assert not updates["bias"].any()


def test_lion_moves_by_the_sign_of_its_momentum(config):
    """u = sign(b1 m + (1 - b1) g); m = b2 m + (1 - b2) g; p = p - lr (u + wd p) (Chen et al., 2023, algorithm 2)."""
    b1, b2 = 0.5, 0.75
    config.optimizer.update({"name": "lion", "weight_decay": 0.5, "lion": {"b1": b1, "b2": b2}})
    p, *gradients = np.random.default_rng(0).normal(size=(4, 2, 3))
    updates = updates_of(config, {"kernel": jnp.asarray(p)}, [{"kernel": jnp.asarray(g)} for g in gradients])
    m = 0
    for g in gradients:
        u, m = np.sign(b1 * m + (1 - b1) * g), b2 * m + (1 - b2) * g
    np.testing.assert_allclose(updates["kernel"], -0.1 * (u + 0.5 * p), rtol=1e-5)


def newton_schulz(x):
    """Jordan et al. (2024): the singular values of x, at most 1, go five times through 3.4445 s - 4.7750 s³ + 2.0315 s⁵."""
    u, s, v = np.linalg.svd(x / np.linalg.norm(x), full_matrices=False)
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return u * s @ v


@pytest.mark.parametrize("frozen_steps", [0, 2])
def test_muon_leaves_all_but_hidden_matrices_to_adamw(frozen_steps, config):
    """m = b m + (1 - b) g; M = b m / (1 - b^(t+1)) + (1 - b) g / (1 - b^t); p = p - lr (0.2 √max(n, k) NS(M) + wd p).

    A convolution's kernel is a matrix [n = height width in, k = out]. A head that is frozen for two steps has none of them.
    """
    b, b1, b2, eps, decay = 0.75, 0.5, 0.9, 1e-3, 0.5
    config.optimizer.update({"name": "muon", "weight_decay": decay, "muon": {"momentum": b}})
    config.optimizer.adamw.update({"b1": b1, "b2": b2, "eps": eps})
    shapes = {"stem.kernel": (2, 2, 3, 4), "conv.kernel": (2, 2, 4, 6), "norm.scale": (5,), "tokens.embedding": (6, 4)}
    shapes |= {"fc.kernel": (8, 12), "head.weight": (4, 6)}
    random = np.random.default_rng(0)
    direct = {path: [random.normal(size=shape), 0.0, 0.0, 0] for path, shape in shapes.items()}

    def as_params(arrays):
        split = ((*path.split("."), jnp.asarray(x, jnp.float32)) for path, x in arrays.items())
        return {part: {name: x} for part, name, x in split}

    params = as_params({path: p for path, (p, *_) in direct.items()})
    frozen = FrozenUntil("head.weight", frozen_steps) if frozen_steps else None
    optimizer = make_optimizer(sections(config).optimizer, lambda _: 0.1, 10, frozen)
    state, update = optimizer.init(params), jax.jit(optimizer.update)
    for step in range(4):
        gradients = {path: random.normal(size=shape) for path, shape in shapes.items()}
        updates, state = update(as_params(gradients), state, params)
        params = optax.apply_updates(params, updates)
        for path, (p, m, v, t) in direct.items():
            if path == "head.weight" and step < frozen_steps:
                continue
            g, t = gradients[path], t + 1
            if path in ("conv.kernel", "fc.kernel"):
                m = b * m + (1 - b) * g
                nesterov = (b * m / (1 - b ** (t + 1)) + (1 - b) * g / (1 - b**t)).reshape(-1, p.shape[-1])
                moved = 0.2 * np.sqrt(max(nesterov.shape)) * newton_schulz(nesterov).reshape(p.shape)
            else:
                m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
                moved = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
            direct[path] = [p - 0.1 * (moved + decay * p * (p.ndim >= 2)), m, v, t]
    expected = as_params({path: p for path, (p, *_) in direct.items()})
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), params, expected)


def test_muon_has_the_hidden_matrices_of_a_model():
    """In CLIP with the ResNet for small images all kernels, but for the first convolution."""
    config = clip.get_config("data=glyphs_lt")
    config.optimizer.name = "muon"
    objective = synthetic_objective(config)
    state = first_state(objective, objective.make_optimizer())[1]
    owners = {owner: paths_of(rule.inner_state, ".mu") for owner, rule in state.opt_state[0].inner_states.items()}
    parameters = paths_of(state.trainable)
    assert owners["muon"] == {path for path in parameters if "kernel" in path} - {"['visual']['conv1']['kernel'].value"}
    assert owners["adam"] == parameters - owners["muon"]


def paths_of(tree, attribute=""):
    """The paths of a tree's leaves, without the path up to `attribute`, for those that have it."""
    paths = (jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(tree))
    return {path.partition(attribute)[2] if attribute else path for path in paths} - {""}
