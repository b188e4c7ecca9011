"""Log-odds of being right by class frequency: logistic regression with Firth's penalty.

Unlike points of accuracy, log-odds do not depend on how near a model is to 0 or 100 %.
"""

import hashlib

import numpy as np
from jaxtyping import Float

ITERATIONS = 200
LARGEST_STEP = 5.0  # of the linear predictor, in an iteration
SMALLEST_SLOPE = 1e-9  # by rounding, a slope of 0 may be of this size, and differs between processors
TOLERANCE = 1e-9
CACHE_SIZE = 4096  # regressions of a sample or a block of resamples
NUMBERS_AT_ONCE = 2**14  # of each variable: the arrays of a step then stay in a processor's cache

SMALLEST_SHARE = 0.005  # pictures show shares from this one to 1 minus this one
TICKS = (0.5, 1, 2, 5, 10, 25, 50, 75, 90, 95, 98, 99, 99.5)  # of their axes, in percent

Resampled = Float[np.ndarray, "run ... class"]
MergedRows = Float[np.ndarray, "once_or_run ... row"]
Times = Float[np.ndarray, "resample class"]


def log_odds(share: Float[np.ndarray, "..."] | float) -> Float[np.ndarray, "..."] | float:
    """log(p / (1 − p)) of shares in 0..1 for plots, which show 0 as 0.5 % and 1 as 99.5 %."""
    share = np.clip(share, SMALLEST_SHARE, 1 - SMALLEST_SHARE)
    return np.log(share / (1 - share))


def odds_slope(
    x: Resampled, correct: Resampled, examples: Resampled, times: Times | None = None
) -> Float[np.ndarray, "..."] | float:
    """The slope b of logit P(right) = a + b x, over the classes of all runs together; nan if x is constant.

    With x = log10 of class frequency, it is the gain in log-odds of being right per decade. With `times`, each resample has
    each class so many times.

    Example:
        odds_slope(np.log10(frequency)[None], correct[None], examples[None])  # of a single run
    """
    return firth_regression(x, correct, examples, times)[1]


def images_for_half(
    x: Resampled, correct: Resampled, examples: Resampled, times: Times | None = None
) -> Float[np.ndarray, "..."] | float:
    """10^(−a/b), the class frequency at which a class is right half of the time, of the regression of `odds_slope`.

    It is nan unless b is above 0, and −inf or inf if it is more than a decade below or above all frequencies (10^x).
    """
    a, b = firth_regression(x, correct, examples, times)
    with np.errstate(divide="ignore", invalid="ignore"):
        half = np.where(np.asarray(b) > SMALLEST_SLOPE, -np.asarray(a) / b, np.nan)
    if not x.shape[-1]:
        return half
    has_examples = examples > 0 if times is None else examples * times > 0
    low = np.where(has_examples, x, np.inf).min(axis=(0, -1)) - 1
    high = np.where(has_examples, x, -np.inf).max(axis=(0, -1)) + 1
    return np.where(half < low, -np.inf, np.where(half > high, np.inf, 10 ** np.clip(half, low, high)))[()]


def _merged(
    x: Resampled, correct: Resampled, examples: Resampled, times: Times | None = None
) -> tuple[MergedRows, MergedRows, MergedRows]:
    """The variables of a regression. With `times`, classes with the same x are merged into one row.

    The penalized likelihood of the rows is that of the classes: it depends only on sums of right and of all examples by x.
    """
    if times is None:
        return x, correct, examples
    order = np.argsort(x, axis=None, kind="stable")
    values = x.ravel()[order]
    starts = np.flatnonzero(np.diff(values, prepend=np.nan))  # nan differs from the first
    if len(starts) == x.size:
        return np.broadcast_to(x, (len(x), *times.shape)), correct * times, examples * times
    sorted_counts = (np.concatenate(list(counts * times), axis=-1)[:, order] for counts in (correct, examples))
    correct, examples = (np.add.reduceat(counts, starts, axis=-1)[None] for counts in sorted_counts)
    return np.broadcast_to(values[starts], correct.shape), correct, examples


def firth_regression(
    x: Resampled, correct: Resampled, examples: Resampled, times: Times | None = None
) -> tuple[Float[np.ndarray, "..."] | float, Float[np.ndarray, "..."] | float]:
    """Intercept a and slope b of logit P(right) = a + b x, where `correct` of `examples` are right.

    They maximize the likelihood with Jeffreys' prior, Σ log binomial + ½ log det I(a, b) with the Fisher information I
    (Firth, 1993, Biometrika 80), so they are finite even if classes are all right or all wrong. Fisher scoring solves Σ
    (k − n p + h (½ − p)) (1, x) = 0, with the leverages h of the weighted regression (Heinze & Schemper, 2002), and
    halves steps that do not increase the penalized likelihood. Each resample is a separate regression, over the first
    and the last axis.
    """
    variables = [x, correct, examples, *([] if times is None else [times])]
    variables = [np.ascontiguousarray(variable, np.float64) for variable in variables]
    digest = hashlib.sha256()  # in hardware on most processors
    for variable in variables:
        digest.update(variable)
    key = digest.digest(), *(variable.shape for variable in variables)
    if key not in _regressions:
        if len(_regressions) >= CACHE_SIZE:
            _regressions.clear()
        _regressions[key] = _regression(np.stack(_merged(*variables)))
    return _regressions[key]


