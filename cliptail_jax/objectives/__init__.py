"""Training objectives: one module for each, with all that is specific to it. No other package knows one by its name.

An objective knows the model that it trains, its loss, the arrays that its batches contain, and its section of the config.
It must not know of the training loop, of evaluation, or of the other objectives.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from cliptail_jax.config import fields
from cliptail_jax.config.sections import SIGMOID, SOFTMAX
from cliptail_jax.config.training import Training, check_sections
from cliptail_jax.curation.variant import Variant
from cliptail_jax.errors import UserError
from cliptail_jax.objectives.bag_of_words import WordClassifier
from cliptail_jax.objectives.contrastive import Contrastive
from cliptail_jax.objectives.dino import Dino
from cliptail_jax.objectives.sigmoid import Sigmoid
from cliptail_jax.objectives.supervised import Supervised
from cliptail_jax.training.objective import Objective

__all__ = ["FIELDS", "OBJECTIVES", "base_config", "describe_config", "make_objective", "validate"]

# By the name that `config.objective` has.
OBJECTIVES: dict[str, type[Objective]] = {
    "supervised": Supervised,
    "contrastive": Contrastive,
    "sigmoid": Sigmoid,
    "bag_of_words": WordClassifier,
    "dino": Dino,
}

_SECTIONS = {name: section for objective in OBJECTIVES.values() for name, section in objective.sections.items()}
_ADDED = [(name, type(section), section) for name, section in _SECTIONS.items()]
# The training config's section: every run has the sections of all objectives, and uses those of its own.
SECTION = dataclasses.make_dataclass("TrainingConfig", _ADDED, bases=(Training,), frozen=True)()
FIELDS = tuple(fields.fields_of(SECTION))


def make_objective(config: ConfigDict, variant: Variant) -> Objective:
    """The objective of a run of the config on the variant."""
    return OBJECTIVES[config.objective](config, variant)


def base_config() -> ConfigDict:
    """The training config that the files of `configs/` start from."""
    return fields.to_config(SECTION)


def describe_config(config: ConfigDict | None = None) -> str:
    """The fields with their values in a training config, or else their defaults."""
    return fields.describe(SECTION, config)


def validate(config: ConfigDict) -> None:
    """Raises UserError that names the first key that is unknown, missing, or has a value that it must not have."""
    if config.get("objective") not in OBJECTIVES:
        raise UserError(
            f"config key 'objective' is {config.get('objective')!r}; it is one of {', '.join(map(repr, OBJECTIVES))} "
            "(published models are evaluated with cliptail_jax.evaluate, not trained)"
        )
    fields.check(config, SECTION)
    _check_others(config.objective, dict(fields.flatten(config)))
    if config.eval.confidence == SIGMOID and not OBJECTIVES[config.objective].has_logit_bias:
        raise UserError(
            f"eval.confidence='{SIGMOID}' needs a logit bias, which objective='{config.objective}' does not learn: set it to "
            f"'{SOFTMAX}', or train with objective='sigmoid'"
        )
    OBJECTIVES[config.objective].validate(config)
    check_sections(config)


def _check_others(own: str, values: Mapping[str, Any]) -> None:
    """Raises UserError where a field is set that belongs to another objective: it would have no effect."""
    for name, objective in OBJECTIVES.items():
        for section in objective.sections.keys() - OBJECTIVES[own].sections.keys():
            for field in fields.fields_of(objective.sections[section], f"{section}."):
                if values[field.key] != field.default:
                    raise UserError(
                        f"{field.key} is for objective='{name}' and has no effect with objective='{own}': "
                        f"leave it at {field.default!r}"
                    )
