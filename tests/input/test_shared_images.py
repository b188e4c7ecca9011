import pickle
import subprocess
import sys

import numpy as np
import pytest
from test_pipeline import make_data, plain

from cliptail_jax.curation.variant import make_variant
from cliptail_jax.input import pipeline
from cliptail_jax.input.pipeline import cache_for
from cliptail_jax.input.shared_images import SharedImages

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="worker processes share images on Linux only")
SHAPE = (3, 4, 3)


def image(value, shape=SHAPE):
    return np.full(shape, value, np.uint8)


OTHER_PROCESS = """
import pickle, sys
images = pickle.loads(sys.stdin.buffer.read())
assert 7 in images and (images[7] == 70).all() and images[8] is None and 8 in images
assert 9 not in images and 6 not in images
images.update([(6, images[7] + 1)])
"""


def test_another_process_has_what_one_has_decoded_and_the_other_way_round():
    images = SharedImages(10, SHAPE)
    images.update([(7, image(70)), (8, None), (9, image(90, (5, 5, 3)))])
    np.testing.assert_array_equal(images[9], image(90, (5, 5, 3)))  # of another shape: this process's own
    subprocess.run([sys.executable, "-c", OTHER_PROCESS], input=pickle.dumps(images), check=True)
    np.testing.assert_array_equal(images[6], image(71))


def test_images_are_shared_where_there_are_workers(monkeypatch):
    variant = make_variant(plain(5), make_data())
    monkeypatch.setattr(pipeline, "decode", lambda *_: iter([None, image(1)]))
    assert cache_for(variant, workers=0, cache=False) is None
    assert cache_for(variant, workers=0, cache=True) == {}
    shared = cache_for(variant, workers=2, cache=True)
    shared.update([(4, image(5))])
    np.testing.assert_array_equal(shared[4], image(5))
