"""Time and peak memory of `cliptail_jax.metrics.neural_collapse` against the formula taken at its word.

    python scripts/benchmark/neural_collapse.py           # C = 100, D = 1024, N = 5,000, float32, with the direct formula
    python scripts/benchmark/neural_collapse.py --large   # C = 1,000, D = 1024, N = 50,000, ours alone

Prints one JSON line. Each way runs in a process of its own, whose peak memory includes Python, its libraries (ours
imports JAX) and the features; `before` is the peak just before the call. The direct formula is timed in float32, the
features' dtype; differences are to the direct formula in float64. Ours is NumPy in float64 and compiles nothing, so its
first call stands where a compile time would. Times are the best of at least three calls and five seconds, with one BLAS
thread: threads that wait for each other on a busy machine make times meaningless.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import machine

DIM = 1024
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def make_features(classes: int, samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(samples) % classes)
    features = rng.standard_normal((samples, DIM), np.float32)
    means = rng.standard_normal((classes, DIM), np.float32)
    for start in range(0, samples, 1000):
        features[start : start + 1000] += means[labels[start : start + 1000]]
    return features, labels, rng.standard_normal((classes, DIM), np.float32)


def direct(features: np.ndarray, labels: np.ndarray, classes: int, head: np.ndarray) -> dict[str, np.ndarray]:
    """The definitions, one [D, D] covariance per class, in the dtype of the features."""
    dim, dtype = features.shape[1], features.dtype
    groups = [features[labels == label] for label in range(classes)]
    means = np.stack([group.mean(axis=0) for group in groups])
    centred = means - means.mean(axis=0)
    between_inverse = np.linalg.pinv(centred.T @ centred / classes, rcond=dim * np.finfo(dtype).eps)

    similarity, nc1 = np.zeros(classes, dtype), np.zeros(classes, dtype)
    for label, group in enumerate(groups):
        deviations = group - means[label]
        within = deviations.T @ deviations / len(features)
        nc1[label] = np.trace(within @ between_inverse)
        unit = group / np.linalg.norm(group, axis=1, keepdims=True)
        similarity[label] = (unit @ unit.T)[~np.eye(len(group), dtype=bool)].mean()

    result = {"within_class_similarity": similarity, "nc1": nc1}
    for name, vectors in (("nc2", centred), ("nc2_head", head)):
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        deviation = np.abs(unit @ unit.T + 1 / (classes - 1))
        np.fill_diagonal(deviation, 0)
        result |= {f"{name}_mean": deviation.sum(axis=1) / (classes - 1), f"{name}_nearest": deviation.max(axis=1)}
    return result


def measure(way: str, classes: int, samples: int, output: Path) -> None:
    features, labels, head = make_features(classes, samples)
    if way == "ours":
        from cliptail_jax.metrics.neural_collapse import neural_collapse

        def compute() -> dict[str, np.ndarray]:
            return neural_collapse(features, labels, classes, head)._asdict()
    else:
        features, head = features.astype(way), head.astype(way)

        def compute() -> dict[str, np.ndarray]:
            return direct(features, labels, classes, head)

    before = peak_gib()
    seconds = []
    while len(seconds) < 3 or sum(seconds) < 5:
        start = time.perf_counter()
        result = compute()
        seconds.append(time.perf_counter() - start)
    np.savez(output, first=seconds[0], best=min(seconds), before=before, peak=peak_gib(), **result)


def peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # Linux counts KiB


def measure_apart(way: str, classes: int, samples: int) -> dict[str, np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "result.npz")
        size = [f"--classes={classes}", f"--samples={samples}"]
        command = [sys.executable, __file__, f"--way={way}", f"--output={output}", *size]
        subprocess.run(command, check=True, env=os.environ | ONE_THREAD)
        return dict(np.load(output))


def max_relative_difference(result: dict[str, np.ndarray], truth: dict[str, np.ndarray]) -> float:
    measures = [name for name, values in truth.items() if values.ndim]
    return max(float(np.max(np.abs(result[name] / truth[name] - 1))) for name in measures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help="C = 1,000, N = 50,000, without the direct formula")
    parser.add_argument("--classes", type=int)
    parser.add_argument("--samples", type=int)
    parser.add_argument("--way", choices=["ours", "float32", "float64"], help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    classes = args.classes or (1000 if args.large else 100)
    samples = args.samples or (50_000 if args.large else 5000)
    if args.way:
        return measure(args.way, classes, samples, args.output)

    ours = measure_apart("ours", classes, samples)
    report = {
        "benchmark": "neural_collapse",
        "classes": classes,
        "dim": DIM,
        "samples": samples,
        "seconds": round(float(ours["best"]), 4),
        "first_call_seconds": round(float(ours["first"]), 4),
        "peak_gib": round(float(ours["peak"]), 3),
        "before_gib": round(float(ours["before"]), 3),
    }
    if not args.large:
        timed, truth = (measure_apart(dtype, classes, samples) for dtype in ("float32", "float64"))
        report |= {
            "direct_seconds": round(float(timed["best"]), 3),
            "direct_peak_gib": round(float(timed["peak"]), 3),
            "direct_before_gib": round(float(timed["before"]), 3),
            "speed_up": round(float(timed["best"] / ours["best"]), 1),
            "max_relative_difference": max_relative_difference(ours, truth),
            "direct_float32_max_relative_difference": max_relative_difference(timed, truth),
        }
    print(json.dumps(report | {"blas_threads": 1, "machine": machine()}))


if __name__ == "__main__":
    main()
