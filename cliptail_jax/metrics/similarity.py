"""The similarity of the images of a class to each other and to the embedding of the class."""

from typing import NamedTuple

import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int


class Similarities(NamedTuple):
    """Cosines of each class.

    Attributes:
        image_image_similarity: the mean over pairs of different images; nan for fewer than two images.
        image_text_similarity: the mean over images of the cosine with the class embedding; nan without images.
        image_text_similarity_std: its standard deviation over images (with the denominator n).
    """

    image_image_similarity: Float[np.ndarray, " class"]
    image_text_similarity: Float[np.ndarray, " class"]
    image_text_similarity_std: Float[np.ndarray, " class"]


class ClassSimilarities:
    """Computes `Similarities` batch by batch in float64, without keeping features.

    With the unit features u_i of the n images of a class, Σ_{i≠j} u_i·u_j = |Σ_i u_i|² − n. A zero vector has cosine 0 with
    every vector, itself included.
    """

    def __init__(self, head: Float[np.ndarray, "class dim"]):
        self._head = unit(head)
        classes, dim = self._head.shape
        self._images = np.zeros(classes)
        self._sum = np.zeros((classes, dim))
        self._self_cosines = np.zeros(classes)  # sum of each image's cosine with itself, which is no pair
        self._mean, self._squares = np.zeros(classes), np.zeros(classes)

    def add(
        self, features: Float[np.ndarray, "slot dim"], labels: Int[np.ndarray, " slot"], mask: Bool[np.ndarray, " slot"]
    ) -> None:
        """Add a batch of image features of any norm. Slots whose mask is False are ignored."""
        features, labels = unit(features[mask]), labels[mask]
        cosines = np.sum(features * self._head[labels], axis=1)
        for label in np.unique(labels):
            is_class = labels == label
            self._sum[label] += features[is_class].sum(axis=0)
            self._self_cosines[label] += np.sum(features[is_class] ** 2)
            # The mean and the sum of squared deviations are updated as by Chan, Golub & LeVeque (1983).
            n, m, new_cosines = self._images[label], np.sum(is_class), cosines[is_class]
            shift = new_cosines.mean() - self._mean[label]
            self._images[label] += m
            self._mean[label] += shift * m / (n + m)
            self._squares[label] += np.sum((new_cosines - new_cosines.mean()) ** 2) + shift**2 * n * m / (n + m)

    def result(self) -> Similarities:
        n = self._images
        pairs = np.sum(self._sum**2, axis=1) - self._self_cosines
        return Similarities(
            np.where(n > 1, pairs / np.maximum(n * (n - 1), 1), np.nan),
            np.where(n > 0, self._mean, np.nan),
            np.where(n > 0, np.sqrt(self._squares / np.maximum(n, 1)), np.nan),
        )


def unit(x: Float[Array | np.ndarray, "row dim"]) -> Float[np.ndarray, "row dim"]:
    """The rows normalized to length 1, in float64; zero vectors stay zero."""
    x = np.asarray(x, np.float64)
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(norms > 0, norms, 1)
