"""`claims.json`: a study's claims and the recipes of the runs that they compare, as they are at the first run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

import jax

from cliptail_jax.config.fields import difference, fields_of, plain
from cliptail_jax.config.renamed import RENAMED_IN_CLAIM, with_new_keys, with_new_names
from cliptail_jax.host.files import read_json, write_json
from cliptail_jax.objectives import DEFAULTS, FIELDS, TrainingConfig
from cliptail_jax.results.claims import CLAIM, RECIPE, Change, Claim
from cliptail_jax.results.transfers import METHODS
from cliptail_jax.study.configuration import StudyConfig
from cliptail_jax.transfer.configuration import TransferConfig

FILE = "claims.json"
# Fields of `eval` on which no statistic of a claim depends.
IRRELEVANT_KEYS = tuple(
    f"eval.{name}"
    for name in ("every_epochs", "batch_size", "confidence", "neural_collapse", "similarity", "save_features")
)
TRANSFER_KEYS = {field.key for field in fields_of(TransferConfig()) if not field.is_incidental}


class ClaimsFile(TypedDict, total=False):
    """claims.json."""

    claims: dict[str, dict[str, Any]]
    recipes: dict[str, dict[str, Any]]
    design: dict[str, Any]
    transfer: dict[str, Any]


def changes_of_claims(study: StudyConfig, workdir: Path) -> dict[str, Change]:
    """The changes of claims since the first run, by key. A directory without runs starts a new study.

    The first version wrote files with claims alone; with such a file, all claims count as added.
    """
    transfer = plain(study.first.transfer) if study.first.transfer else {}
    contents = {
        "claims": {
            key: {name: value for name, value in plain(claim).items() if name != "study"}  # this path may change
            for key, claim in study.claim_fields.items()
        },
        "recipes": {name: recipe(config) for name, config in study.first.runs.items()},
        "design": {"seed": study.seed, "seeds": study.seeds, "counterbalanced": study.counterbalanced},
        "transfer": {key: transfer[key] for key in sorted(transfer) if key in TRANSFER_KEYS},
    }
    # Look for runs before reading the file: another process may write the file now, before its first run.
    is_new = not any((workdir / name).exists() for name in study.queue)
    earlier_contents = read_json(workdir / FILE, ClaimsFile)
    if earlier_contents is None:
        earlier_contents = contents if is_new else contents | {"claims": {}}
        if jax.process_index() == 0:
            workdir.mkdir(parents=True, exist_ok=True)
            write_json(workdir / FILE, earlier_contents)
    earlier_contents = contents | {"claims": {}} | earlier_contents
    changes = {}
    for key, claim in contents["claims"].items():
        earlier_claim = with_new_names(earlier_contents["claims"].get(key, {}), RENAMED_IN_CLAIM)
        if text := "added" if not earlier_claim else changed_values(earlier_claim, claim):
            changes[key] = Change(CLAIM, text)
        elif text := changed_recipe(earlier_contents, contents, claim):
            changes[key] = Change(RECIPE, text)
    return changes


def changed_recipe(earlier_contents: Mapping[str, Any], contents: Mapping[str, Any], claim: Mapping[str, Any]) -> str:
    """The changes in a claim's runs, in the study's design, and in the transfer if the claim is on one."""
    texts = [changed_values(earlier_contents["design"], contents["design"])]
    if claim["statistic"] in METHODS:
        texts.append(changed_values(earlier_contents["transfer"], contents["transfer"], "transfer."))
    for name in dict.fromkeys(Claim(**claim).runs):
        recipes = (DEFAULTS | with_new_keys(file["recipes"].get(name, {})) for file in (earlier_contents, contents))
        if text := changed_values(*recipes):
            texts.append(f"{name}: {text}")
    return "; ".join(filter(None, texts))


def changed_values(earlier_values: Mapping[str, Any], values: Mapping[str, Any], prefix: str = "") -> str:
    """The keys whose values differ, with both values; that of a missing key is None."""
    keys = earlier_values.keys() | values.keys()
    return difference(*({f"{prefix}{key}": side.get(key) for key in keys} for side in (earlier_values, values)))


def recipe(config: TrainingConfig) -> dict[str, Any]:
    """The values of a run's config that can change its numbers. Defaults are left out, since later versions add fields."""
    values = plain(config)
    values["eval.sets"] = values["eval.sets"][:1]  # a claim on one of the other sets names it
    return {
        field.key: values[field.key]
        for field in FIELDS
        if (not field.is_incidental or field.key.startswith("eval.") and field.key not in IRRELEVANT_KEYS)
        and values[field.key] != DEFAULTS[field.key]
    }
