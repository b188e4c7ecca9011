"""Checks a study's config before anything is trained."""

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from cliptail_jax.config.fields import flatten
from cliptail_jax.config.renamed import RENAMED_IN_CLAIM, RENAMED_IN_STUDY
from cliptail_jax.host.errors import UserError, did_you_mean, renaming_error
from cliptail_jax.metrics.measures import MEASURES, PROBES
from cliptail_jax.objectives import FIELDS as RUN_FIELDS
from cliptail_jax.objectives import TrainingConfig
from cliptail_jax.results.claims import EQUAL_ACCURACY, Claim
from cliptail_jax.results.run import SEED
from cliptail_jax.transfer.configuration import TransferConfig
from cliptail_jax.transfer.sets import transfer_set

# The fields of a study with their meanings. All but the first three are optional.
FIELDS = {
    "title": "title of the report",
    "runs": "a training config for each run, by the run's name",
    "claims": "claims, by a short name of each, with the runs that they compare (cliptail_jax.results.claims)",
    "names": "display names of runs, where they have none or another (cliptail_jax.experiments.kinds)",
    "figures": "sheets of the paper's figures, by the figure's name (cliptail_jax.study.sheets)",
    "transfer": "a config as of configs/transfer.py, whose `models` are runs of the study, by default all",
    "path": "names of runs that are steps of a path, for a figure with arrows from each to the next",
    "baseline": "a run, with which the report compares the run that has the best mean accuracy over classes",
    "next_command": "a command that continues with that best run, whose name replaces BEST",
    "data_dir": "the folder of prepared data sets, to which the fields of runs refer",
    "seed": "the first seed, to which the seeds of runs refer",
    "seeds": "the number of seeds",
    "counterbalanced": "whether seeds are mirrored pairs: the second run of a pair has the seed of the first and the reversed "
    "order of class frequencies (data.profile.mirrored)",
    "variances_from": "published results whose variance between seeds the tests of claims borrow",
}
# The fields of runs on which results depend. Data sets of one name may differ between folders.
DECISIVE = {
    field.key for field in RUN_FIELDS if not field.is_incidental or field.key.startswith(("eval.", "data.data_dir"))
}
NAME = re.compile(r"(?!\.+$)[A-Za-z0-9._-]+")


def check_keys(keys: Collection[str]) -> None:
    """Raise UserError if the config of a study lacks a field, or has one that looks misspelt."""
    for key in ("title", "runs", "claims"):
        if key not in keys:
            raise UserError(f"a study's config has title, runs and claims, as in configs/study; this one has no {key}")
    if "then" in keys:
        raise renaming_error("a study's field 'then'", f"'{RENAMED_IN_STUDY['then']}'")
    for key in keys:  # a study may have fields of its own, which its runs refer to
        if key not in FIELDS and (suggestion := did_you_mean(key, FIELDS)):
            raise UserError(f"a study has no field '{key}'{suggestion}")


def check_names(names: Collection[str]) -> None:
    """Raise UserError if a run's name cannot be the name of a directory, or would be ambiguous on a command line."""
    for name in names:
        if not NAME.fullmatch(name) or SEED.fullmatch(name):
            raise UserError(
                f"run {name[:50]!r}: its name must consist of letters, digits, '.', '_' and '-', and be neither dots alone nor "
                "that of a seed, such as seed_0"
            )


def check_seeds(seed: int | None, seeds: Any, counterbalanced: Any) -> None:
    """Raise UserError if these fields of a study are invalid or incomplete. A field that is not given is None."""
    if seeds is not None and (type(seeds) is not int or seeds < 1):
        raise UserError(f"config key 'seeds' is {seeds!r}; it must be a positive whole number")
    if seeds and seed is None:
        raise UserError("a study of several seeds has a field 'seed', which the seed of each run refers to")
    if counterbalanced is not None and type(counterbalanced) is not bool:
        raise UserError(f"config key 'counterbalanced' is {counterbalanced!r}; it must be True or False")
    if counterbalanced and (seeds or 1) % 2:
        raise UserError(
            f"a counterbalanced study trains pairs of runs, but its config key 'seeds' is {seeds or 1}: set it to an even "
            "number"
        )


def check_counterbalanced(runs: Mapping[str, TrainingConfig]) -> None:
    """Raise UserError if runs cannot be trained in mirrored pairs."""
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


