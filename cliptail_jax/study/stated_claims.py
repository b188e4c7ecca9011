"""Which claims of a study, and recipes of the runs that they compare, are those of its first run: `claims.json` has them."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import jax
from ml_collections import ConfigDict

from cliptail_jax.config.fields import plain, plain_value
from cliptail_jax.files import digest_of_json, write_json
from cliptail_jax.objectives import FIELDS

FILE = "claims.json"
CLAIM, RUNS = "claim", "runs"  # what has changed
# Fields of `eval` on which no statistic of a claim depends.
NOT_CLAIMED = tuple(
    f"eval.{name}"
    for name in ("every_epochs", "batch_size", "confidence", "neural_collapse", "similarity", "save_features")
)


def changes_of_claims(
    claims: ConfigDict, configs: Mapping[str, ConfigDict] | ConfigDict, workdir: Path, directories: Iterable[str]
) -> dict[str, str]:
    """How claims were changed since the first run, by their keys; an empty directory starts a new study.

    CLAIM: the claim was added or is another one; RUNS: only the config of one of its runs is another one. Older files have
    no config digests.

    Args:
        claims: the claims by key.
        configs: of the runs by name.
        workdir: the study's directory.
        directories: of its runs, in `workdir`.
    """
    now, path = {}, workdir / FILE
    for key, claim in claims.items():
        recipes = [recipe(configs[claim[side]]) for side in ("higher", "lower")]
        now[key] = plain(claim) | {RUNS: digest_of_json(recipes, sort_keys=True)[:16]}
    if path.exists():
        before = json.loads(path.read_text())
    else:
        before = {} if any((workdir / name).exists() for name in directories) else now
        if jax.process_index() == 0:
            workdir.mkdir(parents=True, exist_ok=True)
            write_json(path, before)
    changes = {}
    for key, claim in now.items():
        stated = {RUNS: claim[RUNS]} | before.get(key, {})
        if stated != claim:
            changes[key] = RUNS if stated | {RUNS: claim[RUNS]} == claim else CLAIM
    return changes


def recipe(config: ConfigDict) -> dict[str, object]:
    """The values of a run's config that can change its numbers, where they are no defaults: later versions add fields."""
    values = plain(config)
    values["eval.sets"] = values["eval.sets"][:1]  # a claim on another set names it
    return {
        field.key: values[field.key]
        for field in FIELDS
        if (not field.is_incidental or field.key.startswith("eval.") and field.key not in NOT_CLAIMED)
        and values[field.key] != plain_value(field.default)
    }
