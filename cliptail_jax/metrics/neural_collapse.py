"""Neural collapse: the variation of features within classes, and the angles between classes.

The measures follow Papyan, Han and Donoho, "Prevalence of neural collapse during the terminal phase of deep learning
training" (PNAS 2020), class by class. With features h_i, C classes, N samples, class means μ_c and their mean μ:

    Σ_W,c = (1/N) Σ_{i in c} (h_i - μ_c)(h_i - μ_c)ᵀ        Σ_B = (1/C) Σ_c (μ_c - μ)(μ_c - μ)ᵀ
    NC1_c = trace(Σ_W,c Σ_B⁺)
    NC2_c = mean, and max ("nearest"), over c' ≠ c of |m_c·m_c' + 1/(C-1)|,   m_c = (μ_c - μ) / |μ_c - μ|

No covariance is ever formed. A singular value decomposition of the centred class means gives Σ_B⁺ = W Wᵀ, hence
NC1_c = (1/N) Σ_{i in c} |Wᵀ(h_i - μ_c)|²: one matrix product, over blocks of samples.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.metrics.similarity import unit

BLOCK = 1024  # samples that are converted to float64 at a time
FeatureBlocks = Iterator[tuple[Float[np.ndarray, "block dim"], Int[np.ndarray, " block"]]]  # features and their classes


class NeuralCollapse(NamedTuple):
    """Measures of each class; nan for classes without samples, except in nc2_head_*."""

    within_class_similarity: Float[np.ndarray, " class"]
    nc1: Float[np.ndarray, " class"]
    nc2_mean: Float[np.ndarray, " class"]
    nc2_nearest: Float[np.ndarray, " class"]
    nc2_head_mean: Float[np.ndarray, " class"]
    nc2_head_nearest: Float[np.ndarray, " class"]


def neural_collapse(
    features: Float[np.ndarray, "sample dim"],
    labels: Int[np.ndarray, " sample"],
    head: Float[np.ndarray, "class head_dim"],
) -> NeuralCollapse:
    """Neural-collapse measures of raw, unnormalized features, which must be finite.

    `within_class_similarity` is the mean cosine between two different samples of a class (nan for a single sample);
    a zero vector has cosine 0 with every other. N, C, μ and Σ_B are over the samples and their classes. `nc2_head_*`
    is NC2 of the uncentred rows of the head, over all classes, because all compete in training.

    Everything is computed on the host in float64, because Σ_B⁺ magnifies rounding errors. Singular values of Σ_B up to
    dim · eps(float64) of the largest count as 0.

    Args:
        features: one row for each sample; at least one sample.
        labels: the class of each sample.
        head: the weights of the classifier, or the class embeddings.
    """
    present, classes, sizes = np.unique(labels, return_inverse=True, return_counts=True)

    def blocks() -> FeatureBlocks:
        for start in range(0, len(labels), BLOCK):
            block = slice(start, start + BLOCK)
            yield features[block].astype(np.float64), classes[block]

    means, similarity = _means_and_similarity(blocks(), sizes, features.shape[1])
    offsets = means - means.sum(axis=0) / len(present)
    nc1 = _nc1(blocks(), means, offsets) / len(labels)
    result = np.full((6, len(head)), np.nan)
    result[:4, present] = [similarity, nc1, *_etf_deviation(offsets)]
    result[4:] = _etf_deviation(head)
    return NeuralCollapse(*result)


def _means_and_similarity(
    blocks: FeatureBlocks, sizes: Int[np.ndarray, " present"], dim: int
) -> tuple[Float[np.ndarray, "present dim"], Float[np.ndarray, " present"]]:
    from scipy.sparse import csr_array  # which is slow to import

    sums = np.zeros((len(sizes), dim))
    unit_sums = np.zeros_like(sums)
    self_cosines = np.zeros(len(sizes))  # each sample's cosine with itself: 1, or 0 for a zero vector
    for rows, row_classes in blocks:
        norms = np.linalg.norm(rows, axis=1)
        shape, places = (len(sizes), len(rows)), (row_classes, np.arange(len(rows)))
        sums += csr_array((np.ones(len(rows)), places), shape) @ rows
        unit_sums += csr_array((1 / np.where(norms > 0, norms, 1), places), shape) @ rows
        self_cosines += np.bincount(row_classes, norms > 0, minlength=len(sizes))
    # The squared norm of the sum of unit vectors is the sum of the cosines of all pairs, including each sample with itself.
    pairs = sizes * (sizes - 1)
    cosines = np.sum(unit_sums**2, axis=1) - self_cosines
    return sums / sizes[:, None], np.where(pairs > 0, cosines / np.maximum(pairs, 1), np.nan)


def _nc1(
    blocks: FeatureBlocks, means: Float[np.ndarray, "present dim"], offsets: Float[np.ndarray, "present dim"]
) -> Float[np.ndarray, " present"]:
    """NC1 of each class times the number of samples."""
    _, singular, directions = np.linalg.svd(offsets, full_matrices=False)
    cutoff = means.shape[1] * np.finfo(np.float64).eps * singular.max() ** 2
    is_large = singular**2 > cutoff
    whiten = directions[is_large].T * (np.sqrt(len(means)) / singular[is_large])

    traces = np.zeros(len(means))
    for rows, row_classes in blocks:
        residuals = (rows - means[row_classes]) @ whiten
        traces += np.bincount(row_classes, np.einsum("ij,ij->i", residuals, residuals), minlength=len(means))
    return traces


def _etf_deviation(vectors: Float[np.ndarray, "row dim"]) -> Float[np.ndarray, "2 row"]:
    """Mean and largest |cosine + 1/(C-1)| of each vector with the C-1 others: 0 for a simplex equiangular tight frame."""
    num_others = len(vectors) - 1
    if num_others < 1:
        return np.full((2, len(vectors)), np.nan)
    vectors = unit(vectors)
    deviation = np.abs(vectors @ vectors.T + 1 / num_others)
    np.fill_diagonal(deviation, 0)
    return np.stack([deviation.sum(axis=1) / num_others, deviation.max(axis=1)])
