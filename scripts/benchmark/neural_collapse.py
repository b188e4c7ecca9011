"""Time and peak memory of `cliptail_jax.metrics.neural_collapse`, or of the formula taken literally.

    python scripts/benchmark/neural_collapse.py             # C = 100, D = 1024, N = 5,000, float32
    python scripts/benchmark/neural_collapse.py --direct    # the same by the formula's definition
    python scripts/benchmark/neural_collapse.py --classes=1000 --samples=50000

Prints one JSON line. Peak memory includes Python, its libraries (JAX, too) and the features; `before_gib` is the peak just
before the call. Times are the best of at least three calls and five seconds, with one BLAS thread: threads that wait for
each other on a busy machine make times meaningless.
"""

import argparse
import os
import time
from collections.abc import Sequence

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # before NumPy is imported

import numpy as np  # noqa: E402
from common import peak_gib, print_report  # noqa: E402

from cliptail_jax.metrics.neural_collapse import neural_collapse  # noqa: E402


def make_features(classes: int, samples: int, dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(samples) % classes)
    features = rng.standard_normal((samples, dim), np.float32)
    means = rng.standard_normal((classes, dim), np.float32)
    for start in range(0, samples, 1000):
        features[start : start + 1000] += means[labels[start : start + 1000]]
    return features, labels, rng.standard_normal((classes, dim), np.float32)


def direct(features: np.ndarray, labels: np.ndarray, head: np.ndarray) -> dict[str, np.ndarray]:
    """The definitions, one [dim, dim] covariance per class, in the dtype of the features."""
    classes, dim, dtype = len(head), features.shape[1], features.dtype
    groups = [features[labels == label] for label in range(classes)]
    means = np.stack([group.mean(axis=0) for group in groups])
    offsets = means - means.mean(axis=0)
    between_inverse = np.linalg.pinv(offsets.T @ offsets / classes, rcond=dim * np.finfo(dtype).eps)

    similarity, nc1 = np.zeros(classes, dtype), np.zeros(classes, dtype)
    for label, group in enumerate(groups):
        deviations = group - means[label]
        covariance = deviations.T @ deviations / len(features)
        nc1[label] = np.trace(covariance @ between_inverse)
        unit = group / np.linalg.norm(group, axis=1, keepdims=True)
        similarity[label] = (unit @ unit.T)[~np.eye(len(group), dtype=bool)].mean()

    result = {"within_class_similarity": similarity, "nc1": nc1}
    for name, vectors in (("nc2", offsets), ("nc2_head", head)):
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        deviation = np.abs(unit @ unit.T + 1 / (classes - 1))
        np.fill_diagonal(deviation, 0)
        result |= {f"{name}_mean": deviation.sum(axis=1) / (classes - 1), f"{name}_nearest": deviation.max(axis=1)}
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--direct", action="store_true", help="measure the formula taken literally")
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--dim", type=int, default=1024)
    parser.add_argument("--seconds", type=float, default=5)
    options = parser.parse_args(arguments)
    features, labels, head = make_features(options.classes, options.samples, options.dim)
    compute, memory, seconds = direct if options.direct else neural_collapse, peak_gib(), []
    while len(seconds) < 3 or sum(seconds) < options.seconds:
        start = time.perf_counter()
        compute(features, labels, head)
        seconds.append(time.perf_counter() - start)
    sizes = {"classes": options.classes, "dim": options.dim, "samples": options.samples, "blas_threads": 1}
    times = {"seconds": round(min(seconds), 4), "first_call_seconds": round(seconds[0], 4)}
    way = "direct" if options.direct else "ours"
    print_report("neural_collapse", way=way, **sizes, **times, before_gib=memory, peak_gib=peak_gib())


if __name__ == "__main__":
    main()
