"""Time of the linear probe's 45 fits against scikit-learn's, warm-started along the same path, in one process.

    python scripts/benchmark/linear_probe.py           # N = 4,000, D = 1,024, C = 100, beside scikit-learn, to be installed
    python scripts/benchmark/linear_probe.py --samples=50000 --dim=128 --without_scikit_learn

Prints one JSON line. `seconds` is ours once compiled, `first_call_seconds` the call before it. The classes cannot be
separated: features are float32 of uneven scale, each example is there twice, and 30 % of the second labels are drawn anew.
scikit-learn fits its default (`tol` 1e-4) in float32, and tighter tolerances in float64, with as many iterations as
needed; tests/transfer/test_linear_probe.py compares the optima.
"""

import argparse
import time
import warnings
from collections.abc import Sequence

import jax
import numpy as np
from common import print_report

from cliptail_jax.transfer.linear_probe import WEIGHT_DECAYS, fit_path

DEFAULT, TIGHT = 1e-4, (1e-5, 1e-6)


def make_features(samples: int, dim: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    once = samples // 2
    labels = rng.permutation(np.arange(once) % classes)
    means = rng.normal(size=(classes, dim)) / 2
    features = (means[labels] + rng.normal(size=(once, dim))) * np.arange(1, dim + 1) ** -0.5
    features = (features @ np.linalg.qr(rng.normal(size=(dim, dim)))[0]).astype(np.float32)
    again = np.where(rng.random(once) < 0.3, rng.integers(0, classes, once), labels)
    return np.concatenate([features, features]), np.concatenate([labels, again])


def our_fits(features: np.ndarray, labels: np.ndarray, classes: int) -> None:
    jax.block_until_ready(fit_path(features, labels, classes))


def their_fits(features: np.ndarray, labels: np.ndarray, tolerance: float) -> None:
    from sklearn.linear_model import LogisticRegression

    limit = {} if tolerance == DEFAULT else {"tol": tolerance, "max_iter": 100_000}
    model = LogisticRegression(warm_start=True, **limit)
    for weight_decay in WEIGHT_DECAYS:
        model.set_params(C=1 / weight_decay).fit(features, labels)


def seconds_of(function, *arguments) -> float:
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--dim", type=int, default=1024)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--without_scikit_learn", action="store_true")
    options = parser.parse_args(arguments)
    features, labels = make_features(options.samples, options.dim, options.classes)
    first = seconds_of(our_fits, features, labels, options.classes)
    seconds = seconds_of(our_fits, features, labels, options.classes)
    rows = []
    for tolerance in () if options.without_scikit_learn else (DEFAULT, *TIGHT):
        dtype = np.float32 if tolerance == DEFAULT else np.float64
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the default limit of iterations is reached
            duration = seconds_of(their_fits, features.astype(dtype), labels, tolerance)
        rows.append({"tol": tolerance, "seconds": round(duration, 2), "speed_up": round(duration / seconds, 1)})
    sizes = {"samples": options.samples, "dim": options.dim, "classes": options.classes, "fits": len(WEIGHT_DECAYS)}
    times = {"seconds": round(seconds, 2), "first_call_seconds": round(first, 2)}
    print_report("linear_probe", **sizes, **times, scikit_learn=rows)


if __name__ == "__main__":
    main()
