"""The losses, against their formulas example by example in float64, and those of the objectives, split over devices."""

import doctest
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cliptail_jax import losses
from cliptail_jax.host.errors import UserError
from cliptail_jax.objectives.contrastive import contrastive_loss
from cliptail_jax.objectives.sigmoid import sigmoid_loss
from tests.synthetic import mesh_of

RNG = np.random.default_rng(0)
COUNTS, EXAMPLES, CLASSES = [500, 20, 7, 90, 1, 3], 8, 6
LOGITS = RNG.normal(size=(EXAMPLES, CLASSES)).astype(np.float32)
LABELS = np.array([0, 0, 0, 2, 1, 1, 5, 0])
WHERE = np.array([True, True, True, True, True, True, False, True])
VOCABULARY = np.array([True, True, True, False, False, True])
FEATURES = RNG.normal(size=(2, EXAMPLES, 4)).astype(np.float32)
IMAGES, TEXTS = FEATURES / np.linalg.norm(FEATURES, axis=-1, keepdims=True)
SCALE, BIAS = 5.0, -2.0


def cross_entropies(weights, where=None, logits=LOGITS):
    """−log (w_y exp(f_y) / Σ_c w_c exp(f_c)) of each example, with the weights of the classes in its softmax."""
    values = []
    for example, (row, label) in enumerate(zip(logits.astype(np.float64), LABELS)):
        weighted = weights(example) * np.exp(row)
        values.append(-math.log(weighted[label] / weighted.sum()) if where is None or where[example] else 0.0)
    return values


def count_of(group, where=WHERE):
    return lambda example: np.bincount(LABELS[group(example)][where[group(example)]], minlength=CLASSES)


def in_batch(example):
    return slice(0, EXAMPLES)


