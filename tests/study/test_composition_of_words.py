"""The analysis composition.py: counts, ranks and regressions against slow ones, and the program on a run with invented ranks."""

import collections
import dataclasses
import re

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from cliptail_jax.concepts.words import lemmas_of
from cliptail_jax.config.fields import plain
from cliptail_jax.curation.variant import open_variant
from cliptail_jax.evaluation.pairs import open_pairs
from cliptail_jax.evaluation.retrieval import RetrievalTask
from cliptail_jax.metrics import bootstrap
from cliptail_jax.metrics.retrieval import RetrievalResults
from cliptail_jax.objectives import FIELDS
from cliptail_jax.results.directory import read_directory
from cliptail_jax.runs.directory import finish, open_or_resume
from configs import clip
from configs.study.analyses import composition
from tests.pages import table_rows
from tests.synthetic import sections

SET = "glyphs:test@title"


@pytest.fixture(scope="module", autouse=True)
def few_resamples():
    """Enough for intervals of two digits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "RESAMPLES", 100)
        yield


def test_ranks_are_those_among_images_of_other_texts():
    rng = np.random.default_rng(0)
    text_of_image = rng.integers(0, 6, 40)
    texts, ranks, expected = [], [], []
    for text in range(6):
        order = rng.permutation(40)
        for image in np.flatnonzero(text_of_image == text).repeat(2):  # each has the same caption twice
            before = order[: np.flatnonzero(order == image)[0]]
            texts.append(f"text {text}")
            ranks.append(len(before))
            expected.append(np.sum(text_of_image[before] != text))
    shuffled = rng.permutation(len(texts))
    found = composition.ranks_among_others([texts[i] for i in shuffled], np.array(ranks)[shuffled])
    np.testing.assert_array_equal(found, np.array(expected)[shuffled])


def simulated(rng, true, pairs=1200):
    """Counts of pairs of words, some of which were never together, two runs each, and what a model with `true` terms finds."""
    larger, smaller = np.sort(np.round(10 ** rng.uniform(0, 4, (pairs, 2))).astype(int), axis=1)[:, ::-1].T
    together = rng.binomial(smaller, rng.choice([0, 0.01, 0.3], pairs))
    numbers = [larger, smaller, together, np.full(pairs, 100_000)]
    eta = composition.terms(*numbers) @ true[1:] + true[0]
    examples, names = rng.integers(1, 20, pairs), [f"a{i} b{i}" for i in range(pairs)]
    return [composition.Pairs(names, *numbers, rng.binomial(examples, expit(eta)), examples) for _ in range(2)]


def test_tables_recover_the_coefficients_and_the_better_model():
    for true, best in (([-3, 0.3, 0.8, 0, 0], 1), ([0, 0, 0, 0, 0.9], 2), ([-2, 0, 0, 0.7, 0], 3)):
        rows = composition.table(simulated(np.random.default_rng(1), np.array(true)))
        assert len(rows) == len(composition.MODELS) + 1 and "with n_ab = 0" in rows[-1][0]
        losses = np.array([float(row[6]) for row in rows[:-1]])
        explained = np.array([float(row[5]) for row in rows[:-1]])
        assert losses[best] == min(losses[:4]) and explained[0] == 0 and explained[4] == max(explained)
        for term in composition.MODELS[best]:
            value, low, high = map(float, re.findall(r"-?[\d.]+", rows[best][1 + term]))
            assert low - 0.01 <= true[1 + term] <= high + 0.01 and low <= value <= high and high - low < 0.2
        assert [bool(row[7]) for row in rows] == [False, False, True, True, False, False]


def test_r2_and_log_loss_are_those_of_direct_maximization_over_single_captions():
    (cells, _) = simulated(np.random.default_rng(2), np.array([-2, 0.2, 0.5, 0.3, 0]), pairs=120)
    x = composition.terms(*cells[1:5])[:, [0, 1]]
    _, explained, loss = composition.estimates(x, cells.correct, cells.examples, cells.names)
    units = np.unique(cells.names, return_inverse=True)[1]
    fold = (np.random.default_rng(0).permutation(len(x)) % 10)[units].repeat(cells.examples)
    right = np.concatenate([np.arange(n) < k for k, n in zip(cells.correct, cells.examples)])
    design = np.column_stack([np.ones(len(x)), x]).repeat(cells.examples, axis=0)

    def losses(beta, rows):
        eta = design[rows][:, : len(beta)] @ beta
        return -np.log(np.where(right[rows], expit(eta), expit(-eta)))

    def best(terms, rows):
        return minimize(lambda beta: losses(beta, rows).sum(), np.zeros(terms), method="BFGS").x

    everything = np.ones(len(design), bool)
    direct = 1 - losses(best(3, everything), everything).sum() / losses(best(1, everything), everything).sum()
    assert explained == pytest.approx(direct, abs=1e-6)
    held_out = [losses(best(3, fold != k), fold == k) for k in range(10)]
    assert loss == pytest.approx(np.concatenate(held_out).mean(), abs=1e-6)


@pytest.fixture(scope="module")
def run(small_config, tmp_path_factory):
    """A finished run on titles of 12 of the glyphs, whose ranks are invented."""
    config, workdir = small_config(clip), tmp_path_factory.mktemp("composition") / "run"
    config.data.captions.words, config.eval.sets = ("title",), (SET,)
    variant = open_variant(sections(config).data)
    data = {"records": len(variant), "fingerprint": variant.fingerprint()}
    open_or_resume(workdir, plain(config), FIELDS, data, overwrite=False)
    opened, rng = open_pairs(SET, config.data.data_dir), np.random.default_rng(0)
    kept = np.delete(np.arange(len(opened.captions)), 3)  # an image that could not be read
    ranks = rng.integers(0, 12, len(kept))
    results = RetrievalResults(ranks, ranks, kept, opened.caption_records[kept])
    RetrievalTask(opened, {}).write(workdir, {"step": 8, "epoch": 1.0}, results)
    finish(workdir, step=8, seconds=90.0)
    return config, workdir, variant, [opened.captions[row] for row in kept]


def test_counts_are_those_of_the_captions(run):
    _, workdir, variant, texts = run
    (found,) = read_directory(workdir).runs
    pairs = composition.pairs_of(found)
    training = [lemmas_of(caption) for caption in variant.captions(range(len(variant)), epoch=0)]
    frequency = collections.Counter(word for words in training for word in set(words))
    queries = [" ".join(sorted(set(lemmas_of(text)))) for text in texts]
    names = [" ".join(sorted(name.split())) for name in pairs.names]
    assert sorted(names) == sorted({query for query in queries if query.count(" ") == 1})
    for name, (_, larger, smaller, together, total, _, examples) in zip(names, zip(*pairs)):
        a, b = name.split()
        assert sorted((frequency[a], frequency[b])) == [smaller, larger] and total == len(training)
        assert together == sum(a in words and b in words for words in training)
        assert examples == queries.count(name)
    assert min(pairs.together) == 0 < max(pairs.together)


def test_program_prints_a_table_and_draws_a_picture(run, tmp_path, capsys):
    assert composition.main([f"--workdir={run[1]}", f"--output={tmp_path}/composition.png"]) == 0
    *_, unseen = table_rows(capsys.readouterr().out, "study")
    assert tuple(unseen) == composition.COLUMNS and unseen["pairs"].endswith("with n_ab = 0")
    assert (tmp_path / "composition.png").stat().st_size > 10_000


def test_runs_without_composition_are_one_line(run, tmp_path, capsys, monkeypatch):
    output = f"--output={tmp_path}/composition.png"

    def error_of(workdir):
        assert composition.main([f"--workdir={workdir}", output]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    (tmp_path / "empty").mkdir()
    assert "no finished run is evaluated by retrieval: evaluate one on eval.sets" in error_of(tmp_path / "empty")
    opened = open_pairs(SET, run[0].data.data_dir)
    for changed, error in (
        (None, f"was evaluated on other captions than '{SET}' has now"),
        (
            dataclasses.replace(opened, captions=["zebra"] * len(opened.captions)),
            f"no caption of '{SET}' has exactly two",
        ),
    ):
        monkeypatch.setattr(composition, "open_pairs", lambda *_, changed=changed: changed)
        assert error in error_of(run[1])
