"""Words as labels: the loss against the formula, the step against itself on other meshes, evaluation, and a whole run."""

import functools
import math
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from cliptail_jax.evaluation.heads import class_words, entropy
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import read_lines
from cliptail_jax.input.bag_of_words import BagOfWords, count_subwords, count_words
from cliptail_jax.input.tokenizer import END, START, Tokenizer
from cliptail_jax.jobs.evaluate import evaluate
from cliptail_jax.objectives import make_objective
from cliptail_jax.objectives.bag_of_words import bag_of_words_loss
from cliptail_jax.parallel.sharding import batch_sharding, replicated
from cliptail_jax.planning.synthetic import synthetic_variant
from cliptail_jax.pretrained.export import export
from cliptail_jax.pretrained.model import open_run
from configs import clip
from tests.evaluation.plain_evaluation import plain_features
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

BATCH, VOCABULARY, MAX_WORDS = 16, 30, 6


def words_of_batch(rng, batch, vocabulary, max_words):
    """Distinct ids, one to `max_words` of them; then -1."""
    rows = np.full((batch, max_words), -1, np.int32)
    for row in rows:
        ids = np.sort(rng.choice(vocabulary, rng.integers(1, max_words + 1), replace=False))
        row[: len(ids)] = ids
    return rows


def direct_loss(logits, present, weights, mask):
    """−Σ ŷ log softmax over the dense targets, in float64, and its gradient (softmax − ŷ) / number of examples."""
    logits, losses, gradient = np.float64(logits), [], np.zeros(logits.shape)
    for i in np.flatnonzero(mask):
        y = np.zeros(logits.shape[1])
        y[present[i][present[i] >= 0]] = 1
        if (weights * y).sum() > 0:
            target = weights * y / (weights * y).sum()
            losses.append(-(target * scipy.special.log_softmax(logits[i])).sum())
            gradient[i] = scipy.special.softmax(logits[i]) - target
    return np.mean(losses), gradient / len(losses)


@pytest.mark.parametrize("devices, masked", [(1, False), (8, True)])
def test_loss_and_gradient_equal_the_definition_on_any_devices(devices, masked):
    """An example whose words weigh nothing, and a masked one, have no part in them."""
    rng = np.random.default_rng(0)
    logits = 3 * rng.normal(size=(BATCH, VOCABULARY)).astype(np.float32)
    present, weights = (
        words_of_batch(rng, BATCH, VOCABULARY, MAX_WORDS),
        rng.uniform(0, 5, VOCABULARY).astype(np.float32),
    )
    weights[:3] = 0
    present[5] = [0, 2, -1, -1, -1, -1]
    mask = np.arange(BATCH) % 7 > 0 if masked else np.ones(BATCH, bool)
    mesh = mesh_of(devices)
    arrays = jax.device_put((logits, present, mask), batch_sharding(mesh))
    loss = lambda x, present, mask: bag_of_words_loss(x, present, weights, mask)  # noqa: E731
    shardings = (replicated(mesh), batch_sharding(mesh))
    value_and_gradient = jax.jit(jax.value_and_grad(loss), out_shardings=shardings)(*arrays)
    expected = direct_loss(logits, present, np.float64(weights), mask)
    np.testing.assert_allclose(value_and_gradient[0], expected[0], rtol=1e-6)
    np.testing.assert_allclose(value_and_gradient[1], expected[1], atol=1e-7)
    assert not value_and_gradient[1][5].any()


def test_a_batch_without_words_has_loss_zero_and_a_finite_gradient():
    no_words = jnp.full((BATCH, MAX_WORDS), -1)
    loss = lambda x: bag_of_words_loss(x, no_words, np.ones(VOCABULARY, np.float32), jnp.ones(BATCH, bool))  # noqa: E731
    value, gradient = jax.jit(jax.value_and_grad(loss))(jnp.ones((BATCH, VOCABULARY)))
    assert value == 0 and not np.any(gradient)


# The step


@pytest.fixture(scope="module")
def make_config(glyphs_dir):
    """Makes configs of a classifier of words."""
    return functools.partial(sgd_config, clip, glyphs_dir, "loss=words")


