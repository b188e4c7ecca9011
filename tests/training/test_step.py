"""The training step of SL and CLIP against itself on other meshes, and against what its parts do by definition."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special
from flax import nnx

from cliptail_jax.formats.resizing import resize
from cliptail_jax.host.errors import UserError
from cliptail_jax.input.device_crops import crops_of_boxes
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.models.self_attention import SelfAttention
from cliptail_jax.parallel import sharding
from cliptail_jax.parallel.sharding import check_accumulation
from cliptail_jax.planning.synthetic import random_batch
from cliptail_jax.training.initialization import first_state, init_state
from cliptail_jax.training.state import TrainState
from configs import clip, sup
from tests.synthetic import CLASSES, assert_close, masked_noise, mesh_of, sgd_config, synthetic_objective, train_steps

BATCH, RATE = 32, 0.1


@pytest.fixture(scope="module")
def make_config(glyphs_dir):
    """Makes configs of SL of a ResNet, or of CLIP of two transformers."""
    return lambda family, **changes: sgd_config({"sup": sup, "clip": clip}[family], glyphs_dir, **changes)


def train(config, **options):
    return train_steps(config, masked_noise(config), **options)


@pytest.fixture(scope="module")
def plain(make_config):
    """Three float32 steps of each family on one device, with batch statistics of the whole batch."""
    return {family: train(make_config(family), steps=3) for family in ("sup", "clip")}


@pytest.fixture(scope="module")
def grouped_config(make_config):
    """SL with batch statistics of groups of 8, and vocabularies of groups of 16."""
    return make_config("sup", batch_norm__group_size=8, vocabulary__size=5, vocabulary__group_size=16)


@pytest.fixture(scope="module")
def grouped(grouped_config):
    return train(grouped_config)


def first_gradient(states: list[TrainState]) -> np.ndarray:
    """All of it, in float64, from the first update."""
    pairs = zip(*(jax.tree.leaves(state.trainable) for state in states[:2]), strict=True)
    return np.concatenate([(np.float64(old) - np.float64(new)).ravel() / RATE for old, new in pairs])


def placed(value: np.ndarray, array: jax.Array) -> jax.Array:
    """The value where another is: a compiled step takes it."""
    return jax.device_put(value, array.sharding)


# Crops


def batch_of_pictures(config):
    """Smooth pictures of 40 x 60 pixels, as the config's transform makes a batch of them."""
    coarse = np.random.default_rng(0).integers(0, 256, (BATCH, 4, 5, 3), np.uint8)
    pictures = ((slot, resize(image, 40, 60)) for slot, image in enumerate(coarse))
    arrays = synthetic_objective(config).transform(np.arange(BATCH), pictures, epoch=0)
    arrays.pop("reduced", None)
    return masked_noise(config) | arrays


def test_crops_made_in_the_step_are_trained_on_as_images_are(make_config):
    """On eight devices in two micro-batches; compiled with a step, some pixel may round otherwise."""
    data = {"data__resize": "step", "data__canvas": 64, "data__crop_scale": (0.3, 1.0), "data__shift": 0}
    config = make_config("clip", data__flip=True, **data)
    batch = batch_of_pictures(config)
    make = jax.jit(crops_of_boxes, static_argnums=3)
    crops = np.asarray(make(batch["images"], batch["boxes"], batch["flips"], 32))
    images = {name: array for name, array in batch.items() if name not in ("boxes", "flips")}
    expected = train_steps(config, images | {"images": crops}, steps=1)
    config.accumulate_steps = 2
    run = train_steps(config, batch, steps=1, devices=8)
    for name in ("train/loss", "train/grad_norm"):
        np.testing.assert_allclose(run.metrics[0][name], expected.metrics[0][name], rtol=1e-3)


# On other meshes


def test_the_first_state_is_the_same_on_any_devices(make_config, plain):
    objective = synthetic_objective(make_config("clip"))
    _, state, _ = init_state(objective, objective.make_optimizer(), mesh_of(8, 4), objective.config.seed)
    jax.tree.map(np.testing.assert_array_equal, by_path(state.trainable), by_path(plain["clip"].states[0].trainable))


