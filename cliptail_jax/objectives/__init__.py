"""Training objectives: one module for each, with everything specific to it.

An objective defines the model that it trains, its loss, the arrays of its batches, its sections of the config, and which
runs a config may evaluate. It must not depend on the training loop or on the evaluation, and may extend another objective. No
other package refers to an objective by name.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from ml_collections import ConfigDict

from cliptail_jax.config import fields, zero_shot
from cliptail_jax.config.renamed import with_new_keys
from cliptail_jax.config.sections import SIGMOID, SOFTMAX
from cliptail_jax.curation.variant import Variant
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import read_json
from cliptail_jax.metrics.effective_prior import UnknownPriorError
from cliptail_jax.objectives.bag_of_words import WordClassifier
from cliptail_jax.objectives.contrastive import Contrastive
from cliptail_jax.objectives.dino import SelfDistillation
from cliptail_jax.objectives.own import own_objective
from cliptail_jax.objectives.sigmoid import Sigmoid
from cliptail_jax.objectives.supervised import Supervised
from cliptail_jax.results.run import Run
from cliptail_jax.runs.files import LOSS, read_config
from cliptail_jax.training.configuration import Training, check_sections
from cliptail_jax.training.objective import Objective, TextInput

__all__ = [
    "DEFAULTS",
    "FIELDS",
    "OBJECTIVES",
    "TrainingConfig",
    "base_config",
    "completed",
    "config_class",
    "describe_config",
    "effective_log_prior",
    "is_own",
    "make_objective",
    "objective_class",
    "own_config",
    "prior_of_run",
    "run_config",
    "stated_loss",
    "typed_config",
]

# By the value of `config.objective`.
OBJECTIVES: dict[str, type[Objective]] = {
    "supervised": Supervised,
    "contrastive": Contrastive,
    "sigmoid": Sigmoid,
    "bag_of_words": WordClassifier,
    "dino": SelfDistillation,
}


def config_class(objectives: Iterable[type[Objective]]) -> type[Training]:
    """The class of training configs that have the sections of all these objectives.

    Raises UserError if two objectives have different sections of the same name.
    """
    return fields.merged("TrainingConfig", [Training(), *(objective.Config() for objective in objectives)])


# Every run has the sections of all objectives, and uses those of its own.
TrainingConfig = config_class(OBJECTIVES.values())
TrainingConfig.__module__ = __name__  # where the processes of a study find the class of a pickled config
FIELDS = tuple(fields.fields_of(TrainingConfig()))
DEFAULTS = {field.key: fields.plain_value(field.default) for field in FIELDS}
describe_config = functools.partial(fields.describe, TrainingConfig())
base_config = functools.partial(fields.to_config, TrainingConfig())  # files of configs/ start from it


def objective_class(name: str) -> type[Objective]:
    """The objective of this name, or of a user: 'FILE.py:CLASS' or 'MODULE:CLASS'.

    Raises UserError if there is none, or if it has fields that configs lack.
    """
    if name in OBJECTIVES:
        return OBJECTIVES[name]
    if isinstance(name, str) and name.endswith(".py"):
        name += ":"
    if not isinstance(name, str) or ":" not in name:
        raise UserError(
            f"config key 'objective' is {name!r}; it must be one of {', '.join(map(repr, OBJECTIVES))}, or FILE.py:CLASS with a "
            "loss of yours (published models are evaluated with cliptail evaluate, not trained)"
        )
    objective = own_objective(name)
    if unknown_keys := [field.key for field in fields.fields_of(objective.Config()) if field.key not in DEFAULTS]:
        raise UserError(
            f"{name} has the field {unknown_keys[0]}, which configs lack: make it an attribute of the class, and other values of it "
            "other classes"
        )
    return objective


def is_own(name: object) -> bool:
    """Whether the objective of a run is no part of the package, but a class in a file or module of a user's."""
    return name not in (*OBJECTIVES, zero_shot.MODE)


def make_objective(
    config: TrainingConfig, variant: Variant, workdir: Path | None = None, shapes_only: bool = False
) -> Objective:
    """The objective of a run of the config on the variant, which continues the run in `workdir` if one is given.

    With `shapes_only`, which suffices for a plan, the run's published initial models are not needed, and it has no text
    input.

    Raises:
        UserError: The config does not suit the variant, or a file that it names cannot be read.
    """
    kind, config = objective_class(config.objective), own_config(config)
    kind.check_data(config, variant)
    towers = kind.open_towers(config, shapes_only)
    text = TextInput() if shapes_only else kind.open_text(config, variant, towers, workdir)
    return kind(config, variant, towers, text, shapes_only)


def own_config(config: TrainingConfig) -> Training:
    """The sections that the config's objective has, of its class `Config`."""
    return fields.typed(objective_class(config.objective).Config(), config)