def test_eight_devices_and_micro_batches_compute_what_one_device_does(make_config):
    config = make_config()
    batch = masked_noise(config)
    plain = train_steps(config, batch, steps=3)
    assert_close(train_steps(make_config(accumulate_steps=2), batch, steps=3, devices=8, fsdp=4), plain)


# Evaluation


def test_a_class_has_the_mean_target_of_its_prompts_and_an_unknown_one_is_never_predicted():
    names = ("red fox", "fox", "grey wolf", "wolf", "red sea")
    bag = count_words([[*names, "a red wolf", "a"]], 100, idf=True, context_length=8)
    q = np.float64(class_words((*((name, f"a {name}") for name in names), ("owl",)), bag))
    for name, row in zip(names, q, strict=False):
        np.testing.assert_allclose(row, np.float64(bag.targets([name, f"a {name}"])).mean(0), rtol=1e-5)
    exact = np.log(q[:5] + 1e-9) @ q.T + entropy(
        q
    )  # where words are as probable as a class's name has them, it is that
    np.testing.assert_array_equal(exact.argmax(1), np.arange(len(names)))
    assert not q[5].any() and entropy(q)[5] < -1e8


# A run


@pytest.fixture(scope="module")
def run(make_config, tmp_path_factory):
    config = make_config(batch_size=16, total_steps=4, checkpoint__every_steps=2)
    config.optimizer.update({"name": "adamw", "learning_rate": 1e-3})
    return trained_anew(config, tmp_path_factory)


def test_a_continued_run_has_the_words_that_it_began_with(run):
    config, workdir = run
    objective = make_objective(sections(config), synthetic_variant(320, 3), workdir)
    words = open_run(workdir).tokenizer
    assert len(objective.text.read_captions) == len(words) == objective.describe_model()["head"]["classes"]
    np.testing.assert_array_equal(objective.text.read_captions.weights, words.weights)
    (*_, summary) = read_lines(workdir / "eval/glyphs_test/summary.jsonl")
    assert evaluate(config, workdir)["glyphs:test"]["top1"] == summary["top1"]


def test_a_run_is_evaluated_by_the_words_of_its_classes(run):
    """The model's logits, and the divergence from each class name's target, without any of the evaluation's batching."""
    config, workdir = run
    opened = open_run(workdir)
    model, bag = opened.model, opened.tokenizer
    features, labels, _ = plain_features(config, workdir)
    p = scipy.special.softmax(np.asarray(jax.jit(model.logits)(features), np.float64), axis=1)
    q = np.float64(bag.targets(opened.class_names))
    divergence = np.array([[scipy.stats.entropy(of_class, row) for of_class in q] for row in p])
    confusion = np.load(workdir / "eval/glyphs_test/latest.npz")["confusion"]
    assert np.trace(confusion) == (divergence.argmin(1) == labels).sum()
    np.testing.assert_array_equal(confusion.sum(0), np.bincount(divergence.argmin(1), minlength=CLASSES))


def test_a_bag_of_words_run_cannot_be_exported_to_open_clip(run, tmp_path):
    with pytest.raises(UserError, match="the run classifies words, which open_clip's models do not"):
        export(run[1], tmp_path / "out")


def test_captions_that_are_all_the_same_are_refused(make_config):
    with pytest.raises(UserError, match="all 320 captions have the same words.*words.idf=False"):
        make_objective(sections(make_config()), synthetic_variant(320, 1))


CAPTIONS = ("A red fox!", "a fox, a Fox", "a red sea", "two", "sea &amp; fox a")
CHUNKS = [CAPTIONS[:2], CAPTIONS[2:]]
WORDS = [{"a", "red", "fox", "!"}, {"a", "fox", ","}, {"a", "red", "sea"}, {"two"}, {"sea", "&", "fox", "a"}]


def direct_target(words: set[str], idf: bool = True) -> dict[str, float]:
    """w_c y_c / Σ w y, word by word in float64."""
    counts = {word: sum(word in caption for caption in WORDS) for word in words}
    weights = {word: (math.log(len(WORDS) / n) if idf else 1.0) for word, n in counts.items() if n}
    return {word: weight / sum(weights.values()) for word, weight in weights.items()}


