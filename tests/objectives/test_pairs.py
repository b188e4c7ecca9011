"""The losses over all pairs of a batch, CLIP's and SigLIP's, against their definitions in float64."""

import functools
import json
import math
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.extend.core import jaxprs_in_params

from cliptail_jax.config.zero_shot import typed_config
from cliptail_jax.jobs.evaluate import evaluate, evaluate_models
from cliptail_jax.objectives import make_objective
from cliptail_jax.objectives.contrastive import contrastive_loss, first_equal
from cliptail_jax.objectives.image_text import cut_ids, longest_caption
from cliptail_jax.objectives.pairs import number_of_blocks
from cliptail_jax.objectives.sigmoid import sigmoid_loss
from cliptail_jax.planning.synthetic import synthetic_variant
from cliptail_jax.pretrained.export import export
from cliptail_jax.pretrained.model import open_model
from cliptail_jax.pretrained.published_clip import load
from configs import clip, zero_shot
from tests.synthetic import (
    CLASSES,
    assert_close,
    masked_noise,
    mesh_of,
    sections,
    sgd_config,
    train_steps,
    trained_anew,
)

BATCH, DIM = 24, 5
FULL_MASK = np.ones(BATCH, bool)
MASKED = np.arange(BATCH) % 7 != 3
MASKED[12:15] = False  # all rows of a device


def features():
    return np.random.default_rng(0).normal(size=(2, BATCH, DIM)).astype(np.float32)


def direct_contrastive(images, texts, scale, mask, text_to_image=True):
    """Over the kept pairs alone."""
    images, texts = (x[mask] / jnp.linalg.norm(x[mask], axis=1, keepdims=True) for x in (images, texts))
    logits = jnp.exp(scale) * images @ texts.T
    own_logits = jnp.diag(logits)
    text_losses = jnp.log(jnp.exp(logits).sum(1)) - own_logits
    image_losses = jnp.log(jnp.exp(logits).sum(0)) - own_logits
    return ((text_losses + image_losses) / 2 if text_to_image else text_losses).mean()


TEXTS = np.random.default_rng(1).integers(9, size=BATCH)
FIRST = np.array([np.flatnonzero(MASKED & (TEXTS == text))[0] for text in TEXTS])


def direct_once(images, texts, scale, mask):
    """Images are compared with the distinct texts, which have equal features, and texts with all images."""
    images, texts = images[mask], texts[FIRST[mask]]
    images, texts = (x / jnp.linalg.norm(x, axis=1, keepdims=True) for x in (images, texts))
    logits = jnp.exp(scale) * images @ texts.T
    distinct = [np.flatnonzero(TEXTS[mask] == text)[0] for text in np.unique(TEXTS[mask])]
    own_logits, text_sums = jnp.diag(logits), jnp.exp(logits[:, np.array(distinct)]).sum(1)
    return (jnp.log(text_sums) / 2 + jnp.log(jnp.exp(logits).sum(0)) / 2 - own_logits).mean()


def direct_dropped(images, texts, scale, mask):
    images, texts = (x[mask] / jnp.linalg.norm(x[mask], axis=1, keepdims=True) for x in (images, texts))
    logits = jnp.exp(scale) * images @ texts.T
    is_compared = (TEXTS[mask][:, None] != TEXTS[mask]) | np.eye(len(mask), dtype=bool)
    exponentials = jnp.where(is_compared, jnp.exp(logits), 0)
    sums = jnp.log(exponentials.sum(0)) / 2 + jnp.log(exponentials.sum(1)) / 2
    return (sums - jnp.diag(logits)).mean()


def repeated(mode):
    """CLIP's loss with texts that are equal where `TEXTS` are."""

    def loss(images, texts, scale, valid, mesh, block):
        ids = first_equal(jnp.asarray(TEXTS)[:, None], valid)
        texts = texts[FIRST] if mode == "once" else texts
        return contrastive_loss(images, texts, scale, valid, mesh, block, True, ids, mode)

    return loss


