"""A pass over made-up images by a model whose features are their pixels, and the same by a loop in float64."""

import jax
import numpy as np
from flax import nnx

from cliptail_jax.evaluation.counting import count_shapes, make_evaluate_batch
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.parallel.sharding import replicated, to_devices

SIDE, DIM = 2, 12
PREPROCESS = Preprocess(SIDE, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4))


class Pixels(nnx.Module):
    """Its features are the pixels."""

    def encode_image(self, images):
        return images.reshape(len(images), -1)


class Images:
    """Made-up images of random pixels and labels, some of them masked."""

    def __init__(self, images, classes, seed=0):
        rng = np.random.default_rng(seed)
        self.pixels = rng.integers(0, 256, (images, SIDE, SIDE, 3), dtype=np.uint8)
        self.mask = rng.random(images) < 0.9
        self.labels = np.where(self.mask, rng.integers(0, classes, images), 0).astype(np.int32)

    @property
    def features(self):
        features = (self.pixels / 255 - np.array(PREPROCESS.mean)) / np.array(PREPROCESS.std)
        return features.reshape(len(features), -1)[self.mask]

    @property
    def true(self):
        return self.labels[self.mask]

    def batches(self, size):
        for start in range(0, len(self.mask), size):
            part = slice(start, start + size)
            yield {"images": self.pixels[part], "labels": self.labels[part], "mask": self.mask[part]}


def counts_of(images, head, mesh, batch_size=16):
    """The counts of a pass over the images on a mesh."""
    graphdef, state = nnx.split(Pixels())
    evaluate_batch = make_evaluate_batch(graphdef, mesh, PREPROCESS)
    shapes = count_shapes(len(head.embeddings), head.has_logits)
    counts = jax.device_put({name: np.zeros(shape, np.int32) for name, shape in shapes.items()}, replicated(mesh))
    for batch in images.batches(batch_size):
        counts, *_ = evaluate_batch((state,), head, counts, to_devices(mesh, batch))
    return {name: np.asarray(value, np.int64) for name, value in counts.items()}


def cosines(features, embeddings):
    """In float64, one by one."""
    embeddings = np.asarray(embeddings, np.float64)
    rows = [[x @ w / np.sqrt((x @ x) * (w @ w)) for w in embeddings] for x in np.asarray(features, np.float64)]
    return np.array(rows)


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)