def in_group(example):
    return slice(example // 4 * 4, example // 4 * 4 + 4)


def margins(example):
    rarest = min(COUNTS)
    factors = [math.exp(-0.5 * (rarest / n) ** 0.25) if c == LABELS[example] else 1.0 for c, n in enumerate(COUNTS)]
    return np.array(factors)


ALL = np.ones(EXAMPLES, bool)
CASES = {
    "adjusted logits": (
        lambda f, y: losses.softmax_with_prior(f, y, COUNTS),
        cross_entropies(lambda example: np.array(COUNTS)),
    ),
    "half adjusted, some examples": (
        lambda f, y: losses.softmax_with_prior(f, y, COUNTS, tau=0.5, where=WHERE),
        cross_entropies(lambda example: np.sqrt(COUNTS), WHERE),
    ),
    "counts, classes in the first axis": (
        lambda f, y: losses.batch_softmax(f.T, y, axis=0),
        cross_entropies(count_of(in_batch, ALL)),
    ),
    "a vocabulary of each example, classes in the first axis": (
        lambda f, y: losses.sampled_softmax(f.T, y, np.broadcast_to(VOCABULARY[:, None], f.T.shape), axis=0),
        cross_entropies(lambda example: VOCABULARY),
    ),
    "margins, classes in the first axis": (
        lambda f, y: losses.ldam(f.T, y, COUNTS, 0.5, 1.0, axis=0),
        cross_entropies(margins),
    ),
    "classes in the first axis": (
        lambda f, y: losses.softmax_with_prior(f.T, y, COUNTS, axis=0),
        cross_entropies(lambda example: np.array(COUNTS)),
    ),
    "ordinary": (
        lambda f, y: losses.softmax_with_prior(f, y, COUNTS, tau=0),
        cross_entropies(lambda example: np.ones(CLASSES)),
    ),
    "counts": (
        losses.batch_softmax,
        cross_entropies(count_of(in_batch, ALL)),
    ),
    "batch, some examples": (
        lambda f, y: losses.batch_softmax(f, y, counted=False, where=WHERE),
        cross_entropies(lambda example: count_of(in_batch)(example) > 0, WHERE),
    ),
    "counts in groups of four": (
        lambda f, y: losses.batch_softmax(f.reshape(2, 4, CLASSES), y.reshape(2, 4), where=WHERE.reshape(2, 4)).reshape(
            -1
        ),
        cross_entropies(count_of(in_group), WHERE),
    ),
    "vocabulary": (
        lambda f, y: losses.sampled_softmax(f, y, VOCABULARY),
        cross_entropies(lambda example: VOCABULARY),
    ),
    "margins": (
        lambda f, y: losses.ldam(f, y, COUNTS, 0.5, 1.0),
        cross_entropies(margins),
    ),
}


@pytest.mark.parametrize("loss, expected", CASES.values(), ids=CASES)
def test_a_loss_equals_its_formula(loss, expected):
    """Also under jit, and with finite gradients."""
    logits, labels = jnp.asarray(LOGITS), jnp.asarray(LABELS)
    np.testing.assert_allclose(loss(logits, labels), expected, rtol=1e-5)
    values, gradients = jax.jit(lambda f: (loss(f, labels), jax.grad(lambda g: loss(g, labels).sum())(f)))(logits)
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    assert np.isfinite(gradients).all() and np.any(gradients)


def test_counted_classes_have_the_gradients_of_clips_softmax_over_class_names():
    """Each image among the texts of its batch, of which those of a class all have that class's logit."""

    def clip(logits):
        texts = logits[:, LABELS][:, WHERE]
        values = jax.nn.logsumexp(texts, axis=1) - logits[jnp.arange(EXAMPLES), LABELS]
        return jnp.where(WHERE, values, 0.0).sum()

    def counted(logits):
        return losses.batch_softmax(logits, jnp.asarray(LABELS), where=jnp.asarray(WHERE)).sum()

    np.testing.assert_allclose(jax.grad(counted)(LOGITS), jax.grad(clip)(LOGITS), atol=1e-6)


def test_losses_of_a_batch_are_those_of_each_part_under_vmap():
    logits, labels = jnp.asarray(LOGITS).reshape(2, 4, CLASSES), jnp.asarray(LABELS).reshape(2, 4)
    np.testing.assert_array_equal(jax.vmap(losses.batch_softmax)(logits, labels), losses.batch_softmax(logits, labels))


@pytest.mark.parametrize("where", [None, WHERE])
def test_losses_of_pairs_are_those_of_the_objectives_on_eight_devices(where):
    mask, scale = ALL if where is None else where, jnp.log(SCALE)
    mesh, (images, texts) = mesh_of(8), (jnp.asarray(IMAGES), jnp.asarray(TEXTS))
    clip = losses.contrastive(IMAGES, TEXTS, SCALE, where=where)
    siglip = losses.sigmoid_contrastive(IMAGES, TEXTS, SCALE, BIAS, where=where)
    expected = contrastive_loss(images, texts, scale, jnp.asarray(mask), mesh)
    np.testing.assert_allclose(clip.sum() / mask.sum(), expected, rtol=1e-5)
    expected = sigmoid_loss(images, texts, scale, jnp.asarray(BIAS), jnp.asarray(mask), mesh)
    np.testing.assert_allclose(siglip.sum() / mask.sum(), expected, rtol=1e-5)
    assert not clip[~mask].any() and not siglip[~mask].any()


def test_adjusted_logits_are_the_same_of_numpy_and_jax(unchecked):
    expected = LOGITS - 0.5 * np.log(COUNTS) + 0.5 * math.log(sum(COUNTS))
    for logits in (LOGITS, jnp.asarray(LOGITS)):
        adjusted = losses.adjust(logits, COUNTS, tau=0.5)
        assert type(adjusted) is type(logits) or isinstance(adjusted, jax.Array)
        np.testing.assert_allclose(adjusted, expected, rtol=1e-5)
    np.testing.assert_array_equal(losses.adjust(LOGITS, [0] + COUNTS[1:]), losses.adjust(LOGITS, [1] + COUNTS[1:]))
    whole_numbers = np.round(10 * LOGITS).astype(int)
    for logits in (whole_numbers, whole_numbers.tolist(), jnp.asarray(whole_numbers)):
        expected = whole_numbers.astype(np.float32)
        np.testing.assert_allclose(losses.adjust(logits, COUNTS), losses.adjust(expected, COUNTS), rtol=1e-6)


NAN = np.where(np.arange(CLASSES) == 2, np.nan, LOGITS)
REFUSED = {
    "too few counts": (
        lambda: losses.softmax_with_prior(LOGITS, LABELS, COUNTS[:5]),
        "shape .5.: give one number for each of the 6 classes",
    ),
    "a negative count": (
        lambda: losses.adjust(LOGITS, [-1] + COUNTS[1:]),
        "class_counts have a negative or infinite number",
    ),
    "a class of no images": (
        lambda: losses.softmax_with_prior(LOGITS, LABELS, [0] + COUNTS[1:]),
        "a label's class has no training images",
    ),
    "counts in jit": (
        lambda: jax.jit(losses.softmax_with_prior)(LOGITS, LABELS, jnp.array(COUNTS)),
        "class_counts must be known, and is an argument of a function that jax.jit traces",
    ),
    "τ in jit": (
        lambda: jax.jit(lambda tau: losses.softmax_with_prior(LOGITS, LABELS, COUNTS, tau))(1.0),
        "tau must be known",
    ),
    "γ in jit": (lambda: jax.jit(lambda gamma: losses.focal(LOGITS[0], gamma))(1.0), "gamma must be known"),
    "no images": (lambda: losses.softmax_with_prior(LOGITS, LABELS, [0] * CLASSES), "class_counts are all 0"),
    "a list of logits": (
        lambda: losses.batch_softmax(LOGITS.tolist(), LABELS),
        "logits are of the type list: give an array of JAX or NumPy",
    ),
    "a list of labels": (lambda: losses.batch_softmax(LOGITS, LABELS.tolist()), "labels are of the type list"),
    "a text": (lambda: losses.softmax_with_prior("logits", LABELS, COUNTS), "logits are of the type str"),
    "labels that are floats": (
        lambda: losses.batch_softmax(LOGITS, LABELS.astype(float)),
        "labels have the type float64: give integers",
    ),
    "numbers as `where`": (
        lambda: losses.batch_softmax(LOGITS, LABELS, where=WHERE.astype(int)),
        "where have the type int64: give truth values",
    ),
    "whole numbers as features": (
        lambda: losses.contrastive(IMAGES.astype(int), TEXTS, SCALE),
        "images have the type int64: give floats",
    ),
    "a negative class": (lambda: losses.batch_softmax(LOGITS, LABELS - 1), "a label is none of the classes 0 to 5"),
    "one example as a batch": (
        lambda: losses.batch_softmax(LOGITS[0], LABELS[0]),
        "logits are those of one example: give a batch",
    ),
    "no such axis": (lambda: losses.softmax_with_prior(LOGITS, LABELS, COUNTS, axis=2), "have no axis 2: give that of"),
    "a vocabulary of other classes": (
        lambda: losses.sampled_softmax(LOGITS, LABELS, VOCABULARY[1:]),
        "the vocabulary is .5., and logits .8, 6.: give .class., or their shape",
    ),
    "a vocabulary of numbers": (
        lambda: losses.sampled_softmax(LOGITS, LABELS, np.arange(CLASSES)),
        "vocabulary have the type int64: give truth values",
    ),
    "negative counts for weights": (
        lambda: losses.effective_number_weights([-1, 3], 0.9),
        "class_counts have a negative or infinite number",
    ),
    "infinite counts": (
        lambda: losses.adjust(LOGITS, np.full(CLASSES, np.inf, np.float16)),
        "class_counts have a negative or infinite number",
    ),
    "masked counts": (
        lambda: losses.adjust(LOGITS, np.ma.masked_less(np.array(COUNTS), 3)),
        "class_counts are masked, or no real numbers",
    ),
    "complex counts": (lambda: losses.adjust(LOGITS, np.array(COUNTS) + 0j), "class_counts are masked, or no real"),
    "texts as counts": (lambda: losses.adjust(LOGITS, ["many"] * CLASSES), "class_counts are masked, or no real"),
    "objects as counts": (lambda: losses.adjust(LOGITS, [{}] * CLASSES), "class_counts are no numbers"),
    "a text as τ": (lambda: losses.adjust(LOGITS, COUNTS, "1"), "τ is '1': give a number"),
    "an infinite τ": (lambda: losses.softmax_with_prior(LOGITS, LABELS, COUNTS, np.inf), "τ is inf: give a number"),
    "no τ": (lambda: losses.softmax_with_prior(LOGITS, LABELS, COUNTS, None), "τ is None: give a number"),
    "no examples": (lambda: losses.batch_softmax(LOGITS[:0], LABELS[:0]), "there are no examples"),
    "no examples in jit": (lambda: jax.jit(losses.batch_softmax)(LOGITS[:0], LABELS[:0]), "there are no examples"),
    "no pairs in jit": (
        lambda: jax.jit(losses.contrastive)(IMAGES[:0], TEXTS[:0], SCALE),
        "there are no examples",
    ),
    "a mapping of counts": (
        lambda: losses.adjust(LOGITS, dict(enumerate(COUNTS))),
        "class_counts are a mapping: give a",
    ),
    "probabilities to adjust": (
        lambda: losses.adjust(np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True), COUNTS),
        "the logits are probabilities: give their logarithms",
    ),
    "complex logits to adjust": (
        lambda: losses.adjust(LOGITS + 0j, COUNTS),
        "logits are masked, or no real numbers: give an array of them",
    ),
    "masked logits to adjust": (
        lambda: losses.adjust(np.ma.masked_less(np.asarray(LOGITS), 0), COUNTS),
        "logits are masked, or no real numbers: give an array of them",
    ),
    "β of 1": (lambda: losses.effective_number_weights([1, 3], 1.0), "β is 1: choose a number from 0 to below 1"),
    "logits of different lengths to adjust": (
        lambda: losses.adjust([[1.0, 2.0], [1.0]], [1, 2]),
        "logits have different numbers of values by example",
    ),
    "another class": (
        lambda: losses.batch_softmax(LOGITS, LABELS + 1),
        "a label is none of the classes 0 to 5",
    ),
    "other labels": (lambda: losses.batch_softmax(LOGITS, LABELS[1:]), "labels are .7., and examples .8."),
    "no example": (lambda: losses.batch_softmax(LOGITS, LABELS, where=~ALL), "no example counts: `where` is False"),
    "outside of the vocabulary": (
        lambda: losses.sampled_softmax(LOGITS, LABELS, np.arange(CLASSES) > 0),
        "or is not in the vocabulary",
    ),
    "nan": (lambda: losses.batch_softmax(NAN, LABELS), "logits have a nan"),
    "nan to adjust": (lambda: losses.adjust(NAN, COUNTS), "logits have a nan"),
    "no pairs": (lambda: losses.contrastive(IMAGES, TEXTS[1:], SCALE), "images .8, 4. and texts .7, 4. are not pairs"),
}


