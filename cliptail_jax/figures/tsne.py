"""t-SNE, exact: a map of points in which neighbours stay neighbours (van der Maaten and Hinton, JMLR 9, 2008).

    p(j|i) ∝ exp(-β_i |x_i - x_j|²), β_i such that the perplexity 2^H(p(.|i)) is as asked     p_ij = (p(j|i) + p(i|j)) / 2N
    q_ij ∝ 1 / (1 + |y_i - y_j|²)                                                       loss = Σ p_ij log(p_ij / q_ij)

It takes memory and time by the square of the points: a thousand of them half a minute.
"""

import numpy as np
from jaxtyping import Float

STEPS, EARLY = 750, 250  # in the first of them, EXAGGERATION pulls neighbours together
EXAGGERATION = 12.0


def tsne(
    x: Float[np.ndarray, "point dim"], perplexity: float = 30.0, steps: int = STEPS
) -> Float[np.ndarray, "point 2"]:
    """Coordinates of the map, centred. Starts from the principal components: the same points give the same map.

    The perplexity, about the number of neighbours, is at most a third of the other points.
    """
    points = len(x)
    if points < 4:
        return principal_components(x)
    p = neighbour_probabilities(x, min(perplexity, (points - 1) / 3))
    y = principal_components(x)
    y *= 1e-4 / max(y[:, 0].std(), 1e-12)
    rate = max(points / EXAGGERATION / 4, 50.0)
    velocity, gains = np.zeros_like(y), np.ones_like(y)
    for step in range(steps):
        is_early = step < EARLY
        slope = gradient(p * EXAGGERATION if is_early else p, y)
        # A coordinate that keeps its direction goes faster, one that turns slower (Jacobs, 1988).
        gains = np.maximum(np.where(slope * velocity < 0, gains + 0.2, gains * 0.8), 0.01)
        velocity = (0.5 if is_early else 0.8) * velocity - rate * gains * slope
        y = y + velocity
    return y - y.mean(axis=0)


def principal_components(x: Float[np.ndarray, "point dim"]) -> Float[np.ndarray, "point 2"]:
    """The two largest, each with a sign that makes its largest entry positive."""
    x = np.asarray(x, np.float64)
    left, singular, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    components = np.zeros((len(x), 2))
    components[:, : len(singular)] = (left * singular)[:, :2]
    largest = components[np.abs(components).argmax(axis=0), [0, 1]]
    return components * np.where(largest < 0, -1, 1)


def squared_distances(x: Float[np.ndarray, "point dim"]) -> Float[np.ndarray, "point point"]:
    x = np.asarray(x, np.float64)
    lengths = np.sum(x**2, axis=1)
    return np.maximum(lengths[:, None] + lengths - 2 * x @ x.T, 0)


def conditional_probabilities(
    distances: Float[np.ndarray, "point point"], perplexity: float
) -> Float[np.ndarray, "point point"]:
    """p(j|i) in row i, by bisection of β_i."""
    points = len(distances)
    low, high, beta = np.zeros(points), np.full(points, np.inf), np.ones(points)
    distances = distances / max(distances.mean(), 1e-300)  # about 1, as the first β
    np.fill_diagonal(distances, np.inf)  # no point is its own neighbour
    distances -= distances.min(axis=1, keepdims=True)  # the nearest has a weight of 1
    for _ in range(64):
        p = np.exp(-beta[:, None] * distances)
        p /= p.sum(axis=1, keepdims=True)
        entropy = -np.sum(p * np.log(np.maximum(p, 1e-300)), axis=1)
        is_wide = entropy > np.log(perplexity)
        low, high = np.where(is_wide, beta, low), np.where(is_wide, high, beta)
        beta = np.where(np.isinf(high), 2 * beta, (low + high) / 2)
    return p


def neighbour_probabilities(x: Float[np.ndarray, "point dim"], perplexity: float) -> Float[np.ndarray, "point point"]:
    """p_ij, which sum to 1."""
    p = conditional_probabilities(squared_distances(x), perplexity)
    return (p + p.T) / (2 * len(p))


def gradient(p: Float[np.ndarray, "point point"], y: Float[np.ndarray, "point 2"]) -> Float[np.ndarray, "point 2"]:
    """4 Σ_j (p_ij - q_ij) (y_i - y_j) / (1 + |y_i - y_j|²)."""
    kernel = 1 / (1 + squared_distances(y))
    np.fill_diagonal(kernel, 0)
    weights = (p - kernel / kernel.sum()) * kernel
    return 4 * (weights.sum(axis=1, keepdims=True) * y - weights @ y)