def test_groups_over_devices_compute_what_they_do_on_one(grouped, grouped_config):
    """A device has 4 examples; parameters are sharded."""
    assert_close(train(grouped_config, devices=8, fsdp=4), grouped, rtol=1e-4)  # some processors round by 4e-5


def test_an_update_that_devices_share_computes_what_each_would(make_config, plain, monkeypatch):
    monkeypatch.setattr(sharding, "SMALL", 0)
    sharded_run = train(make_config("clip", optimizer__shard=True), steps=3, devices=8, fsdp=4)
    assert_close(sharded_run, plain["clip"])
    state = sharded_run.states[-1]
    embedding = state.trainable["text"]["token_embedding"]["embedding"][...]
    assert embedding.addressable_shards[0].data.size * 4 == embedding.size
    moments = [leaf for leaf in jax.tree.leaves(state.opt_state) if leaf.shape == embedding.shape]
    assert len(moments) == 1 and moments[0].addressable_shards[0].data.size * 8 == embedding.size


def test_muon_computes_the_same_where_devices_share_the_update(make_config, monkeypatch):
    """A device has a part of each momentum; orthogonalization needs all of it."""
    monkeypatch.setattr(sharding, "SMALL", 0)
    config = make_config("sup", optimizer__name="muon", optimizer__learning_rate=0.01)
    alone = train(config, steps=3)
    config.optimizer.shard = True
    assert_close(train(config, steps=3, devices=8), alone, rtol=1e-4)


