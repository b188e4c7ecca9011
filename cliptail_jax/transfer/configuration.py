"""The transfer config: its fields and their checks."""

import functools
from dataclasses import dataclass
from typing import Annotated

from ml_collections import ConfigDict

from cliptail_jax.config import fields
from cliptail_jax.config.fields import Incidental, NonNegative, Positive, Rule, Section
from cliptail_jax.config.sections import MeshAxes, Reading
from cliptail_jax.host.errors import UserError, did_you_mean
from cliptail_jax.results.transfers import METHODS


@dataclass(frozen=True)
class FewShotOptions(Section):
    ways: Annotated[int, "Classes per episode.", Positive] = 5
    shots: Annotated[int, "Examples per class.", Positive] = 5
    queries: Annotated[int, "Queries per class.", Positive] = 15
    episodes: Annotated[int, "Number of episodes.", Positive] = 600


@dataclass(frozen=True)
class FineTuneOptions(Section):
    steps: Annotated[int, "Steps of each training run.", Positive] = 5000
    batch_size: Annotated[int, "Images per step, over all devices and processes.", Positive] = 256
    learning_rates: Annotated[
        tuple[float, ...],
        "Learning rates of the grid.",
        Rule(lambda rates: rates and min(rates) > 0, "must be one number or several, each positive"),
    ] = (1e-1, 1e-2, 1e-3, 1e-4)
    weight_decays: Annotated[
        tuple[float, ...],
        "Weight decays of the grid, before they are divided by the learning rate.",
        Rule(lambda decays: decays and min(decays) >= 0, "must be one number or several, each 0 or more"),
    ] = (0.0, 1e-6, 1e-5, 1e-4, 1e-3)


@dataclass(frozen=True)
class TransferConfig(Section):
    models: Annotated[
        tuple[str, ...],
        "Work directories of runs, names of cliptail_jax.pretrained.published, hf-hub:OWNER/NAME, or folders.",
    ] = ()
    sets: Annotated[
        tuple[str, ...],
        "Short names of cliptail_jax.datasets.known_sources, NAME:TRAIN:TEST, or NAME:TRAIN:VALIDATION:TEST.",
    ] = ()
    methods: Annotated[
        tuple[str, ...], "Of probe, few_shot and finetune; finetune trains the model 21 times for each set."
    ] = ("probe", "few_shot")
    seed: Annotated[
        int, "Seed of the held-out images, the folds of temperature scaling, episodes and fine-tuning.", NonNegative
    ] = 0
    image_size: Annotated[
        int, "Side of the images in pixels; 0: the model's own, at most 224 for a published model.", NonNegative
    ] = 0
    batch_size: Annotated[int, "Images per batch, over all devices and processes.", Positive, Incidental] = 256
    few_shot: FewShotOptions = FewShotOptions()
    finetune: FineTuneOptions = FineTuneOptions()
    data: Annotated[Reading, Incidental] = Reading()
    mesh: Annotated[MeshAxes, Incidental] = MeshAxes()


base_config = functools.partial(fields.to_config, TransferConfig())  # `configs/transfer.py` starts from it


def typed_config(config: ConfigDict) -> TransferConfig:
    """The transfer config as typed sections.

    Raises UserError that names the first key that is unknown, missing, or has an invalid value.
    """
    fields.check(config, TransferConfig())
    sections = fields.typed(TransferConfig(), config)
    if not sections.sets:
        raise UserError("sets is empty: name the sets to transfer to, such as \"('cifar100',)\"")
    for method in sections.methods or ("",):
        if method not in METHODS:
            hint = did_you_mean(method, METHODS)
            raise UserError(f"methods has '{method}'{hint}: there are {', '.join(METHODS)}")
    return sections
