"""Time of the linear probe's 45 fits against scikit-learn's, warm-started along the same path, in one process.

    python scripts/benchmark/linear_probe.py           # N = 4,000, D = 1,024, C = 100, beside scikit-learn (to be installed)
    python scripts/benchmark/linear_probe.py --large   # N = 50,000, D = 128, C = 100, ours alone

Prints one JSON line. `seconds` is ours once compiled, `first_call_seconds` the call before it. Features are float32 of
uneven scale, each example there twice, and 30 % of the second labels drawn anew: nothing separates the classes.
scikit-learn fits its defaults (`tol` 1e-4), and tighter tolerances, each with as many iterations as it takes; its
float64 is where the tight ones have the digits to go on. Losses are compared in float64, over all 45 weight decays:
`we_are_lower` is by what share at most ours lies below scikit-learn's, `we_are_higher` above it, and `accuracy` the
largest difference of training accuracies in points. `choice` is the same at the weight decays from 1e-2 up.
"""

import argparse
import json
import time
import warnings

import numpy as np
from machine import machine
from scipy.special import log_softmax

from cliptail_jax.transfer.linear_probe import WEIGHT_DECAYS, Linear, fit_path

CLASSES = 100
DEFAULT, TIGHT = 1e-4, (1e-5, 1e-6)


def make_features(samples: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    once = samples // 2
    labels = rng.permutation(np.arange(once) % CLASSES)
    means = rng.normal(size=(CLASSES, dim)) / 2
    features = (means[labels] + rng.normal(size=(once, dim))) * np.arange(1, dim + 1) ** -0.5
    features = (features @ np.linalg.qr(rng.normal(size=(dim, dim)))[0]).astype(np.float32)
    again = np.where(rng.random(once) < 0.3, rng.integers(0, CLASSES, once), labels)
    return np.concatenate([features, features]), np.concatenate([labels, again])


def our_fits(features: np.ndarray, labels: np.ndarray) -> Linear:
    return Linear(*map(np.asarray, fit_path(features, labels, CLASSES)))


def their_fits(features: np.ndarray, labels: np.ndarray, tolerance: float) -> tuple[Linear, int]:
    """The optima, and the number of iterations."""
    from sklearn.linear_model import LogisticRegression

    limit = {} if tolerance == DEFAULT else {"tol": tolerance, "max_iter": 100_000}
    model = LogisticRegression(warm_start=True, **limit)
    weights, biases, iterations = [], [], 0
    for weight_decay in WEIGHT_DECAYS:
        model.set_params(C=1 / weight_decay).fit(features, labels)
        weights.append(model.coef_.T.copy())
        biases.append(model.intercept_.copy())
        iterations += int(model.n_iter_[0])
    return Linear(np.stack(weights), np.stack(biases)), iterations


def timed(function, *arguments):
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def losses_and_accuracies(path: Linear, features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found = []
    for weight_decay, weights, bias in zip(WEIGHT_DECAYS, *path):
        log_probabilities = log_softmax(features.astype(np.float64) @ weights + bias, axis=1)
        loss = -log_probabilities[np.arange(len(labels)), labels].mean()
        loss += weight_decay / 2 / len(labels) * (weights.astype(np.float64) ** 2).sum()
        found.append((loss, 100 * np.mean(log_probabilities.argmax(1) == labels)))
    return tuple(np.transpose(found))


def compared(ours: tuple[np.ndarray, np.ndarray], theirs: tuple[np.ndarray, np.ndarray]) -> dict[str, float]:
    gap = ours[0] / theirs[0] - 1
    return {
        "we_are_lower": float(-gap.min()),
        "we_are_higher": float(gap.max()),
        "accuracy": float(np.abs(ours[1] - theirs[1]).max()),
        "choice": {
            "we_are_lower": float(-gap[WEIGHT_DECAYS >= 1e-2].min()),
            "accuracy": float(np.abs(ours[1] - theirs[1])[WEIGHT_DECAYS >= 1e-2].max()),
        },
    }


def beside_scikit_learn(features: np.ndarray, labels: np.ndarray, path: Linear, seconds: float) -> list[dict]:
    ours = losses_and_accuracies(path, features, labels)
    rows = []
    for tolerance in (DEFAULT, *TIGHT):
        dtype = np.float32 if tolerance == DEFAULT else np.float64
        taken, (theirs, iterations) = timed(their_fits, features.astype(dtype), labels, tolerance)
        row = {"tol": tolerance, "dtype": dtype.__name__, "seconds": round(taken, 2), "iterations": iterations}
        speed_up = {"speed_up": round(taken / seconds, 1)}
        rows.append(row | speed_up | compared(ours, losses_and_accuracies(theirs, features, labels)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help="N = 50,000, D = 128, without scikit-learn")
    args = parser.parse_args()
    samples, dim = (50_000, 128) if args.large else (4000, 1024)
    warnings.simplefilter("ignore")  # scikit-learn's, at its default limit of iterations

    features, labels = make_features(samples, dim)
    first, _ = timed(our_fits, features, labels)
    seconds, path = timed(our_fits, features, labels)
    report = {
        "benchmark": "linear_probe",
        "samples": samples,
        "dim": dim,
        "classes": CLASSES,
        "fits": len(WEIGHT_DECAYS),
        "seconds": round(seconds, 2),
        "first_call_seconds": round(first, 2),
    }
    if not args.large:
        report["scikit_learn"] = beside_scikit_learn(features, labels, path, seconds)
    print(json.dumps(report | {"machine": machine()}))


if __name__ == "__main__":
    main()