def test_activations_that_are_computed_again_give_the_same_gradients_and_statistics_of_the_batch(make_config, plain):
    plain_run, remat_run = plain["sup"], train(make_config("sup", model__remat="blocks"), steps=1)
    gradient = first_gradient(plain_run.states)
    np.testing.assert_allclose(first_gradient(remat_run.states), gradient, atol=1e-6 * np.abs(gradient).max())
    for a, b in zip(*(jax.tree.leaves(x.states[1].batch_stats) for x in (remat_run, plain_run)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_accumulated_micro_batches_compute_what_one_batch_does_on_any_number_of_devices(
    plain, grouped, grouped_config, make_config
):
    """Groups lie within a device's share of a micro-batch, of two devices 8 examples."""
    assert_close(train(make_config("clip", accumulate_steps=4), steps=3), plain["clip"])
    grouped_config = grouped_config.copy_and_resolve_references()
    grouped_config.accumulate_steps = 2
    assert_close(train(grouped_config, devices=2), grouped, rtol=1e-4)  # as above


def test_groups_that_a_micro_batch_would_tear_are_refused():
    with pytest.raises(UserError, match="group_size=4 does not divide the 2 examples that each of 8 devices"):
        check_accumulation(mesh_of(8), batch_size=32, accumulate_steps=2, group_size=4)


# What a step does


@pytest.mark.parametrize("family", ["sup", "clip"])
def test_masked_examples_have_no_part_in_a_step(family, plain):
    """Batch statistics, loss and gradient are those of the others, whatever the masked ones show."""
    run = plain[family]
    images, mask = (np.asarray(run.batch[name]) for name in ("images", "mask"))
    blank = np.where(mask[:, None, None, None], images, 77).astype(np.uint8)
    assert not np.array_equal(blank, images)
    state, _ = run.step(run.states[0], run.batch | {"images": placed(blank, run.batch["images"])})
    expected = run.states[1]
    for part in ("trainable", "batch_stats"):
        for a, b in zip(*(jax.tree.leaves(getattr(s, part)) for s in (state, expected)), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("family", ["sup", "clip"])
def test_logit_scale_stays_between_1_and_100(family, plain):
    run = plain[family]
    nothing = run.batch | {"mask": placed(np.zeros(BATCH, bool), run.batch["mask"])}  # for the gradient to be 0
    for scale, limited in ((6.0, 100), (2.0, np.exp(2)), (-1.0, 1)):
        state = jax.tree.map(lambda leaf: leaf, run.states[0])
        state.trainable["logit_scale"] = state.trainable["logit_scale"].replace(
            placed(np.float32(scale), state.trainable["logit_scale"][...])
        )
        state, metrics = run.step(state, nothing)
        assert metrics["train/logit_scale"] == pytest.approx(limited, rel=1e-5)
        assert state.trainable["logit_scale"][...] == pytest.approx(np.log(limited), rel=1e-5)


def test_ema_is_the_average_in_exact_arithmetic(plain):
    states = plain["sup"].states
    exact = jax.tree.map(np.float64, states[0].trainable)
    for state in states[1:]:
        exact = jax.tree.map(lambda average, params: 0.75 * average + 0.25 * np.float64(params), exact, state.trainable)
    for average, expected in zip(*map(jax.tree.leaves, (states[-1].ema, exact)), strict=True):
        np.testing.assert_allclose(average, expected, rtol=1e-6, atol=1e-7)
    assert states[-1].parts()[0] is states[-1].ema


def test_bfloat16_computes_nearly_the_same_and_keeps_everything_that_lasts_in_float32(plain, make_config):
    half = train(make_config("sup", model__dtype="bfloat16"))
    for state in half.states:
        parts = (state.trainable, state.batch_stats, state.opt_state, state.ema)
        assert {leaf.dtype for leaf in jax.tree.leaves(parts)} <= {np.dtype("float32"), np.dtype("int32")}
    for name in ("train/loss", "train/grad_norm"):
        assert all(metrics[name].dtype == np.float32 and np.isfinite(metrics[name]) for metrics in half.metrics)
        np.testing.assert_allclose(half.metrics[0][name], plain["sup"].metrics[0][name], rtol=0.02)
    gradient, rounded = first_gradient(plain["sup"].states), first_gradient(half.states)
    error = np.linalg.norm(rounded - gradient) / np.linalg.norm(gradient)
    assert 1e-4 < error < 0.15  # with no error at all, nothing was computed in bfloat16


def test_a_linear_head_has_the_cross_entropy_of_its_logits_and_no_logit_scale(make_config):
    """The step of a frozen encoder, whose statistics stand still, is the head's: (p - y) of each example, by hand.

    It is clipped to about half its norm, which is logged as it was.
    """
    config = make_config("sup", head__kind="linear", freeze=("visual",), optimizer__learning_rate=1.0)
    config.optimizer.clip_norm = 0.125
    run = train(config, steps=1)
    (start, end), (metrics,) = run.states, run.metrics
    assert set(end.trainable) == {"head", "bias"} and "train/logit_scale" not in metrics
    for old, new in zip(*(jax.tree.leaves((s.frozen, s.batch_stats)) for s in (start, end)), strict=True):
        np.testing.assert_array_equal(old, new)
    weights, bias = (start.trainable[name][...] for name in ("head", "bias"))
    bound = weights.shape[1] ** -0.5
    for initial in (weights, bias):
        assert np.abs(initial).max() <= bound and np.std(initial) == pytest.approx(bound / 3**0.5, rel=0.35)

    objective = synthetic_objective(config)
    graphdef, *_ = first_state(objective, objective.make_optimizer())
    model, batch = nnx.merge(graphdef, start.trainable, start.frozen, start.batch_stats), masked_noise(config)
    images = jnp.asarray(batch["images"][batch["mask"]])
    features = np.asarray(jax.jit(lambda x: model.encode_image(Preprocess(32).normalize(x)))(images), np.float64)
    logits = features @ np.float64(weights).T + bias
    p = scipy.special.softmax(logits, axis=1)
    labels = batch["labels"][batch["mask"]]
    assert metrics["train/loss"] == pytest.approx(-np.log(p[np.arange(len(p)), labels]).mean(), rel=1e-4)
    error = (p - np.eye(CLASSES)[labels]) / len(p)
    gradients = {"bias": error.sum(0), "head": error.T @ features}
    norm = np.sqrt(sum(np.sum(gradient**2) for gradient in gradients.values()))
    assert norm > 0.125 and metrics["train/grad_norm"] == pytest.approx(norm, rel=1e-4)
    for name, gradient in gradients.items():
        update = end.trainable[name][...] - start.trainable[name][...]
        np.testing.assert_allclose(update, -0.125 * gradient / norm, atol=1e-4 * np.abs(gradient).max())


# Frozen parts


def by_path(*parts: nnx.State) -> dict[str, np.ndarray]:
    flat = nnx.to_flat_state(nnx.merge_state(*parts))
    return {".".join(map(str, path)): np.asarray(variable[...]) for path, variable in flat}


def test_frozen_parts_keep_weights_and_statistics_and_have_no_optimizer_state(make_config, tmp_path):
    head = np.random.default_rng(1).normal(size=(CLASSES, 24)).astype(np.float32)
    np.save(tmp_path / "head.npy", head)
    changes = {"head__freeze": True, "head__init": str(tmp_path / "head.npy"), "freeze": ("visual.layer1",)}
    config = make_config("sup", **changes, optimizer__sgd__momentum=0.9, optimizer__weight_decay=0.1)
    run = train(config)
    start, end = (by_path(s.trainable, s.frozen, s.batch_stats) for s in (run.states[0], run.states[-1]))
    frozen = [path for path in start if path.startswith(("head", "visual.layer1."))]
    assert [path for path in start if np.array_equal(start[path], end[path])] == frozen
    np.testing.assert_array_equal(end["head"], head)
    assert any("layer1" in path and "mean" in path for path in start)
    end_state = run.states[-1]
    momenta = [leaf.shape for leaf in jax.tree.leaves(end_state.opt_state) if leaf.dtype == jnp.float32]
    averages, parameters = (
        [leaf.shape for leaf in jax.tree.leaves(part)] for part in (end_state.ema, end_state.trainable)
    )
    assert momenta == averages == parameters


def test_freezing_what_is_not_there_is_an_error(make_config):
    for freeze, complaint in (
        (("visual.layer9",), "'visual.layer9', but the model has no such part"),
        (("visual", "head", "logit_scale"), "everything is frozen"),
    ):
        with pytest.raises(UserError, match=complaint):
            train(make_config("sup", freeze=freeze), steps=0)


def test_a_run_of_plain_attention_uses_no_kernel(make_config):
    for attention in ("auto", "plain"):
        objective = synthetic_objective(make_config("clip", model__attention=attention))
        graphdef, shapes, _ = first_state(objective, optax.identity())
        model = nnx.merge(graphdef, *shapes.parts())
        plain = [module.plain for _, module in nnx.iter_modules(model) if isinstance(module, SelfAttention)]
        assert plain == [attention == "plain"] * len(plain) and len(plain) > 1


@pytest.mark.parametrize(("tower", "stages"), [("basic_resnet", 3), ("modified_resnet", 4)])
def test_bfloat16_activations_of_convolutions_are_never_kept_as_float32(tower, stages, sup_config):
    sup_config.model.dtype = "bfloat16"
    sup_config.model.image.update({"name": tower, "layers": (1,) * stages, "heads": 4, "width": 4})
    objective = synthetic_objective(sup_config)
    graphdef, shapes, _ = first_state(objective, optax.identity())

    def kept(params, frozen, batch_stats, batch):
        def encode(params):
            model = nnx.merge(graphdef, params, frozen, batch_stats, copy=True)
            return objective.encode(model, batch, jax.random.key(0))

        return jax.vjp(encode, params)[1]  # whose leaves are the residuals

    batch = random_batch(objective, sup_config.batch_size, CLASSES)
    residuals = jax.tree.leaves(jax.eval_shape(kept, shapes.trainable, shapes.frozen, shapes.batch_stats, batch))
    activations = [x for x in residuals if x.ndim == 4 and x.shape[0] == sup_config.batch_size]
    assert len(activations) > 10
    assert {x.dtype for x in activations} <= {jnp.dtype("bfloat16"), jnp.dtype(bool)}
