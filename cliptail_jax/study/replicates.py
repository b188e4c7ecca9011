"""The configs of a study's runs for each seed, and for each half of a mirrored pair."""

from typing import NamedTuple

from ml_collections import ConfigDict

from cliptail_jax.errors import UserError

Configs = dict[str, ConfigDict]  # of runs, by name


class SeedConfigs(NamedTuple):
    """The configs of one seed: of its runs, and of their transfer."""

    runs: Configs
    transfer: ConfigDict | None


Replicate = dict[str, SeedConfigs]  # by the name of its directory: one, or the two of a mirrored pair


def replicates_of(study: ConfigDict) -> list[Replicate]:
    """The configs of a study by replicate and directory; '' is the directory of a study without seeds.

    A counterbalanced study has mirrored pairs: the second run of a pair has the seed of the first, and the reversed order
    of class frequencies.

    Raises:
        UserError: the seed of a run does not refer to that of the study.
    """

    def resolved(seed: int | None, mirrored: bool = False) -> SeedConfigs:
        """Copies of the configs, with the value of the study's seed in place of references."""
        if seed is not None:
            study.seed = seed
        runs = {name: config.copy_and_resolve_references() for name, config in study.runs.items()}
        for config in runs.values() if mirrored else ():
            config.data.profile.mirrored = True
        return SeedConfigs(runs, study.transfer.copy_and_resolve_references() if "transfer" in study else None)

    if "seeds" not in study:
        return [{"": resolved(None)}]
    counterbalanced = study.get("counterbalanced", False)
    first, replicates = study.seed, []
    for seed in range(first, first + study.seeds // (2 if counterbalanced else 1)):
        replicate = {f"seed_{seed}": resolved(seed)}
        if fixed := [name for name, config in replicate[f"seed_{seed}"].runs.items() if config.seed != seed]:
            raise UserError(
                f"run '{fixed[0]}': its seed does not refer to the study's, so all {study.seeds} are the same"
            )
        if counterbalanced:
            replicate[f"seed_{seed}_mirrored"] = resolved(seed, mirrored=True)
        replicates.append(replicate)
    study.seed = first
    return replicates