# `images_for_half` has the regressions of `odds_slope`: that of the sample, and those of all blocks of resamples.
_regressions: dict[tuple, tuple] = {}


def _regression(
    data: Float[np.ndarray, "3 run ... class"],
) -> tuple[Float[np.ndarray, "..."] | float, Float[np.ndarray, "..."] | float]:
    shape, rows = data.shape[2:-1], data.shape[1] * data.shape[-1]
    if not rows:
        return np.full(shape, np.nan), np.full(shape, np.nan)
    x, k, n = np.moveaxis(data, 1, -2).reshape(3, -1, rows)
    centre = x.mean(axis=-1, keepdims=True)
    has_examples = n > 0
    x_range = np.where(has_examples, x, -np.inf).max(axis=-1) - np.where(has_examples, x, np.inf).min(axis=-1)
    constant = x_range < 1e-9
    data = np.stack([np.where(constant[:, None], np.linspace(-1, 1, rows), x - centre), k, n])
    block = max(NUMBERS_AT_ONCE // rows, 1)
    parts = [_maximize(_drawn(data[:, start : start + block])) for start in range(0, len(centre), block)]
    a, b = (np.concatenate(part) for part in zip(*parts))
    a, b = np.where(constant, np.nan, a - b * centre[:, 0]), np.where(constant, np.nan, b)
    a.flags.writeable = b.flags.writeable = False
    return (a.reshape(shape), b.reshape(shape)) if shape else (float(a[0]), float(b[0]))


def _drawn(data: Float[np.ndarray, "3 resample row"]) -> Float[np.ndarray, "3 resample _"]:
    """The rows with examples in any resample: a single resample of many classes has two thirds of them."""
    has_examples = (data[2] > 0).any(axis=0)
    return data if has_examples.all() or not has_examples.any() else data[..., has_examples]


def _maximize(
    data: Float[np.ndarray, "3 resample row"],
) -> tuple[Float[np.ndarray, " resample"], Float[np.ndarray, " resample"]]:
    """Intercept and slope of each resample, of x (centred), k and n."""
    beta = _weighted_line(*data)
    value, step = _objective_and_step(beta, *data)
    resamples = np.arange(beta.shape[1])  # those that have not converged
    for _ in range(ITERATIONS):
        new_beta = beta[:, resamples] + step
        new_value, new_step = _objective_and_step(new_beta, *data)
        is_better = new_value >= value - 1e-12 * np.abs(value)
        beta[:, resamples[is_better]] = new_beta[:, is_better]
        value = np.where(is_better, new_value, value)
        step = np.where(is_better, new_step, step / 2)
        moves = np.abs(step).max(axis=0) > TOLERANCE * (1 + np.abs(beta[:, resamples]).max(axis=0))
        if not moves.any():
            break
        if not moves.all():
            resamples, value, step, data = resamples[moves], value[moves], step[:, moves], data[:, moves]
    return beta[0], beta[1]


def _weighted_line(
    x: Float[np.ndarray, "resample row"], k: Float[np.ndarray, "resample row"], n: Float[np.ndarray, "resample row"]
) -> Float[np.ndarray, "2 resample"]:
    """Initial intercept and slope: the weighted least-squares line through the empirical logits."""
    num_right, num_wrong = k + 0.5, n - k + 0.5
    weight, logit = num_right * num_wrong / (n + 1), np.log(num_right / num_wrong)
    s0, s1, s2 = weight.sum(-1), (weight * x).sum(-1), (weight * x * x).sum(-1)
    t0, t1 = (weight * logit).sum(-1), (weight * x * logit).sum(-1)
    det = np.maximum(s0 * s2 - s1 * s1, np.finfo(float).tiny)
    return np.stack([s2 * t0 - s1 * t1, s0 * t1 - s1 * t0]) / det


def _objective_and_step(
    beta: Float[np.ndarray, "2 resample"],
    x: Float[np.ndarray, "resample row"],
    k: Float[np.ndarray, "resample row"],
    n: Float[np.ndarray, "resample row"],
) -> tuple[Float[np.ndarray, " resample"], Float[np.ndarray, "2 resample"]]:
    """The penalized log-likelihood at intercepts and slopes, and the step of Fisher scoring from there."""
    eta = beta[0][:, None] + beta[1][:, None] * x
    log_sum = np.logaddexp(0, eta)
    p = np.exp(eta - log_sum)
    mean = n * p
    w = mean * (1 - p)
    wx = w * x
    s0, s1, s2 = w.sum(-1), wx.sum(-1), (wx * x).sum(-1)
    det = np.maximum(s0 * s2 - s1 * s1, np.finfo(float).tiny)
    objective = (k * eta - n * log_sum).sum(-1) + np.log(det) / 2
    leverage = w * (s2[:, None] - (2 * s1[:, None] - s0[:, None] * x) * x) / det[:, None]
    residual = k - mean + leverage * (0.5 - p)
    u0, u1 = residual.sum(-1), (residual * x).sum(-1)
    step = np.stack([s2 * u0 - s1 * u1, s0 * u1 - s1 * u0]) / det
    change = np.abs(step[0]) + np.abs(step[1]) * np.abs(x).max(axis=-1)
    return objective, step * np.minimum(1, LARGEST_STEP / np.maximum(change, LARGEST_STEP))
