"""Logistic regression with several terms on resamples of the same rows. `odds` has one term and Firth's penalty."""

import numpy as np
from jaxtyping import Float, Int
from scipy.special import expit, log_expit

from cliptail_jax.metrics.odds import LARGEST_STEP

# Newton's method converges in about ten iterations, or grows by about 1 in each. The term of the matrix keeps it regular.
ITERATIONS, TOLERANCE, REGULAR = 25, 1e-9, 1e-14


def fit(
    x: Float[np.ndarray, "row term"],
    correct: Int[np.ndarray, " row"],
    examples: Int[np.ndarray, " row"],
    weights: Float[np.ndarray, "resample row"],
) -> Float[np.ndarray, "resample term"]:
    """The maximum-likelihood β of logit P = x β by Newton's method, with the weights of rows in each resample.

    nan if there is none because a line separates right from wrong; intervals leave such resamples out.
    """
    beta = np.zeros((len(weights), x.shape[1]))
    products = (x[:, :, None] * x[:, None, :]).reshape(len(x), -1)
    for _ in range(ITERATIONS):
        p = expit(beta @ x.T)
        information = ((weights * (examples * p * (1 - p))) @ products).reshape(-1, x.shape[1], x.shape[1])
        gradient = (weights * (correct - examples * p)) @ x
        step = np.linalg.solve(information + REGULAR * np.eye(x.shape[1]), gradient[..., None])[..., 0]
        beta += step * (LARGEST_STEP / np.abs(step @ x.T).max(axis=1, keepdims=True).clip(LARGEST_STEP))
        if np.abs(step).max() < TOLERANCE:
            break
    return np.where(np.abs(step).max(axis=1, keepdims=True) < TOLERANCE, beta, np.nan)


def log_likelihood(
    beta: Float[np.ndarray, "resample term"],
    x: Float[np.ndarray, "row term"],
    correct: Int[np.ndarray, " row"],
    examples: Int[np.ndarray, " row"],
) -> Float[np.ndarray, "resample row"]:
    """The log-likelihood of each row's examples, in nats: Σ log P of the right ones and log (1 − P) of the others."""
    eta = beta @ x.T
    return correct * eta + examples * log_expit(-eta)
