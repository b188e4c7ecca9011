"""SigLIP's loss against a loop over all pairs, its step against itself on other meshes, and a whole run."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cliptail_jax.errors import UserError
from cliptail_jax.evaluate import evaluate
from cliptail_jax.evaluation.published import evaluate_published
from cliptail_jax.files import read_lines, write_json
from cliptail_jax.objectives import make_objective, validate
from cliptail_jax.objectives.sigmoid import sigmoid_loss
from cliptail_jax.planning.synthetic import synthetic_variant
from cliptail_jax.pretrained.export import export
from cliptail_jax.pretrained.model import load, open_model, open_run
from cliptail_jax.train import train
from configs import clip, zero_shot
from tests.synthetic import CLASSES, assert_close, mesh_of, tiny, train_steps

BATCH, DIM = 24, 5
VALID = np.arange(BATCH) % 7 != 3
VALID[12:15] = False  # all rows of a device


def features(seed=0):
    return np.random.default_rng(seed).normal(size=(2, BATCH, DIM)).astype(np.float32)


def loop_over_pairs(images, texts, scale, bias, kept):
    """The formula, pair by pair in float64, and its derivatives by the images, the texts, t' and b."""
    images, texts, t, b = np.float64(images), np.float64(texts), np.exp(np.float64(scale)), np.float64(bias)
    loss, of_images, of_texts, of_scale, of_bias = 0.0, np.zeros_like(images), np.zeros_like(texts), 0.0, 0.0
    for i in kept:
        for j in kept:
            x, y, z = images[i], texts[j], 1 if i == j else -1
            x_length, y_length = np.linalg.norm(x), np.linalg.norm(y)
            cosine = x @ y / (x_length * y_length)
            loss += np.log1p(np.exp(-z * (t * cosine + b)))
            slope = -z / (1 + np.exp(z * (t * cosine + b)))
            of_images[i] += slope * t * (y / y_length - cosine * x / x_length) / x_length
            of_texts[j] += slope * t * (x / x_length - cosine * y / y_length) / y_length
            of_scale += slope * t * cosine
            of_bias += slope
    return loss / len(kept), [g / len(kept) for g in (of_images, of_texts, of_scale, of_bias)]


@pytest.mark.parametrize("devices, fsdp", [(1, 1), (8, 1), (8, 2)])
@pytest.mark.parametrize("block", [0, 8, 5, 1])
@pytest.mark.parametrize("valid", [np.ones(BATCH, bool), VALID], ids=["all", "masked"])
@pytest.mark.parametrize("scale, bias", [(np.log(10), -10.0), (3.0, 2.0)], ids=["start", "later"])
def test_loss_and_gradient_equal_a_loop_over_pairs_on_any_devices_and_in_blocks(
    devices, fsdp, block, valid, scale, bias
):
    """Masked pairs are neither examples nor negatives, and so have no gradient."""
    given = (*features(), np.float32(scale), np.float32(bias))
    loss = lambda *args: sigmoid_loss(*args, jnp.asarray(valid), mesh_of(devices, fsdp), block)  # noqa: E731
    found = jax.jit(jax.value_and_grad(loss, (0, 1, 2, 3)))(*given)
    expected = loop_over_pairs(*given, np.flatnonzero(valid))
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)
    for a, b in zip(found[1], expected[1], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6 * np.abs(b).max(), rtol=1e-5)


def test_a_batch_without_pairs_has_loss_zero_and_a_finite_gradient():
    images, texts = features()
    none, start = jnp.zeros(BATCH, bool), (jnp.float32(2), jnp.float32(-10))
    value, gradient = jax.value_and_grad(lambda x: sigmoid_loss(x, texts, *start, none, mesh_of(8)))(images)
    assert value == 0 and not np.any(gradient)


# The step


@pytest.fixture(scope="module")
def make_config(glyphs_dir):
    """Makes configs of a SigLIP of two transformers."""

    def make(**changes):
        config = tiny(clip, glyphs_dir, "loss=sigmoid")
        config.batch_size = BATCH + 8
        config.model.image.update({"name": "vit", "layers": (1,), "width": 16, "heads": 2, "patch_size": 16})
        config.optimizer.update({"name": "sgd", "learning_rate": 0.1, "momentum": 0.0, "weight_decay": 0.0})
        config.update_from_flattened_dict({key.replace("__", "."): value for key, value in changes.items()})
        return config

    return make


def train_on_noise(config, **options):
    rng, size = np.random.default_rng(0), config.batch_size
    batch = {
        "images": rng.integers(0, 256, (size, 32, 32, 3), np.uint8),
        "labels": rng.integers(0, CLASSES, size, np.int32),
        "mask": np.arange(size) % 7 > 0,
        "text": rng.integers(0, 500, (size, 8), np.int32),
    }
    return train_steps(config, batch, **options)


@pytest.fixture(scope="module")
def plain(make_config):
    return train_on_noise(make_config(), steps=3)


