"""Training objectives: one module for each, with everything specific to it.

An objective defines the model that it trains, its loss, the arrays of its batches, its sections of the config, and which
runs a config may evaluate. It must not depend on the training loop, on the evaluation, or on other objectives. No other
package refers to an objective by name.
"""

import dataclasses
import functools
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

# By the value of `config.objective`.
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
describe_config = functools.partial(fields.describe, SECTION)


def make_objective(config: ConfigDict, variant: Variant, shapes_only: bool = False) -> Objective:
    """The objective of a run of the config on the variant.

    With `shapes_only`, which suffices for a plan, the run's published initial models are not needed.
    """
    return OBJECTIVES[config.objective](config, variant, shapes_only)


def base_config() -> ConfigDict:
    """The training config that the files of `configs/` start from."""
    return fields.to_config(SECTION)


def validate(config: ConfigDict) -> None:
    """Raise UserError that names the first key that is unknown, missing, or has an invalid value."""
    if "runs" in config:
        raise UserError(
            "this config is one of a study, which `cliptail study` trains: give a training config, such as clip"
        )
    if config.get("objective") not in OBJECTIVES:
        raise UserError(
            f"config key 'objective' is {config.get('objective')!r}; it is one of {', '.join(map(repr, OBJECTIVES))} "
            "(published models are evaluated with cliptail_jax.evaluate, not trained)"
        )
    fields.check(config, SECTION)
    _check_others(config.objective, dict(fields.flatten(config)))
    objective = OBJECTIVES[config.objective]
    if config.eval.confidence == SIGMOID and not objective.has_logit_bias:
        raise UserError(
            f"eval.confidence='{SIGMOID}' needs a logit bias, which objective='{config.objective}' does not learn: set it to "
            f"'{SOFTMAX}', or train with objective='sigmoid'"
        )
    if config.data.labels.noise and not objective.trains_on_labels:
        raise UserError(
            f"data.labels.noise makes labels wrong, which objective='{config.objective}' does not train on: leave it at 0; "
            "data.captions.distractors makes captions wrong"
        )
    objective.validate(config)
    check_sections(config)


def _check_others(own: str, values: Mapping[str, Any]) -> None:
    """Raise UserError if a field is set that only other objectives have: it would have no effect."""
    own_sections = OBJECTIVES[own].sections
    for name, objective in OBJECTIVES.items():
        others = {key: section for key, section in objective.sections.items() if key not in own_sections}
        for field in (field for key, section in others.items() for field in fields.fields_of(section, f"{key}.")):
            if values[field.key] != field.default:
                raise UserError(
                    f"{field.key} is for objective='{name}' and has no effect with objective='{own}': "
                    f"leave it at {field.default!r}"
                )
