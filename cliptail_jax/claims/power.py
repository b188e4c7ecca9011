"""The differences that pairs of runs can decide, by the variances in published results on the same data."""

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
    """What studies with similar variances share: data sources, sides of images in pixels, and mirrored pairs or not."""

    data: set[str]
    sizes: set[int]
    counterbalanced: bool

    @property
    def replicate(self) -> str:
        """The name of what is repeated."""
        return "pair" if self.counterbalanced else "seed"


class Variances(NamedTuple):
    """The parts of the variance of a difference over P pairs, shared + of_pair / P; the means over claims of a study.

    Attributes:
        shared: of what all pairs share: the choice of classes, beyond what differs by pair.
        of_pair: of what differs by pair.
        study: the name of its published results.
        degrees: the number of pairs beyond the first, over all claims.
    """

    shared: float
    of_pair: float
    study: str
    degrees: int

    def decidable(self, pairs: int) -> float:
        """The difference whose interval lies above 0 with the probability `POWER`, by the normal distribution."""
        from scipy.special import ndtri

        return (quantile(LEVEL, np.inf) + float(ndtri(POWER))) * math.sqrt(self.shared + self.of_pair / pairs)


def published_variances(design: Design) -> dict[str, Variances]:
    """The variances of differences, by measure, of the published study of this design that has the most pairs."""
    variances: dict[str, Variances] = {}
    for name, claims in published_on(design):
        for measure, of_study in variances_of(name, claims).items():
            if measure not in variances or of_study.degrees > variances[measure].degrees:
                variances[measure] = of_study
    return variances


def variances_of(name: str, claims: Mapping[str, ClaimResult]) -> dict[str, Variances]:
    """The mean variances of the differences of two runs, by measure, of those claims with several pairs.

    The variance between the differences of P pairs is of_pair. That of their mean, by which their interval was made, is
    shared + of_pair / P.
    """
    parts: dict[str, list[tuple[float, float, int]]] = {}
    for claim in claims.values():
        pairs, found = len(claim.by_seed), claim.difference
        if pairs < 2 or found is None or claim.minus or claim.at or len(claim.runs) < 2:
            continue
        of_pair = float(np.var([higher - lower for higher, lower in claim.by_seed], ddof=1))
        of_mean = ((found.high - found.low) / 2 / quantile(LEVEL, found.degrees)) ** 2
        if math.isfinite(of_pair + of_mean):
            parts.setdefault(claim.statistic, []).append((of_mean - of_pair / pairs, of_pair, pairs - 1))
    means = {measure: np.mean(found, axis=0) for measure, found in parts.items()}
    return {
        measure: Variances(max(shared, 0.0), of_pair, name, sum(degrees for *_, degrees in parts[measure]))
        for measure, (shared, of_pair, _) in means.items()
    }


def design_of(runs: Iterable[Any], counterbalanced: bool | None) -> Design:
    """The design of a study with these configs of runs, typed or not."""
    sources, sizes = zip(*((run.data.name, run.data.image_size) for run in runs))
    return Design({*sources}, {*sizes}, bool(counterbalanced))


def published_on(design: Design) -> Iterator[tuple[str, Mapping[str, ClaimResult]]]:
    """The names of the published studies of this design, with their claims."""
    for name, file in known_files("study/results/*.json").items():
        if published_design(name) == design:
            yield name, read_claims(file)


def published_design(name: str) -> Design:
    """The design of published results.

    Their name is that of their config, perhaps with the argument `data` at its end, as in noise_cifar100.
    """
    stem = max((known for known in known_configs() if name.startswith(known)), key=len, default=name)
    try:
        config = load_config(f"{stem}:data={name[len(stem) + 1 :]}")
    except UserError:
        config = load_config(stem)
    return design_of(config.runs.values(), config.get("counterbalanced"))