@pytest.mark.parametrize("call, complaint", REFUSED.values(), ids=REFUSED)
def test_wrong_input_is_named(unchecked, call, complaint):
    with pytest.raises(UserError, match=complaint):
        call()


@pytest.mark.parametrize("loss", [lambda f, y: losses.softmax_with_prior(f, y, COUNTS), losses.batch_softmax])
@pytest.mark.parametrize("wrong_label", [-1, CLASSES])
def test_a_label_that_is_no_class_gives_nan_under_jit(loss, wrong_label):
    is_wrong = np.arange(EXAMPLES) == 3
    values = jax.jit(loss)(LOGITS, np.where(is_wrong, wrong_label, LABELS))
    assert np.isnan(values).tolist() == is_wrong.tolist()


@pytest.mark.parametrize("loss", [lambda f, y, w: losses.softmax_with_prior(f, y, COUNTS, where=w),
                                  lambda f, y, w: losses.batch_softmax(f, y, where=w)])  # fmt: skip
@pytest.mark.parametrize("where", [WHERE, ~ALL])
def test_examples_that_do_not_count_change_nothing_whatever_they_are(loss, where):
    """Neither values nor gradients, also if all of a batch do not count, or their logits are nan and their labels no class."""
    logits, labels = np.where(where[:, None], LOGITS, np.nan), np.where(where, LABELS, -1)
    values, gradients = jax.jit(
        lambda f: (loss(f, labels, where), jax.grad(lambda g: loss(g, labels, where).sum())(f))
    )(logits)
    assert not values[~where].any() and not gradients[~where].any() and np.isfinite(gradients).all()
    if where.any():
        np.testing.assert_array_equal(values, loss(jnp.asarray(LOGITS), LABELS, where))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "uint64", "float16", "float32", "float64"])