def direct_sigmoid(images, texts, scale, bias, mask):
    """−log σ(z (t cos + b)) over the kept pairs, z = 1 for those that match and −1 for all others."""
    images, texts = (x[mask] / jnp.linalg.norm(x[mask], axis=1, keepdims=True) for x in (images, texts))
    z = 2 * np.eye(len(mask)) - 1
    return jnp.log1p(jnp.exp(-z * (jnp.exp(scale) * images @ texts.T + bias))).sum() / len(mask)


CASES = {
    "contrastive": (contrastive_loss, direct_contrastive, (0.0,), {}, (1, 1, 0, FULL_MASK)),
    "contrastive in blocks": (contrastive_loss, direct_contrastive, (4.6,), {}, (8, 2, 7, MASKED)),
    "one direction": (contrastive_loss, direct_contrastive, (1.0,), {"text_to_image": False}, (8, 1, 7, MASKED)),
    "each text once": (repeated("once"), direct_once, (2.0,), {}, (8, 2, 7, MASKED)),
    "repeated texts dropped": (repeated("dropped"), direct_dropped, (2.0,), {}, (8, 2, 7, MASKED)),
    "sigmoid": (sigmoid_loss, direct_sigmoid, (np.log(10), -10.0), {}, (1, 1, 0, FULL_MASK)),
    "sigmoid in blocks": (sigmoid_loss, direct_sigmoid, (3.0, 2.0), {}, (8, 2, 5, MASKED)),
}


@pytest.mark.parametrize("case", CASES)
def test_loss_and_gradient_equal_the_definition_on_any_devices_and_in_blocks(case):
    """Masked pairs are neither examples nor negatives, and so have no gradient."""
    loss, direct, scalars, options, (devices, fsdp, block, valid) = CASES[case]
    arrays, mesh = (*features(), *map(np.float32, scalars)), mesh_of(devices, fsdp)
    loss_of = lambda *args: loss(*args, jnp.asarray(valid), mesh, block, **options)  # noqa: E731
    places = tuple(range(len(arrays)))
    value_and_gradients = jax.jit(jax.value_and_grad(loss_of, places))(*arrays)
    with jax.enable_x64(True):
        exact = lambda *args: direct(*args, np.flatnonzero(valid), **options)  # noqa: E731
        expected = jax.value_and_grad(exact, places)(*(jnp.asarray(x, jnp.float64) for x in arrays))
    np.testing.assert_allclose(value_and_gradients[0], expected[0], rtol=1e-6)
    for a, b in zip(value_and_gradients[1], expected[1], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6 * np.abs(b).max(), rtol=1e-5)


LOSSES = {"contrastive": (contrastive_loss, 1), "sigmoid": (sigmoid_loss, 2)}  # with the number of scalars


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_without_pairs_has_loss_zero_and_a_finite_gradient(name):
    (images, texts), (loss, scalars) = jnp.asarray(features()), LOSSES[name]
    mask = jnp.zeros(BATCH, bool)
    loss_of = lambda x: loss(x, texts, *[jnp.float32(1)] * scalars, mask, mesh_of(8))  # noqa: E731
    value, gradient = jax.jit(jax.value_and_grad(loss_of))(images)
    assert value == 0 and not np.any(gradient)


def sizes(jaxpr, on_device=False):
    """Of all arrays that a device computes in the `shard_map`s of a program."""
    for equation in jaxpr.eqns:
        inside = on_device or equation.primitive.name == "shard_map"
        if on_device:
            yield from (math.prod(variable.aval.shape) for variable in equation.outvars)
        for inner in jaxprs_in_params(equation.params):
            yield from sizes(inner, inside)


@pytest.mark.parametrize("name", LOSSES)
def test_no_array_of_loss_or_gradient_is_larger_than_rows_by_block(name):
    (loss, scalars), batch, devices, block = LOSSES[name], 256, 8, 16
    loss_of = lambda *args: loss(*args, jnp.ones(batch, bool), mesh_of(devices), block)  # noqa: E731
    pairs = jax.ShapeDtypeStruct((batch, 2), jnp.float32)
    shapes = (pairs, pairs, *[jax.ShapeDtypeStruct((), jnp.float32)] * scalars)
    array_sizes = list(sizes(jax.make_jaxpr(jax.value_and_grad(loss_of, tuple(range(len(shapes)))))(*shapes).jaxpr))
    assert batch * 2 in array_sizes  # the gathered features
    assert max(array_sizes) == batch // devices * block


