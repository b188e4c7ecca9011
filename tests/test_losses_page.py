"""The code on the page configs/losses.md runs, and PyTorch's losses equal ours."""

import re
import textwrap
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cliptail_jax import losses

PAGE = (Path(__file__).parents[1] / "configs/losses.md").read_text(encoding="utf-8")
RNG, CLASSES = np.random.default_rng(0), 5
COUNTS = np.array([400, 90, 20, 6, 2])
LOGITS = RNG.normal(size=(12, CLASSES)).astype(np.float32)
LABELS = np.array([0, 0, 0, 0, 1, 1, 2, 3, 0, 1, 0, 2])
FEATURES = RNG.normal(size=(2, 12, 4))


def code(heading):
    """The indented lines below a heading."""
    section = re.search(rf"## {heading}\n(.*?)(\n## |\Z)", PAGE, re.DOTALL)[1]
    return textwrap.dedent("\n".join(re.findall(r"^(?:    .*|)$", section, re.MULTILINE)))


def jax_values():
    images, texts = (jnp.asarray(part / np.linalg.norm(part, axis=1, keepdims=True)) for part in FEATURES)
    values = {
        "z": jnp.asarray(LOGITS),
        "y": jnp.asarray(LABELS),
        "n": COUNTS,
        "classes": CLASSES,
        "vocabulary": np.arange(CLASSES) < 4,
        "cosines": jnp.tanh(LOGITS),
        "images": images,
        "texts": texts,
    }
    exec(code("JAX"), values)
    return values


def test_the_code_for_jax_gives_finite_losses():
    values = jax_values()
    names = (
        f"loss_{name}"
        for name in ("adjusted", "counts", "batch", "groups", "sampled", "ldam", "focal", "clip", "siglip")
    )
    assert all(np.isfinite(float(values[name])) for name in names) and values["weights"].shape == LABELS.shape
    np.testing.assert_allclose(values["z_new"], LOGITS - np.log(COUNTS / COUNTS.sum()), rtol=1e-5)


def test_the_losses_in_pytorch_are_ours():
    torch = pytest.importorskip("torch", reason="torch, of the extra parity, is not installed")
    z = torch.tensor(LOGITS, requires_grad=True)
    training_labels = torch.tensor(np.repeat(np.arange(CLASSES), COUNTS))
    values = {"z": z, "y": torch.tensor(LABELS), "training_labels": training_labels, "classes": CLASSES}
    exec(code("PyTorch"), values)
    ours = jax_values()
    functions = {
        "loss_adjusted": lambda f: losses.softmax_with_prior(f, jnp.asarray(LABELS), COUNTS).mean(),
        "loss_counts": lambda f: losses.batch_softmax(f, jnp.asarray(LABELS)).mean(),
        "loss_batch": lambda f: losses.batch_softmax(f, jnp.asarray(LABELS), counted=False).mean(),
    }
    for name, function in functions.items():
        assert values[name].item() == pytest.approx(float(ours[name]), rel=1e-6), name
        (gradient,) = torch.autograd.grad(values[name], z, retain_graph=True)
        np.testing.assert_allclose(gradient.numpy(), jax.grad(function)(jnp.asarray(LOGITS)), atol=1e-6)
    assert (values["z_new"].argmax(1).numpy() == np.asarray(ours["z_new"]).argmax(1)).all()


def test_a_classifier_of_scikit_learn_is_adjusted():
    linear_model = pytest.importorskip("sklearn.linear_model")
    labels = np.repeat(np.arange(CLASSES), COUNTS)
    centres = 2 * np.eye(CLASSES)
    values = {
        "training_labels": labels,
        "x": centres[labels] + RNG.normal(size=(len(labels), CLASSES)),
        "x_test": centres[np.repeat(np.arange(CLASSES), 200)] + RNG.normal(size=(200 * CLASSES, CLASSES)),
    }
    model, test_labels = linear_model.LogisticRegression(), np.repeat(np.arange(CLASSES), 200)
    text = code("NumPy and scikit-learn")
    assert "sample_weight=weights" in text
    exec(text.replace(", sample_weight=weights", ""), values | {"model": model}, values)
    adjusted, plain = (np.mean(p == test_labels) for p in (values["predictions"], model.predict(values["x_test"])))
    assert adjusted > plain + 0.1
    exec(text, values | {"model": model}, values)  # with weights, too, the code runs