def check_runs(
    runs: Mapping[str, TrainingConfig],
    transfer: TransferConfig | None,
    path: Sequence[str],
    baseline: str = "",
    display_names: Mapping[str, str] | None = None,
) -> None:
    """Raise UserError if a run is not evaluated, if two runs are the same, or if a field names a run that does not exist."""
    if names := [name for name, config in runs.items() if not config.eval.sets and not transfer]:
        raise UserError(f"run '{names[0]}': eval.sets is empty, but a study compares evaluations")
    first_names: dict[tuple, str] = {}
    for name, config in runs.items():
        first = first_names.setdefault(tuple(value for key, value in flatten(config) if key in DECISIVE), name)
        if first != name:
            raise UserError(
                f"the runs {first} and {name} would have the same results, since no field that affects them differs (a value may "
                "be the default): change one of the runs, or leave it out"
            )
    references = {
        "transfer.models": transfer.models if transfer else (),
        "path": path,
        "baseline": [baseline] * bool(baseline),
        "names": [*(display_names or {})],
    }
    for field, names in references.items():
        if unknown_names := [name for name in names if name not in runs]:
            raise UserError(f"{field} names the run '{unknown_names[0]}'; the study has {', '.join(runs)}")


def typed_claims(
    claim_fields: Mapping[str, Mapping[str, Any]], runs: Mapping[str, TrainingConfig], transfer: TransferConfig | None
) -> dict[str, Claim]:
    """The claims by key, from the fields that the config gives for each; they compare these runs and their transfer.

    Raises UserError if a claim is incomplete or cannot be tested.
    """
    claims = {}
    for key, fields in claim_fields.items():
        if missing_fields := {"text", "statistic", "higher", "lower"} - set(fields):
            raise UserError(f"claims.{key} has no {' and no '.join(sorted(missing_fields))}")
        if old_names := [name for name in fields if name in RENAMED_IN_CLAIM]:
            raise renaming_error(f"claims.{key}.{old_names[0]}", RENAMED_IN_CLAIM[old_names[0]])
        known_fields = [field.name for field in dataclasses.fields(Claim)]
        if unknown_names := [name for name in fields if name not in known_fields]:
            raise UserError(f"claims.{key}.{unknown_names[0]}: a claim has {', '.join(known_fields)}")
        comparable = [name for name, measure in MEASURES.items() if measure.statistic or measure.population == PROBES]
        if fields["statistic"] not in comparable:
            suggestion = did_you_mean(fields["statistic"], comparable)
            raise UserError(
                f"claims.{key}.statistic is '{fields['statistic']}'{suggestion}; it must be one of {', '.join(comparable)}"
            )
        claim = claims[key] = Claim(**fields)
        if type(claim.margin) not in (int, float) or not 0 <= claim.margin < np.inf:
            raise UserError(
                f"claims.{key}.margin is {claim.margin!r}; it is the largest difference that counts as none, 0 or more"
            )
        if type(claim.threshold) not in (int, float) or not np.isfinite(claim.threshold):
            raise UserError(
                f"claims.{key}.threshold is {claim.threshold!r}; it is a number that the difference exceeds"
            )
        if claim.threshold and claim.equal:
            raise UserError(
                f"claims.{key}.threshold is for claims that one run is higher: leave it out with equal=True"
            )
        if len(claim.reference) not in (0, 2):
            raise UserError(
                f"claims.{key}.reference is {claim.reference!r}; it names two runs, or has two numbers, "
                "whose difference is subtracted"
            )
        is_on_probes = MEASURES[claim.statistic].population == PROBES
        for run in claim.runs:
            if run not in runs:
                raise UserError(f"claims.{key} names the run '{run}'; the study has {', '.join(runs)}")
            if not is_on_probes and claim.set not in ("", *runs[run].eval.sets):
                raise UserError(f"claims.{key}.set is '{claim.set}', which run '{run}' is not evaluated on")
        if is_on_probes:
            check_probes(key, claim, tuple(runs), transfer)
        if claim.condition:
            check_condition(key, claim, runs)
    return claims


def check_condition(key: str, claim: Claim, runs: Mapping[str, TrainingConfig]) -> None:
    """Raise UserError if the runs of a claim cannot be compared under its condition."""
    if claim.condition != EQUAL_ACCURACY:
        raise UserError(
            f"claims.{key}.condition is '{claim.condition}'; it is '{EQUAL_ACCURACY}', or '' for the end of the runs"
        )
    comparable = [name for name, measure in MEASURES.items() if tuple(measure.needs) == ("frequency",)]
    if claim.statistic not in comparable:
        raise UserError(
            f"claims.{key}: '{claim.statistic}' is not compared at equal accuracy; {', '.join(comparable)} are"
        )
    for name in claim.runs:
        if not runs[name].total_steps and runs[name].eval.every_epochs >= runs[name].total_epochs:
            raise UserError(
                f"claims.{key} compares runs at equal accuracy, which needs several evaluations, and run '{name}' has one: set "
                "its eval.every_epochs to 1"
            )


def check_probes(key: str, claim: Claim, runs: Sequence[str], transfer: TransferConfig | None) -> None:
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
