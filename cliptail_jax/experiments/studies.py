"""The common parts of studies' configs: claims, and the main finding on any data."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict, FieldReference

from cliptail_jax.config.files import load_config
from cliptail_jax.experiments.remedies import with_remedy
from cliptail_jax.host.errors import UserError, renaming_error
from cliptail_jax.metrics.measures import MEASURES

# The seed of the first runs. Runs with seeds from 0 to 3 suggested the claims in log-odds, so new seeds test them.
FIRST_SEED = 4
SLOPES = ("slope_acc", "slope_pred", "odds_acc")
# Claims of the main finding: the text, the statistic, the run with the higher and the run with the lower value.
MAIN_CLAIMS = {
    "sampled_odds": ("SL's log-odds are more biased than with a sampled vocabulary", "odds_acc", "sl", "sl_sampled"),
    "clip_odds": ("SL's log-odds are more biased than CLIP's", "odds_acc", "sl", "clip"),
    "clip_sampled_odds": ("A sampled vocabulary leaves log-odds more biased than CLIP's", "odds_acc", "sl_sampled", "clip"),
    "sampled_accuracy": ("SL's accuracy is more biased than with a sampled vocabulary", "slope_acc", "sl", "sl_sampled"),
    "sampled_prediction": ("SL's predictions are more biased than with a sampled vocabulary", "slope_pred", "sl", "sl_sampled"),
    "sampled_tail": ("A sampled vocabulary lifts the tail", "tail", "sl_sampled", "sl"),
    "clip_accuracy": ("SL's accuracy is more biased than CLIP's", "slope_acc", "sl", "clip"),
    "clip_prediction": ("SL's predictions are more biased than CLIP's", "slope_pred", "sl", "clip"),
    "clip_sampled": ("A sampled vocabulary leaves accuracy more biased than CLIP's", "slope_acc", "sl_sampled", "clip"),
}  # fmt: skip
# Claims on the runs of `from_sl_to_clip`: the text, the run with the higher and the run with the lower bias.
STEP_CLAIMS = {
    "clip": ("SL is more biased than CLIP", "sl", "clip"),
    "batch": ("A softmax over all classes leaves SL more biased than over those of the batch", "sl", "batch"),
    "counts": ("Counting each class of the batch once leaves more bias than as often as it occurs", "batch", "counts"),
    "adjusted": ("SL is more biased than with adjusted logits", "sl", "adjusted"),
}

# By data: its name in titles, its long-tailed preset, the epochs of a run, AdamW's best learning rate for CLIP on names, and
# the first seed. With seed 0 on glyphs of 16 pixels, CLIP had a top-1 of 64 % with this rate, 58 % with half of it, and 52 %
# with twice it.
LONG_TAILED = {
    "glyphs": dict(name="glyphs", preset="glyphs_lt", epochs=7, learning_rate=3e-3, first_seed=FIRST_SEED),
    "glyphs_16": dict(
        name="glyphs of 16 pixels", preset="glyphs_lt,size=16", epochs=12, learning_rate=3e-3, first_seed=8
    ),
    "cifar100": dict(name="cifar100", preset="cifar100_lt", epochs=30, learning_rate=2e-3, first_seed=FIRST_SEED),
}


def in_order(items: Mapping) -> ConfigDict:
    """A ConfigDict that keeps the order of the items, which reports use, instead of sorting the keys."""
    return ConfigDict(items, sort_keys=False)


ClaimFields = dict[str, Any]  # a claim in a config, by the attributes of cliptail_jax.results.claims.Claim


def claim(
    text: str, statistic: str, higher: str | float, lower: str | float, eval_set: str = "", **attributes: Any
) -> ClaimFields:
    """A claim of a study, on evaluations on `eval_set`, by default the runs' first set. `attributes` are those of `Claim`.

    >>> claim("SL is more biased than CLIP", "odds_acc", "sl", "clip")["margin"] > 0
    True
    """
    if "on" in attributes:
        raise renaming_error("on", "eval_set")
    # The study's check reports an unknown statistic.
    margin = MEASURES[statistic].margin if statistic in MEASURES else 0.0
    fields = dict(text=text, statistic=statistic, higher=higher, lower=lower, margin=margin)
    return fields | ({"set": eval_set} if eval_set else {}) | attributes


def claims_on(
    statistics: Sequence[str],
    claims: Mapping[str, tuple[str, str | float, str | float]],
    suffix: str = "",
    **attributes: Any,
) -> dict[str, ClaimFields]:
    """Claims on each statistic, by key. The values of `claims` are text, run with the higher and run with the lower value.

    `suffix` ends the keys, and `attributes` are further arguments of `claim`.

    Raises UserError if larger values do not mean the same for all statistics, so that no order of runs fits them.

    >>> sorted(claims_on(("odds_acc", "slope_pred"), {"clip": ("SL is more biased than CLIP", "sl", "clip")}))
    ['clip_odds_acc', 'clip_slope_pred']
    """
    larger = {statistic: MEASURES[statistic].larger or "neither" for statistic in statistics if statistic in MEASURES}
    if len(set(larger.values())) > 1:
        raise UserError(
            f"claims on {', '.join(larger)} cannot have one order of runs: larger means "
            f"{', '.join(larger.values())}; call claims_on for each, with the run of the higher value first"
        )
    return {
        f"{key}_{statistic}{suffix}": claim(text, statistic, higher, lower, **attributes)
        for key, (text, higher, lower) in claims.items()
        for statistic in statistics
    }


def adamw(preset: str, learning_rate: float) -> ConfigDict:
    """CLIP's optimizer for a data preset, with a learning rate."""
    optimizer = load_config(f"clip:data={preset}").optimizer
    optimizer.learning_rate = learning_rate
    return optimizer


