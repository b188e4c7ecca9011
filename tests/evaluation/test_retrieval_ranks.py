"""Ranks that are counted in blocks, against a sort of the whole matrix, open_clip and CLIP_benchmark."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptail_jax.evaluation.ranks import SIDE, make_count_before, make_rank
from cliptail_jax.metrics.measures import MEASURES
from cliptail_jax.metrics.retrieval import CUTOFFS, RetrievalResults
from tests.synthetic import mesh_of

STORED = np.load(Path(__file__).parents[1] / "data" / "retrieval.npz")
RANK = make_rank(mesh_of(2), side=128)


def sorted_ranks(queries, query_images, candidates, candidate_images):
    """The place of the first own candidate, where all are sorted by score, and equal ones stay in order."""
    order = np.argsort(-(np.float64(queries) @ np.float64(candidates).T), axis=1, kind="stable")
    return (candidate_images[order] == query_images[:, None]).argmax(1)


def unit(features):
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def results(images, captions, image_of, rank=RANK):
    rows = np.arange(len(images))
    ranks = rank(images, rows, captions, image_of), rank(captions, image_of, images, rows)
    return RetrievalResults(*ranks, rows, np.arange(len(captions)))


def recalls(found):
    names = [f"{direction}_r{k}" for direction in ("image_to_text", "text_to_image") for k in CUTOFFS]
    return {name: MEASURES[name].value(found) for name in names}


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), images=st.integers(2, 300), more=st.integers(0, 500))
def test_ranks_are_those_of_a_stable_sort_of_the_whole_matrix(seed, images, more):
    """Features are a few small multiples of 1/2, so that most scores have equals and all are exact."""
    rng = np.random.default_rng(seed)
    image_of = rng.permutation(np.append(np.arange(images), rng.integers(0, images, more)))
    queries, candidates = (rng.integers(-2, 3, (n, 3)).astype(np.float32) / 2 for n in (images, len(image_of)))
    found = results(queries, candidates, image_of)
    rows = np.arange(images)
    np.testing.assert_array_equal(found.image_to_text, sorted_ranks(queries, rows, candidates, image_of))
    np.testing.assert_array_equal(found.text_to_image, sorted_ranks(candidates, image_of, queries, rows))


def test_equal_unit_features_have_equal_cosines_in_all_blocks():
    """Each of five features is repeated in many blocks: the rank is the number of rows before it that are equal to it."""
    rng = np.random.default_rng(0)
    features = unit(rng.normal(size=(5, 16)).astype(np.float32))[rng.integers(0, 5, 700)]
    rows = np.arange(700)
    expected = [np.sum((features[:row] == features[row]).all(1)) for row in rows]
    np.testing.assert_array_equal(RANK(features, rows, features, rows), expected)


@pytest.mark.parametrize("devices", [1, 2, 8])
def test_ranks_do_not_depend_on_devices_and_blocks(devices):
    image_of = STORED["image_of"]
    features = unit(STORED["images"]), unit(STORED["captions"])
    found = results(*features, image_of, make_rank(mesh_of(devices, 1 + (devices > 1)), side=128))
    expected = results(*features, image_of)
    np.testing.assert_array_equal(found.image_to_text, expected.image_to_text)
    np.testing.assert_array_equal(found.text_to_image, expected.text_to_image)


def test_numbers_of_pairs_are_those_of_open_clip_also_with_equal_features():
    found = results(STORED["pair_images"], STORED["pair_captions"], np.arange(64))
    for direction in ("image_to_text", "text_to_image"):
        for k in CUTOFFS:
            expected = 100 * STORED[f"open_clip_{direction}_R@{k}"]
            assert MEASURES[f"{direction}_r{k}"].value(found) == pytest.approx(expected)
        for average in ("mean", "median"):
            name = f"{direction}_{average}_rank"
            assert MEASURES[name].value(found) == pytest.approx(STORED[f"open_clip_{name}"])


def of_clip_benchmark(prefix):
    """It names a direction by what is found."""
    names = {"image_to_text": "text", "text_to_image": "image"}
    return {
        f"{direction}_r{k}": 100 * STORED[f"{prefix}{found}_retrieval_recall_{k}"]
        for direction, found in names.items()
        for k in CUTOFFS
    }


def test_recalls_with_several_captions_of_an_image_are_those_of_clip_benchmark():
    found = results(unit(STORED["images"]), unit(STORED["captions"]), STORED["image_of"])
    assert recalls(found) == pytest.approx(of_clip_benchmark(""), abs=1e-4)


def test_with_equal_features_clip_benchmark_is_between_the_best_and_the_worst_order_of_equals():
    """It leaves their order to torch.topk; the ranks here are between these two, too."""
    images, captions, image_of = unit(STORED["tied_images"]), unit(STORED["tied_captions"]), STORED["tied_image_of"]
    scores = np.round(np.float64(images) @ np.float64(captions).T, 6)
    own = image_of == np.arange(len(images))[:, None]
    bounds = []
    for sign in (-1, 1):  # equal ones after, and before the own
        ranks = []
        for score, is_own in ((scores, own), (scores.T, own.T)):
            best = np.where(is_own, score, -np.inf).max(1, keepdims=True)
            other = ~is_own & ((score > best) | (sign > 0) & (score == best))
            ranks.append(other.sum(1))
        bounds.append(recalls(RetrievalResults(*ranks, np.arange(len(images)), np.arange(len(captions)))))
    best, worst = bounds
    assert best != worst
    for stored in (of_clip_benchmark("tied_"), recalls(results(images, captions, image_of))):
        assert all(worst[name] - 1e-4 <= stored[name] <= best[name] + 1e-4 for name in best)


def test_a_million_images_and_captions_need_their_features_and_a_block():
    """By compiling for them: 2.2 GB of features of 512 numbers, and few blocks of 64 MB; the matrix would have 4 TB."""
    number, width = 2**20, 512
    blocks = jax.ShapeDtypeStruct((number // SIDE, SIDE, width), jnp.float32)
    images = jax.ShapeDtypeStruct((number // SIDE, SIDE), jnp.int32)
    queries = (
        jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in (((SIDE, width), jnp.float32), ((SIDE,), jnp.int32))
    )
    memory = make_count_before(mesh_of(1)).lower(*queries, blocks, images).compile().memory_analysis()
    assert memory.argument_size_in_bytes == pytest.approx(4 * width * number, rel=0.01)
    assert memory.temp_size_in_bytes < 4 * 4 * SIDE**2


def test_nothing_is_ranked_after_giving_up():
    rows = np.arange(3)
    assert RANK(np.eye(3, dtype=np.float32), rows, np.eye(3, dtype=np.float32), rows, lambda: True) is None