@pytest.mark.parametrize(
    "rows, batch, block, blocks", [(128, 1024, 300, 4), (12, 48, 7, 8), (1024, 2**20, 0, 32), (5, 5, 9, 1)]
)
def test_blocks_are_equal_and_no_larger_than_asked(rows, batch, block, blocks):
    assert number_of_blocks(rows, batch, block) == blocks


def letters(context, texts):
    """One id a letter, and 99 at the end, as a tokenizer of this context has them."""
    ids = np.zeros((len(texts), context), np.int32)
    for row, text in zip(ids, texts):
        end = min(len(text), context - 1)
        row[:end], row[end] = 1, 99
    return ids


@pytest.mark.parametrize("context, length", [(77, 16), (16, 16), (12, 12), (8, 8)])
def test_the_longest_caption_is_rounded_up_to_a_tile(context, length):
    variant = synthetic_variant(3000, 1000)  # 'class 999' and the end: 10 ids
    tokenizer = functools.partial(letters, context)
    assert longest_caption(variant, tokenizer) == length
    np.testing.assert_array_equal(cut_ids(tokenizer, length, ["class 999"]), letters(length, ["class 999"]))


@pytest.fixture
def objective(clip_config):
    def make(**fields):
        clip_config.update_from_flattened_dict({"model.text.context_length": 77, **fields})
        return make_objective(sections(clip_config), synthetic_variant(160, CLASSES))

    return make


def test_features_and_gradients_are_those_of_padded_captions(objective):
    run = objective()
    captions = run.variant.captions(range(32), epoch=0)
    text, prompts = run.text.read_captions(captions), run.text.read_prompts(captions)
    assert (text.shape, prompts.shape) == ((32, 16), (32, 77))
    model = run.build_model(nnx.Rngs(0))

    def loss(model, tokens):
        features = model.encode_text(tokens)
        return (features * jax.random.normal(jax.random.key(0), features.shape)).sum(), features

    gradient = nnx.jit(nnx.value_and_grad(loss, has_aux=True))
    ((_, short), short_gradient), ((_, long), long_gradient) = gradient(model, text), gradient(model, prompts)
    np.testing.assert_allclose(short, long, rtol=1e-5, atol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), short_gradient, long_gradient)


@pytest.mark.parametrize("fields", [{"model.text.name": "bert"}, {"data.captions.resample": True}])
def test_towers_that_read_padding_and_captions_that_change_are_not_cut(objective, fields):
    run = objective(**fields)
    assert run.text.read_captions(run.variant.captions(range(4), epoch=0)).shape == (4, 77)


@pytest.fixture(scope="module")
def make_config(glyphs_dir):
    """Makes configs of a SigLIP of two transformers."""
    return functools.partial(sgd_config, clip, glyphs_dir, "loss=sigmoid")


@pytest.fixture(scope="module")
def plain(make_config):
    config = make_config()
    return train_steps(config, masked_noise(config), steps=3)


def test_scale_and_bias_start_as_in_the_paper_and_are_trained_without_limits(plain, make_config):
    start, end = (state.trainable for state in (plain.states[0], plain.states[-1]))
    assert (float(start["logit_scale"][...]), float(start["logit_bias"][...])) == (pytest.approx(np.log(10)), -10.0)
    assert start["logit_scale"][...] != end["logit_scale"][...] and start["logit_bias"][...] != end["logit_bias"][...]
    assert plain.metrics[-1]["train/logit_bias"] == end["logit_bias"][...]
    nothing = plain.batch | {"mask": jax.device_put(np.zeros(32, bool), plain.batch["mask"].sharding)}
    state = jax.tree.map(lambda leaf: leaf, plain.states[0])
    high = jax.device_put(np.float32(6), state.trainable["logit_scale"][...].sharding)
    state.trainable["logit_scale"] = state.trainable["logit_scale"].replace(high)
    assert plain.step(state, nothing)[0].trainable["logit_scale"][...] == 6


