"""`claims.json`: the claims of a study, and the recipes of the compared runs, at its first run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

import jax

from cliptail_jax.config.fields import difference, fields_of, plain
from cliptail_jax.config.renamed import with_new_keys
from cliptail_jax.host.files import read_json, write_json
from cliptail_jax.objectives import DEFAULTS, FIELDS, TrainingConfig
from cliptail_jax.results.claims import CLAIM, RECIPE, Change, Claim
from cliptail_jax.results.transfers import METHODS
from cliptail_jax.study.configuration import StudyConfig
from cliptail_jax.transfer.configuration import TransferConfig

FILE = "claims.json"
# Fields of `eval` on which no statistic of a claim depends.
NOT_CLAIMED = tuple(
    f"eval.{name}"
    for name in ("every_epochs", "batch_size", "confidence", "neural_collapse", "similarity", "save_features")
)
OF_TRANSFER = {field.key for field in fields_of(TransferConfig()) if not field.is_incidental}


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
    now = {
        "claims": {
            key: {name: value for name, value in plain(claim).items() if name != "study"}  # which may be moved
            for key, claim in study.stated.items()
        },
        "recipes": {name: recipe(config) for name, config in study.first.runs.items()},
        "design": {"seed": study.seed, "seeds": study.seeds, "counterbalanced": study.counterbalanced},
        "transfer": {key: transfer[key] for key in sorted(transfer) if key in OF_TRANSFER},
    }
    # In this order: another process may state them now, before its first run.
    is_new = not any((workdir / name).exists() for name in study.queue)
    before = read_json(workdir / FILE, ClaimsFile)
    if before is None:
        before = now if is_new else now | {"claims": {}}
        if jax.process_index() == 0:
            workdir.mkdir(parents=True, exist_ok=True)
            write_json(workdir / FILE, before)
    before = now | {"claims": {}} | before
    changes = {}
    for key, claim in now["claims"].items():
        stated = before["claims"].get(key, {})
        if text := "added" if not stated else changed(stated, claim):
            changes[key] = Change(CLAIM, text)
        elif text := changed_recipe(before, now, claim):
            changes[key] = Change(RECIPE, text)
    return changes


def changed_recipe(before: Mapping[str, Any], now: Mapping[str, Any], claim: Mapping[str, Any]) -> str:
    """The changes in a claim's runs, in the study's design, or in the claim's transfer."""
    texts = [changed(before["design"], now["design"])]
    if claim["statistic"] in METHODS:
        texts.append(changed(before["transfer"], now["transfer"], "transfer."))
    for name in dict.fromkeys(Claim(**claim).runs):
        recipes = (DEFAULTS | with_new_keys(of["recipes"].get(name, {})) for of in (before, now))
        if text := changed(*recipes):
            texts.append(f"{name}: {text}")
    return "; ".join(filter(None, texts))


def changed(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> str:
    """The keys that differ with both values; a missing one is None."""
    keys = before.keys() | now.keys()
    return difference(*({f"{prefix}{key}": of.get(key) for key in keys} for of in (before, now)))


def recipe(config: TrainingConfig) -> dict[str, Any]:
    """The values of a run's config that can change its numbers, without defaults, since later versions add fields."""
    values = plain(config)
    values["eval.sets"] = values["eval.sets"][:1]  # a claim on another set names it
    return {
        field.key: values[field.key]
        for field in FIELDS
        if (not field.is_incidental or field.key.startswith("eval.") and field.key not in NOT_CLAIMED)
        and values[field.key] != DEFAULTS[field.key]
    }
