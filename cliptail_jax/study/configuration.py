"""The config of a study as typed values, and its checks."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from cliptail_jax.config import fields
from cliptail_jax.host.errors import UserError
from cliptail_jax.objectives import TrainingConfig, typed_config
from cliptail_jax.results.claims import Claim
from cliptail_jax.results.run import MIRRORED
from cliptail_jax.study.check import (
    check_counterbalanced,
    check_keys,
    check_names,
    check_runs,
    check_seeds,
    typed_claims,
)
from cliptail_jax.study.sheets import StudyFigure, check_figures
from cliptail_jax.transfer.configuration import TransferConfig
from cliptail_jax.transfer.configuration import typed_config as typed_transfer

RunConfigs = Mapping[str, TrainingConfig]  # by the run's name or directory


class SeedConfigs(NamedTuple):
    """The configs of one seed's runs and of their transfer."""

    runs: RunConfigs
    transfer: TransferConfig | None


ReplicateConfigs = Mapping[str, SeedConfigs]  # by the name of its directory: one, or the two of a mirrored pair


@dataclass(frozen=True)
class StudyConfig:
    """The config of a study.

    Attributes:
        title: the title of its report.
        seed, seeds, counterbalanced: the first seed, the number of seeds, and whether they are mirrored pairs. A field that the
            config does not give is None.
        replicates: the configs of each seed or mirrored pair; "" is the directory of a study without seeds.
        claims: the claims by key.
        claim_fields: for each claim, the fields that the config gives.
        figures: the paper's figures of its runs, by the figure's name.
        path: names of runs that are steps of a path.
        variances_from: another study's results, named as in a claim's `study`; claims on a single seed or pair use its variance
            between seeds. "" for none.
        names, baseline, next_command: as in `cliptail_jax.results.study.Study`.
    """

    title: str
    seed: int | None
    seeds: int | None
    counterbalanced: bool | None
    replicates: Sequence[ReplicateConfigs]
    claims: Mapping[str, Claim]
    claim_fields: Mapping[str, Mapping[str, Any]]
    figures: Mapping[str, StudyFigure]
    path: Sequence[str]
    variances_from: str
    names: Mapping[str, str]
    baseline: str
    next_command: str

    @property
    def first(self) -> SeedConfigs:
        """The configs of the first seed."""
        return next(iter(self.replicates[0].values()))

    @property
    def queue(self) -> RunConfigs:
        """The configs of all runs by directory, in the order of training."""
        return queue_of(self.replicates)


def queue_of(replicates: Sequence[ReplicateConfigs]) -> RunConfigs:
    """The configs of runs by directory, in the order of training; runs of a mirrored pair take equally long."""
    return {
        str(Path(seed) / run): replicate[seed].runs[run]
        for replicate in replicates
        for run in next(iter(replicate.values())).runs
        for seed in replicate
    }


def typed_study(config: ConfigDict) -> StudyConfig:
    """The config of a study as typed values.

    Raises UserError that names a mistake in the study, its runs, its transfer, its claims or its figures.
    """
    check_keys(config.keys())
    seed, seeds, counterbalanced = (config.get(key) for key in ("seed", "seeds", "counterbalanced"))
    check_seeds(seed, seeds, counterbalanced)
    check_names(config.runs.keys())
    runs, transfer = {}, None
    for name, values in config.runs.items():
        with errors_of(f"run '{name}'"):
            runs[name] = typed_config(values)
    if config.get("transfer"):
        with errors_of("transfer"):
            transfer = typed_transfer(config.transfer)
    path, baseline = config.get("path", ()), config.get("baseline", "")
    claim_fields, names = config.claims.to_dict(), dict(config.get("names", {}))
    figures = {name: StudyFigure(values.columns, values.rows) for name, values in config.get("figures", {}).items()}
    if counterbalanced:
        check_counterbalanced(runs)
    check_runs(runs, transfer, path, baseline, names)
    claims = typed_claims(claim_fields, runs, transfer)
    check_figures(figures, tuple(runs))

    def configs_of_seed(seed: int) -> SeedConfigs:
        config.seed = seed  # the seeds of runs and of the transfer refer to it
        runs = {name: fields.typed(TrainingConfig(), values) for name, values in config.runs.items()}
        return SeedConfigs(runs, transfer and fields.typed(TransferConfig(), config.transfer))

    replicates = [{"": SeedConfigs(runs, transfer)}]
    if seeds:
        end = seed + seeds // (2 if counterbalanced else 1)
        replicates = [replicate_of(n, configs_of_seed(n), bool(counterbalanced), seeds) for n in range(seed, end)]
        config.seed = seed
    return StudyConfig(
        config.title,
        seed,
        seeds,
        counterbalanced,
        replicates,
        claims,
        claim_fields,
        figures,
        path,
        config.get("variances_from", ""),
        names,
        baseline,
        config.get("next_command", ""),
    )


@contextlib.contextmanager
def errors_of(part: str) -> Iterator[None]:
    """Add the name of a part of the study to the message of a UserError."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{part}: {error}") from None


def replicate_of(seed: int, configs: SeedConfigs, counterbalanced: bool, seeds: int) -> ReplicateConfigs:
    """The configs of a seed by directory; in a counterbalanced study, also those with reversed class frequencies.

    Raises UserError if the seed of a run does not refer to that of the study, which has several `seeds`.
    """
    if names := [name for name, run in configs.runs.items() if run.seed != seed]:
        raise UserError(f"run '{names[0]}': its seed does not refer to the study's, so all {seeds} are the same")
    replicate = {f"seed_{seed}": configs}
    if counterbalanced:
        replicate[f"seed_{seed}{MIRRORED}"] = configs._replace(
            runs={name: mirror(run) for name, run in configs.runs.items()}
        )
    return replicate


def mirror(run: TrainingConfig) -> TrainingConfig:
    return replace(run, data=replace(run.data, profile=replace(run.data.profile, mirrored=True)))