def test_scale_and_bias_start_as_in_the_paper_and_are_trained_without_limits(plain, make_config):
    start, end = (state.trainable for state in (plain.states[0], plain.states[-1]))
    assert (float(start["logit_scale"][...]), float(start["logit_bias"][...])) == (pytest.approx(np.log(10)), -10.0)
    assert start["logit_scale"][...] != end["logit_scale"][...] and start["logit_bias"][...] != end["logit_bias"][...]
    assert plain.metrics[-1]["train/logit_bias"] == end["logit_bias"][...]
    nothing = plain.batch | {"mask": jax.device_put(np.zeros(BATCH + 8, bool), plain.batch["mask"].sharding)}
    state = jax.tree.map(lambda leaf: leaf, plain.states[0])
    high = jax.device_put(np.float32(6), state.trainable["logit_scale"][...].sharding)
    state.trainable["logit_scale"] = state.trainable["logit_scale"].replace(high)
    assert plain.step(state, nothing)[0].trainable["logit_scale"][...] == 6


def test_eight_devices_and_blocks_compute_what_one_does(plain, make_config):
    assert_close(train_on_noise(make_config(contrastive__block=8), steps=3, devices=8, fsdp=4), plain)


def test_accumulated_micro_batches_compute_what_one_batch_does(plain, make_config):
    assert_close(train_on_noise(make_config(accumulate_steps=4), steps=3, devices=2), plain)


def test_the_loss_of_chance_is_the_least_that_equal_features_can_have(make_config):
    objective = make_objective(make_config(), synthetic_variant(320, CLASSES))
    same, mask = jnp.ones((32, 4)), jnp.ones(32, bool)
    loss = jax.jit(lambda bias: sigmoid_loss(same, same, jnp.float32(0), bias, mask, mesh_of(1)))
    assert min(loss(jnp.float32(bias)) for bias in np.linspace(-6, -3, 301)) == pytest.approx(
        objective.chance_loss, rel=1e-4
    )


# A run


@pytest.fixture(scope="module")
def run(make_config, tmp_path_factory):
    config, workdir = (
        make_config(batch_size=16, total_steps=4, checkpoint__every_steps=2, model__text__context_length=77),
        tmp_path_factory.mktemp("run"),
    )
    config.optimizer.update({"name": "adamw", "learning_rate": 1e-3})
    train(config, workdir)
    return config, workdir


def losses(workdir):
    return [line["train/loss"] for line in read_lines(workdir / "metrics.jsonl")]


def test_a_run_is_evaluated_and_goes_on_bit_for_bit(run, tmp_path):
    config, workdir = run
    (*_, summary) = read_lines(workdir / "eval/glyphs_test/summary.jsonl")
    assert (summary["step"], summary["examples"]) == (4, 24)
    copy = shutil.copytree(workdir, tmp_path / "copy")
    for path in (copy / "checkpoints").glob("4*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    noted = json.loads((copy / "config.json").read_text())
    del noted["finished"]
    write_json(copy / "config.json", noted)
    (copy / "sha256.json").unlink(missing_ok=True)
    train(config, copy)
    assert losses(copy) == losses(workdir)
    first, again = (nnx.state(open_run(of).model) for of in (workdir, copy))
    jax.tree.map(np.testing.assert_array_equal, first, again)


def test_a_run_opens_and_is_exported_with_its_bias_as_open_clip_names_it(run, tmp_path):
    model = open_model(str(run[1])).model
    assert float(model.logit_bias[...]) != -10.0
    export(run[1], tmp_path / "out")
    saved = json.loads((tmp_path / "out" / "open_clip_config.json").read_text())["model_cfg"]
    assert (saved["init_logit_scale"], saved["init_logit_bias"]) == (pytest.approx(np.log(10)), -10.0)
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
    published = zero_shot.get_config(f"model={tmp_path / 'out'},sets=glyphs:test,template=simple")
    published.data.data_dir = config.data.data_dir
    published.eval.update({"save_features": True, "confidence": "sigmoid"})
    (summary,) = evaluate_published(published, tmp_path / "zero")
    expected = ece_by_sigmoids(load(tmp_path / "out").model, tmp_path / "zero/eval/glyphs_test")
    assert summary["ece"] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ({"vocabulary.size": 2}, "vocabulary.size samples .* with objective='sigmoid' set it to 0"),
        ({"batch_size": 1}, "batch_size=1 has no other pair"),
        ({"head.kind": "linear"}, "head.kind is for objective='supervised'"),
    ],
)
def test_mistakes_are_refused(changes, complaint):
    config = clip.get_config("loss=sigmoid")
    config.update_from_flattened_dict(changes)
    with pytest.raises(UserError, match=complaint):
        validate(config)


def test_a_sigmoid_run_without_captions_is_refused(make_config):
    variant = synthetic_variant(320, CLASSES)
    object.__setattr__(variant, "captions", None)
    with pytest.raises(UserError, match="objective='sigmoid' needs captions: set data.captions.template"):
        make_objective(make_config(), variant)