def test_devices_blocks_and_micro_batches_compute_what_one_device_does(plain, make_config):
    config = make_config(contrastive__block=8, accumulate_steps=2)
    assert_close(train_steps(config, masked_noise(config), steps=3, devices=8, fsdp=4), plain)


def test_the_loss_of_chance_is_the_least_that_equal_features_can_have(make_config):
    objective = make_objective(sections(make_config()), synthetic_variant(320, CLASSES))
    features, mask = jnp.ones((32, 4)), jnp.ones(32, bool)
    loss = jax.jit(lambda bias: sigmoid_loss(features, features, jnp.float32(0), bias, mask, mesh_of(1)))
    assert min(loss(jnp.float32(bias)) for bias in np.linspace(-6, -3, 301)) == pytest.approx(
        objective.chance_loss, rel=1e-4
    )


# A run


@pytest.fixture(scope="module")
def run(make_config, tmp_path_factory):
    steps = {"total_steps": 4, "checkpoint__every_steps": 2}
    config = make_config(batch_size=16, model__text__context_length=77, **steps)
    config.optimizer.update({"name": "adamw", "learning_rate": 1e-3})
    return trained_anew(config, tmp_path_factory)


def test_a_run_opens_and_is_exported_with_its_bias_as_open_clip_names_it(run, tmp_path):
    model = open_model(str(run[1])).model
    assert float(model.logit_bias[...]) != -10.0
    export(run[1], tmp_path / "out")
    model_cfg = json.loads((tmp_path / "out" / "open_clip_config.json").read_text())["model_cfg"]
    assert (model_cfg["init_logit_scale"], model_cfg["init_logit_bias"]) == (pytest.approx(np.log(10)), -10.0)
    jax.tree.map(np.testing.assert_array_equal, nnx.state(load(tmp_path / "out").model), nnx.state(model))


def ece_by_sigmoids(model, directory):
    """Of saved features and class embeddings, in percent, in float64 and example by example."""
    features, head, labels = (np.load(directory / f"{name}.npy") for name in ("features", "head", "labels"))
    scale, bias = np.exp(np.float64(model.logit_scale[...])), np.float64(model.logit_bias[...])
    bins = {}
    for feature, label in zip(np.float64(features), labels):
        cosines = [feature @ c / np.sqrt((feature @ feature) * (c @ c)) for c in np.float64(head)]
        probability = 1 / (1 + np.exp(-(scale * max(cosines) + bias)))
        bins.setdefault(int(np.ceil(15 * probability)), []).append(probability - (np.argmax(cosines) == label))
    return 100 * sum(abs(sum(gaps)) for gaps in bins.values()) / len(labels)


def test_calibration_by_sigmoids_is_of_a_run_and_of_the_published_model_that_it_becomes(run, tmp_path):
    config, workdir = run[0].copy_and_resolve_references(), shutil.copytree(run[1], tmp_path / "run")
    config.eval.save_features = True
    softmax = evaluate(config, workdir)["glyphs:test"]
    assert "confidence" not in softmax["settings"]
    config.eval.confidence = "sigmoid"
    summary, model = evaluate(config, workdir)["glyphs:test"], open_model(str(workdir)).model
    expected = ece_by_sigmoids(model, workdir / "eval/glyphs_test")
    assert summary["settings"]["confidence"] == "sigmoid" and summary["top1"] == softmax["top1"]
    assert summary["ece"] == pytest.approx(expected, abs=1e-3) and abs(summary["ece"] - softmax["ece"]) > 0.1
    export(workdir, tmp_path / "out")
    zero_shot_config = zero_shot.get_config(f"model={tmp_path / 'out'},sets=glyphs:test,template=simple")
    zero_shot_config.data.data_dir = config.data.data_dir
    zero_shot_config.eval.update({"save_features": True, "confidence": "sigmoid"})
    (summary,) = evaluate_models(typed_config(zero_shot_config), tmp_path / "zero")
    expected = ece_by_sigmoids(load(tmp_path / "out").model, tmp_path / "zero/eval/glyphs_test")
    assert summary["ece"] == pytest.approx(expected, abs=1e-3)
