"""What composition.py and noise_purity.py share: their command line, and logistic regression with several terms on resamples.

`cliptail_jax.metrics.odds` has one term and Firth's penalty.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from scipy.special import expit, log_expit

from cliptail_jax.host.outputs import add_picture
from cliptail_jax.metrics.bootstrap import resamples_of, times_drawn
from cliptail_jax.metrics.odds import LARGEST_STEP
from cliptail_jax.report.style import check_output
from cliptail_jax.results.directory import read_directory
from cliptail_jax.results.run import Run

# Newton's method converges in about ten iterations, or grows by about 1 in each. The term of the matrix keeps it regular.
ITERATIONS, TOLERANCE, REGULAR = 25, 1e-9, 1e-14


def read_runs(description: str, arguments: Sequence[str]) -> tuple[Path, Iterator[tuple[str, Run]]]:
    """The file to draw to, and the finished runs of the given directories, each with its directory."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=Path, action="append", required=True, help="of runs; several are allowed")
    add_picture(parser)
    options = parser.parse_args(arguments)
    check_output(options.output, options.overwrite)
    runs = ((str(workdir), run) for workdir in options.workdir for run in read_directory(workdir).runs)
    return options.output, ((workdir, run) for workdir, run in runs if run.is_finished)


def weights_of_resamples(units: int) -> Iterator[Float[np.ndarray, "resample unit"]]:
    """The number of times each unit is in each resample of `resamples_of`, in blocks, as weights of a regression."""
    for block in resamples_of(units):
        yield times_drawn(block, units).astype(float)


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