def test_counts_of_any_type_give_the_same_losses(dtype):
    counts = np.array(COUNTS) % 250 + 1
    expected = losses.adjust(LOGITS, counts.tolist())
    np.testing.assert_array_equal(losses.adjust(LOGITS, counts.astype(dtype)), expected)
    huge = np.full(CLASSES, 2**62)  # whose sum is no int64
    np.testing.assert_allclose(losses.adjust(LOGITS, huge), LOGITS + np.log(CLASSES), rtol=1e-6)


PAIR_LOSSES = {
    "contrastive": lambda images, texts, where: losses.contrastive(images, texts, SCALE, where=where),
    "sigmoid": lambda images, texts, where: losses.sigmoid_contrastive(images, texts, SCALE, -2.0, where=where),
}


@pytest.mark.parametrize("loss", PAIR_LOSSES.values(), ids=PAIR_LOSSES)
def test_pairs_that_do_not_count_have_gradients_of_0_even_if_they_are_nan(loss):
    images, texts = (np.where(WHERE[:, None], part, np.nan) for part in (IMAGES, TEXTS))
    values = loss(images, texts, WHERE)
    np.testing.assert_array_equal(values, loss(IMAGES, TEXTS, WHERE))
    for number in (0, 1):
        gradients = jax.grad(lambda *pairs: loss(*pairs, WHERE).sum(), number)(jnp.asarray(images), jnp.asarray(texts))
        assert np.isfinite(gradients).all() and not gradients[~WHERE].any()


@pytest.mark.parametrize("loss", PAIR_LOSSES.values(), ids=PAIR_LOSSES)
def test_losses_of_pairs_are_in_float32_whatever_the_features(loss):
    images, texts = (jnp.asarray(part, jnp.bfloat16) for part in (IMAGES, TEXTS))
    values = loss(images, texts, None)
    assert values.dtype == jnp.float32
    np.testing.assert_allclose(values, loss(*(np.asarray(p, np.float32) for p in (images, texts)), None), rtol=1e-6)


def test_the_examples_of_the_docstrings_are_right():
    shown = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    tests = [test for test in doctest.DocTestFinder().find(losses) if test.examples]
    assert {test.name.rpartition(".")[2] for test in tests} == set(losses.__all__) - {
        "adjust",
        "effective_number_weights",
    }
    for test in tests:
        runner.run(test, out=shown.append)
    assert not shown, "".join(shown)
