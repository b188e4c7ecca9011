"""Worker processes of evaluations, which are threads here."""

import itertools

import numpy as np
import pytest

from cliptail_jax.input import pipeline
from cliptail_jax.input.preprocess import Preprocess
from tests.input.test_pipeline import BATCH, make_data, make_variant, noisy

KEYS = ("images", "labels", "mask")


@pytest.mark.parametrize("keep, starts", [(True, 2), (False, 4)])
def test_processes_of_a_complete_pass_stay_for_the_next_one(keep, starts, monkeypatch):
    started, iterate = [], pipeline.iterate
    monkeypatch.setattr(pipeline, "iterate", lambda dataset, workers: started.append(workers) or iterate(dataset, 0))
    variant, options = make_variant(noisy(20), make_data()), dict(batch_size=BATCH, workers=1, keep_workers=keep)
    start = pipeline.evaluation_batches(variant, Preprocess(8), **options)
    first, second = list(start()), list(start())
    list(itertools.islice(start(), 1))  # given up
    for batches in (second, list(start())):
        assert len(batches) == len(first) > 1
        assert all(np.array_equal(a[key], b[key]) for a, b in zip(first, batches) for key in KEYS)
    assert started == [1] * starts