def from_sl_to_clip(preset: str, learning_rate: float) -> dict[str, ConfigDict]:
    """SL, the two steps from its softmax to CLIP's, adjusted logits, and CLIP on class names, all with CLIP's optimizer."""
    sl = load_config(f"sup:data={preset}")
    runs = {
        "sl": sl,
        **{remedy: with_remedy(sl, remedy) for remedy in ("batch", "counts", "adjusted")},
        "clip": load_config(f"clip:data={preset}"),
    }
    runs["clip"].model.text.context_length = 8  # enough for names, and fast
    for config in runs.values():
        config.optimizer = adamw(preset, learning_rate)
    return runs


def study(
    title: str,
    runs: Mapping[str, ConfigDict],
    claims: Mapping[str, Mapping],
    first_seed: int = FIRST_SEED,
    **fields: Any,
) -> ConfigDict:
    """A study whose fields data_dir and seed apply to all runs; `fields` are further fields.

    Each run's data.data_dir, seed and data.seed refer to these, so that an assignment to one of them changes it in all runs.

    Raises UserError if two runs are the same object, so that a change of one would change the other.
    """
    for (a, first), (b, second) in itertools.combinations(runs.items(), 2):
        if first is second:
            raise UserError(f"the runs {a} and {b} are the same object: call load_config for each of them")
    data_dir, seed = FieldReference(""), FieldReference(first_seed)
    for config in runs.values():
        config.seed = config.data.seed = seed
        config.data.data_dir = data_dir
    fields = dict(title=title, data_dir=data_dir, seed=seed, **fields)
    return ConfigDict(fields | dict(runs=in_order(runs), claims=in_order(claims)))


def equal_training(
    title: str,
    source: Mapping[str, Any],
    runs: Mapping[str, ConfigDict],
    claims: Mapping[str, Mapping],
    counterbalanced: bool = True,
    **fields: Any,
) -> ConfigDict:
    """A study of runs with the same images and epochs on a source of `LONG_TAILED`, by default in mirrored pairs."""
    for config in runs.values():
        config.total_epochs = source["epochs"]
        config.eval.every_epochs = 1
        config.data.drop_last = True
    return study(title, runs, claims, source["first_seed"], counterbalanced=counterbalanced, **fields)


def main_finding(title: str, preset: str, epochs: int) -> ConfigDict:
    """A study of SL, SL with a sampled vocabulary and CLIP on class names in mirrored pairs, with the paper's claims."""
    runs = {
        "sl": load_config(f"sup:data={preset}"),
        "sl_sampled": load_config(f"sup:data={preset},vocabulary=20"),
        "clip": load_config(f"clip:data={preset}"),
    }
    runs["clip"].model.text.context_length = 8  # enough for names, and fast
    for config in runs.values():
        config.total_epochs = epochs
        config.eval.every_epochs = 1
    claims = {key: claim(*fields) for key, fields in MAIN_CLAIMS.items()}
    return study(title, runs, claims, seeds=2, counterbalanced=True)