def test_words_are_the_most_frequent_ones_in_a_fixed_order():
    bag = count_words(CHUNKS, 5, idf=True, context_length=8)
    assert bag._vocabulary == ("a", "fox", "red", "sea", "!")  # of those that one caption has, the first
    assert (bag.counts.tolist(), bag.captions) == ([4, 3, 2, 2, 1], 5)


@pytest.mark.parametrize("idf", [True, False])
def test_targets_are_those_of_the_formula(idf):
    bag = count_words(CHUNKS, 100, idf=idf, context_length=8)
    targets = bag.targets(CAPTIONS)
    for row, words in zip(targets, WORDS, strict=True):
        expected = direct_target(words, idf)
        np.testing.assert_allclose(row, [expected.get(word, 0.0) for word in bag._vocabulary], rtol=1e-6)


def test_subwords_are_the_tokens_between_start_and_end_each_once():
    bag = count_subwords(CHUNKS, 520, idf=True, context_length=12)
    tokenizer = bag._vocabulary
    symbols = {id_: symbol for symbol, id_ in tokenizer.vocabulary().items()}
    sets = [{symbols[id_] for id_ in row if id_} - {START, END} for row in tokenizer(CAPTIONS).tolist()]
    counts = {symbol: sum(symbol in symbols_of_text for symbols_of_text in sets) for symbol in symbols.values()}
    assert {symbols[id_]: n for id_, n in enumerate(bag.counts.tolist())} == counts
    assert "fox</w>" in set.union(*sets) and len(bag) == tokenizer.vocab_size
    ids = bag(CAPTIONS)
    assert [{symbols[id_] for id_ in row if id_ >= 0} for row in ids.tolist()] == sets
    np.testing.assert_allclose(bag.targets(CAPTIONS).sum(1), 1, rtol=1e-6)


def test_the_first_symbol_of_the_vocabulary_is_not_taken_for_padding():
    tokenizer = Tokenizer([], 8)
    assert tokenizer.vocabulary()["!"] == 0
    bag = BagOfWords(tokenizer, np.ones(tokenizer.vocab_size, int), 2, True, 8)
    assert bag(["!!", "!"])[:, :2].tolist() == [[0, 256], [256, -1]]


def test_unknown_words_and_those_of_all_captions_weigh_nothing():
    bag = count_words([["a fox", "a sea"]], 10, idf=True, context_length=8)
    assert not bag.targets(["a", "wolf", ""]).any()
    np.testing.assert_allclose(bag.targets(["a wolf fox"]), bag.targets(["fox"]))


def test_a_text_is_read_up_to_the_context():
    bag = count_words([["a b c d", "e"]], 10, idf=False, context_length=3)
    assert sorted(bag._vocabulary) == ["a", "b", "c", "e"] and bag(["e e e a"]).tolist() == [[3, -1, -1]]


@pytest.mark.parametrize("count", [count_words, count_subwords])
def test_a_bag_is_saved_and_pickled_whole(count, tmp_path):
    bag = count(CHUNKS, 520, idf=True, context_length=12)
    bag.save(tmp_path)
    for copy in (BagOfWords.load(tmp_path), pickle.loads(pickle.dumps(bag))):
        np.testing.assert_array_equal(copy(CAPTIONS), bag(CAPTIONS))
        np.testing.assert_array_equal(copy.weights, bag.weights)


@pytest.mark.parametrize(
    "content, complaint",
    [
        ('{"words": ["a"], "counts": [1, 2], "captions": 3, "idf": true, "context_length": 4}', "1 words, but counts"),
        ('{"words": ["a"]}', "'counts'"),
        ("", "words.json"),
        (None, "no words at .*words.json"),
    ],
)
def test_a_file_that_is_damaged_or_missing_is_named(content, complaint, tmp_path):
    if content is not None:
        (tmp_path / "words.json").write_text(content)
    with pytest.raises(UserError, match=complaint):
        BagOfWords.load(tmp_path)
