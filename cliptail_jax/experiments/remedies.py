"""Remedies for a long tail: what each changes in the config of supervised training (SL)."""

from collections.abc import Callable
from typing import Any, NamedTuple

from ml_collections import ConfigDict


class Remedy(NamedTuple):
    """A remedy.

    Attributes:
        claim_start: the beginning of its claims in configs/study/remedies.py.
        fields: a function of the config of SL that returns the fields that differ, by key.
        name: its display name, if `cliptail_jax.experiments.kinds` has none for its runs.
    """

    claim_start: str
    fields: Callable[[ConfigDict], dict[str, Any]]
    name: str = ""


# Remedies by the names of their runs. A further entry adds a remedy and its claims.
REMEDIES = {
    "batch": Remedy("A softmax over the batch's classes lifts", lambda sl: {"vocabulary.size": 1}),
    "counts": Remedy(
        "Counted classes of the batch lift", lambda sl: {"vocabulary.size": 1, "loss.count_in_batch": True}
    ),
    "adjusted": Remedy("Adjusted logits lift", lambda sl: {"loss.logit_adjustment": 1.0}),
    "ldam": Remedy(
        "LDAM with deferred weights lifts",
        lambda sl: {
            "loss.margin": 0.3,
            "loss.class_weights": 0.9999,
            "loss.reweight_from": sl.total_epochs * 2 // 3,
        },
    ),
    "balanced": Remedy("Balanced sampling lifts", lambda sl: {"data.balanced_sampling": True}),
}


def with_remedy(sl: ConfigDict, name: str) -> ConfigDict:
    """A copy of SL's config with the remedy of this name.

    >>> from cliptail_jax.config.files import load_config
    >>> with_remedy(load_config("sup:data=glyphs_lt"), "adjusted").loss.logit_adjustment
    1.0
    """
    config = sl.copy_and_resolve_references()
    config.update_from_flattened_dict(REMEDIES[name].fields(sl))
    return config
