"""Checks a study's config before anything is trained."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from cliptail_jax.errors import UserError, did_you_mean
from cliptail_jax.metrics.measures import MEASURES, PROBES
from cliptail_jax.objectives import typed_config
from cliptail_jax.results.claims import EQUAL_ACCURACY, Claim
from cliptail_jax.study.sheets import check_figures
from cliptail_jax.transfer import configuration as transfer_configuration
from cliptail_jax.transfer.sets import transfer_set

FIELDS = ("title", "data_dir", "seed", "seeds", "runs", "claims", "counterbalanced", "transfer", "path", "figures")


def check_study(study: ConfigDict) -> None:
    """Raise a UserError that names a mistake in the study, its runs, its transfer, its claims or its figures."""
    for key in ("title", "runs", "claims"):
        if key not in study:
            raise UserError(f"a study's config has title, runs and claims, as in configs/study; this one has no {key}")
    for key in study:  # a study may have fields of its own, which its runs refer to
        if key not in FIELDS and (meant := did_you_mean(key, FIELDS)):
            raise UserError(f"a study has no field '{key}'{meant}")
    seeds, transfer = study.get("seeds", 1), study.get("transfer")
    if type(seeds) is not int or seeds < 1:
        raise UserError(f"config key 'seeds' is {seeds!r}; it must be a positive whole number")
    if "seeds" in study and "seed" not in study:
        raise UserError("a study of several seeds has a field 'seed', which the seed of each run refers to")
    counterbalanced = study.get("counterbalanced", False)
    if type(counterbalanced) is not bool:
        raise UserError(f"config key 'counterbalanced' is {counterbalanced!r}; it must be True or False")
    if counterbalanced:
        check_counterbalanced(study.runs, seeds)
    for name, config in study.runs.items():
        try:
            typed_config(config)
        except UserError as error:
            raise UserError(f"run '{name}': {error}") from None
        if not config.eval.sets and not transfer:
            raise UserError(f"run '{name}': eval.sets is empty, but a study compares evaluations")
    if transfer:
        check_transfer(transfer, tuple(study.runs))
    if unknown := [name for name in study.get("path", ()) if name not in study.runs]:
        raise UserError(f"path names the run '{unknown[0]}'; the study has {', '.join(study.runs)}")
    check_claims(study.claims, study.runs, transfer)
    check_figures(study.get("figures", {}), tuple(study.runs))


def check_counterbalanced(runs: Mapping[str, ConfigDict], seeds: int) -> None:
    """Raise a UserError if runs cannot be trained in mirrored pairs."""
    if seeds % 2:
        raise UserError(
            f"a counterbalanced study trains pairs of runs, but its config key 'seeds' is {seeds}: set it to an even number"
        )
    for name, config in runs.items():
        if not config.data.profile.name:
            raise UserError(
                f"run '{name}': a counterbalanced study reverses the profile of each run, and this one has none: set its "
                "data.profile.name, or counterbalanced=False"
            )
        if config.data.profile.mirrored:  # the runs of a comparison would be mirrored against each other
            raise UserError(
                f"run '{name}': data.profile.mirrored is set by the study, which is counterbalanced: leave it at False"
            )


def check_transfer(transfer: ConfigDict, runs: tuple[str, ...]) -> None:
    """Raise a UserError that names a mistake in the transfer of a study of these runs."""
    if unknown := set(transfer.models) - set(runs):
        raise UserError(f"transfer.models names the run '{min(unknown)}'; the study has {', '.join(runs)}")
    transfer = transfer.copy_and_resolve_references()
    transfer.models = transfer.models or runs
    try:
        transfer_configuration.validate(transfer)
    except UserError as error:
        raise UserError(f"transfer: {error}") from None


def check_claims(claims: ConfigDict, runs: Mapping[str, ConfigDict], transfer: ConfigDict | None) -> None:
    """Raise UserError if a claim on these runs, and on their transfer if there is one, is incomplete or cannot be tested."""
    for key, fields in claims.items():
        if missing := {"text", "statistic", "higher", "lower"} - set(fields):
            raise UserError(f"claims.{key} has no {' and no '.join(sorted(missing))}")
        known = [field.name for field in dataclasses.fields(Claim)]
        if unknown := [name for name in fields if name not in known]:
            raise UserError(f"claims.{key}.{unknown[0]}: a claim has {', '.join(known)}")
        comparable = [name for name, measure in MEASURES.items() if measure.statistic or measure.over == PROBES]
        if fields.statistic not in comparable:
            meant = did_you_mean(fields.statistic, comparable)
            raise UserError(
                f"claims.{key}.statistic is '{fields.statistic}'{meant}; it is one of {', '.join(comparable)}"
            )
        claim = Claim(**fields)
        if type(claim.margin) not in (int, float) or not 0 <= claim.margin < np.inf:
            raise UserError(
                f"claims.{key}.margin is {claim.margin!r}; it is the largest difference that counts as none, 0 or more"
            )
        if len(claim.minus) not in (0, 2):
            raise UserError(f"claims.{key}.minus is {claim.minus!r}; it names two runs, whose difference is subtracted")
        of_probes = MEASURES[claim.statistic].over == PROBES
        for run in claim.runs:
            if run not in runs:
                raise UserError(f"claims.{key} names the run '{run}'; the study has {', '.join(runs)}")
            if not of_probes and claim.set not in ("", *runs[run].eval.sets):
                raise UserError(f"claims.{key}.set is '{claim.set}', which run '{run}' is not evaluated on")
        if of_probes:
            check_probes(key, claim, tuple(runs), transfer)
        if claim.at:
            check_at(key, claim, runs)


def check_at(key: str, claim: Claim, runs: Mapping[str, ConfigDict]) -> None:
    """Raise UserError if the runs of a claim cannot be compared at its `at`."""
    if claim.at != EQUAL_ACCURACY:
        raise UserError(f"claims.{key}.at is '{claim.at}'; it is '{EQUAL_ACCURACY}', or '' for the end of the runs")
    able = [name for name, measure in MEASURES.items() if tuple(measure.needs) == ("frequency",)]
    if claim.statistic not in able:
        raise UserError(f"claims.{key}: '{claim.statistic}' is not compared at equal accuracy; {', '.join(able)} are")
    for name in claim.runs:
        if not runs[name].total_steps and runs[name].eval.every_epochs >= runs[name].total_epochs:
            raise UserError(
                f"claims.{key} compares runs at equal accuracy, which needs several evaluations, and run '{name}' has one: set "
                "its eval.every_epochs to 1"
            )


def check_probes(key: str, claim: Claim, runs: Sequence[str], transfer: ConfigDict | None) -> None:
    """Raise UserError if the study does not probe both runs on the claim's set."""
    if transfer is None or "probe" not in transfer.methods:
        raise UserError(f"claims.{key} is on linear probes: the study needs a transfer with the method 'probe'")
    for run in claim.runs:
        if run not in (transfer.models or runs):
            raise UserError(f"claims.{key} names the run '{run}', which is not among transfer.models")
    if claim.set not in ("", *transfer.sets):
        raise UserError(f"claims.{key}.set is '{claim.set}'; the transfer has {', '.join(transfer.sets)}")
    if all(transfer_set(name).has_objects for name in ([claim.set] if claim.set else transfer.sets)):
        raise UserError(f"claims.{key} compares accuracies by class, which its set does not have: choose another set")
