"""How large a difference some pairs of runs can decide, by the variances in published results on the same data."""

import contextlib
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from cliptail_jax.claims.verdicts import ClaimResult, read_claims
from cliptail_jax.config.files import known_configs, known_files, load_config
from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.bootstrap import LEVEL, quantile

POWER = 0.8


class Design(NamedTuple):
    """The properties that studies with similar variances share.

    Attributes:
        data: the data sources.
        sizes: the sides of images in pixels.
        counterbalanced: whether runs are mirrored pairs.
    """

    data: set[str]
    sizes: set[int]
    counterbalanced: bool

    @property
    def replicate(self) -> str:
        """The unit that a study repeats: 'pair' or 'seed'."""
        return "pair" if self.counterbalanced else "seed"


class Variances(NamedTuple):
    """The parts of the variance of a difference over P pairs, shared + of_pair / P; means over the claims of a study.

    Attributes:
        class_variance: the variance that all pairs share: that of the choice of classes, without its part in `pair_variance`.
        pair_variance: the variance between pairs.
        study: the name of the study's published results.
        degrees: the number of pairs after the first, summed over all claims.
    """

    class_variance: float
    pair_variance: float
    study: str
    degrees: int

    def decidable(self, pairs: int, level: float = LEVEL) -> float:
        """The difference whose interval of a level is above 0 with the probability `POWER`, by the normal distribution."""
        from scipy.special import ndtri

        return (quantile(level, np.inf) + float(ndtri(POWER))) * math.sqrt(
            self.class_variance + self.pair_variance / pairs
        )


def published_variances(design: Design) -> dict[str, Variances]:
    """The variances of differences, by measure, of the published study of this design that has the most pairs."""
    variances: dict[str, Variances] = {}
    for name, claims in published_on(design):
        for measure, candidate in variances_of(name, claims).items():
            if measure not in variances or candidate.degrees > variances[measure].degrees:
                variances[measure] = candidate
    return variances


def variances_of(name: str, claims: Mapping[str, ClaimResult]) -> dict[str, Variances]:
    """The mean variances of the differences of two runs, by measure, over those claims with several pairs.

    The variance between the differences of P pairs is pair_variance. The variance of their mean, which follows from their
    interval, is class_variance + pair_variance / P.
    """
    parts: dict[str, list[tuple[float, float, int]]] = {}
    for claim in claims.values():
        pairs, difference = len(claim.by_seed), claim.difference
        if pairs < 2 or difference is None or claim.reference or claim.condition or len(claim.runs) < 2:
            continue
        pair_variance = float(np.var([higher - lower for higher, lower in claim.by_seed], ddof=1))
        mean_variance = ((difference.high - difference.low) / 2 / quantile(LEVEL, difference.degrees)) ** 2
        if math.isfinite(pair_variance + mean_variance):
            parts.setdefault(claim.statistic, []).append(
                (mean_variance - pair_variance / pairs, pair_variance, pairs - 1)
            )
    variances = {}
    for measure, parts_of_claims in parts.items():
        class_variance, pair_variance, _ = np.mean(parts_of_claims, axis=0)
        degrees = sum(degrees for *_, degrees in parts_of_claims)
        variances[measure] = Variances(max(class_variance, 0.0), pair_variance, name, degrees)
    return variances


def design_of(runs: Iterable[Any], counterbalanced: bool | None) -> Design:
    """The design of a study whose runs have these configs, typed or not."""
    sources, sizes = zip(*((run.data.name, run.data.image_size) for run in runs))
    return Design({*sources}, {*sizes}, bool(counterbalanced))


def published_on(design: Design) -> Iterator[tuple[str, Mapping[str, ClaimResult]]]:
    """The names of the published studies of this design, with their claims."""
    for name, file in known_files("study/results/*.json").items():
        if published_design(name) == design:
            yield name, read_claims(file)


def published_design(name: str) -> Design:
    """The design of published results.

    Their name is that of their config, in some cases followed by its argument `data` or `part`, as in mechanism_cifar100.
    """
    stem = max((stem for stem in known_configs() if name.startswith(stem)), key=len, default=name)
    argument = name[len(stem) + 1 :]
    config = None
    for key in ("data", "part") if argument else ():
        with contextlib.suppress(UserError):  # the config has no such argument
            config = load_config(f"{stem}:{key}={argument}")
    if config is None:
        config = load_config(stem)
    return design_of(config.runs.values(), config.get("counterbalanced"))