def typed_config(config: ConfigDict) -> TrainingConfig:
    """The training config as typed sections.

    Raises:
        UserError: The first key that is unknown, missing, or has an invalid value.
    """
    if "runs" in config:
        raise UserError(
            "this config is one of a study, which `cliptail study` trains: give a training config, such as clip"
        )
    objective = objective_class(config.get("objective"))
    fields.check(config, TrainingConfig())
    sections = fields.typed(TrainingConfig(), config)
    _check_other_objectives(sections, objective)
    if sections.eval.confidence == SIGMOID and not objective.has_logit_bias:
        raise UserError(
            f"eval.confidence='{SIGMOID}' needs a logit bias, which objective='{sections.objective}' does not learn: set it to "
            f"'{SOFTMAX}', or train with objective='sigmoid'"
        )
    if sections.data.labels.noise and not objective.trains_on_labels:
        raise UserError(
            f"data.labels.noise makes labels wrong, which objective='{sections.objective}' does not train on: leave it at 0; "
            "data.captions.distractors makes captions wrong"
        )
    objective.validate(own_config(sections))
    check_sections(sections)
    return sections


def run_config(workdir: Path) -> TrainingConfig:
    """The config of the run in a directory. A user's objective that it names is not imported.

    Raises UserError if there is no run, or one of another version.
    """
    values = read_config(workdir)
    if values is None:
        raise UserError(f"there is no run in {workdir}: give the --workdir of one")
    if values.get("objective") == zero_shot.MODE:
        raise UserError(f"{workdir} contains evaluations of a published model: give the name of that model as --model")
    config = fields.with_values(base_config(), values, workdir)
    if not is_own(config.objective):
        return typed_config(config)
    fields.check(config, TrainingConfig())  # without the rules of its objective
    return fields.typed(TrainingConfig(), config)


def completed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of all fields, by dotted key, of a config of this or an earlier version. Missing ones have their defaults."""
    values = with_new_keys(values)
    return DEFAULTS | {key: values[key] for key in values.keys() & DEFAULTS.keys()}


def effective_log_prior(values: Mapping[str, Any], frequency: Int[np.ndarray, " class"]) -> Float[np.ndarray, " class"]:
    """How much the loss of a run favours each class, ψ of `cliptail_jax.metrics.effective_prior`.

    Args:
        values: the values of its config by dotted key, from this or an earlier version.
        frequency: the numbers of training images of the classes that have any.

    Raises UserError if ψ is not known, with the reason, or if this version cannot train the config.
    """
    config = typed_config(fields.with_values(base_config(), completed(values), "the run"))
    return objective_class(config.objective).effective_log_prior(own_config(config), frequency)


def stated_loss(objective: Objective, frequency: Int[np.ndarray, " class"]) -> dict[str, Any]:
    """What a run stores of a user's loss, since readers of the run do not run its code: its effective log-prior.

    It is that of the classes with training images, or the reason why it is not known.
    """
    try:
        prior = type(objective).effective_log_prior(objective.config, frequency[frequency > 0])
    except UnknownPriorError as reason:
        return {"unknown": str(reason)}
    return {"log_prior": np.asarray(prior, np.float64).tolist()}


def prior_of_run(run: Run) -> Callable[[Int[np.ndarray, " class"]], Float[np.ndarray, " class"]]:
    """The ψ of the loss of a run, by the numbers of training images of classes. That of a user's loss is read from the run.

    The function raises UnknownPriorError if ψ is not known, or not for these numbers.
    """
    if not is_own(run.config["objective"]):
        return functools.partial(effective_log_prior, run.config)
    loss = read_json(run.workdir / LOSS) or {}

    def prior(frequency: Int[np.ndarray, " class"]) -> Float[np.ndarray, " class"]:
        if "log_prior" not in loss:
            raise UnknownPriorError(loss.get("unknown") or f"{run.workdir} does not state the log-prior of its loss")
        if not np.array_equal(frequency, run.class_frequency[run.class_frequency > 0]):
            raise UnknownPriorError(f"{run.workdir} states the log-prior of its loss for its own class frequency only")
        return np.array(loss["log_prior"])

    return prior


def _check_other_objectives(config: TrainingConfig, objective: type[Objective]) -> None:
    """Raise UserError if a field is set that only other objectives have: it would have no effect."""
    own_keys = {field.key for field in fields.fields_of(objective.Config())}
    values = dict(fields.flatten(config))
    for name, other_objective in OBJECTIVES.items():
        for field in fields.fields_of(other_objective.Config()):
            if field.key not in own_keys and values[field.key] != field.default:
                raise UserError(
                    f"{field.key} is for objective='{name}' and has no effect with objective='{config.objective}': "
                    f"leave it at {field.default!r}"
                )
