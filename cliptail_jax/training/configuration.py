"""The training config: the fields that every run has, and the checks of their combinations."""

from dataclasses import dataclass
from typing import Annotated

from cliptail_jax.config.fields import Incidental, NonNegative, Positive, Section
from cliptail_jax.config.sections import MeshAxes, Names, check_evaluation
from cliptail_jax.config.training import BatchNormOptions, Checkpoint, Data, Image, Model, RunEvaluation, check_data
from cliptail_jax.host.errors import UserError
from cliptail_jax.training.optimizer import Optimizer


@dataclass(frozen=True)
class Tracing(Section):
    steps: Annotated[int, "Steps to trace for TensorBoard, soon after a session begins; 0: none.", NonNegative] = 0


@dataclass(frozen=True)
class Training(Section):
    """The fields that every training config has. The objectives add sections."""

    seed: Annotated[
        int, "Seed of initial weights, order of the data, augmentation and sampled vocabularies.", NonNegative
    ] = 0
    objective: Annotated[str, "Training objective, one of cliptail_jax.objectives, or FILE.py:CLASS."] = "supervised"
    total_epochs: Annotated[int, "Length of the training in epochs.", Positive] = 90
    total_steps: Annotated[
        int, "Length of the training in steps, in place of total_epochs; 0: total_epochs counts.", NonNegative
    ] = 0
    batch_size: Annotated[int, "Examples per step, over all devices and processes.", Positive] = 256
    accumulate_steps: Annotated[int, "Micro-batches per step; the loss spans the whole batch.", Positive] = 1
    log_every_steps: Annotated[int, "Steps between two lines of metrics.jsonl.", Positive, Incidental] = 50
    checkpoint: Annotated[Checkpoint, Incidental] = Checkpoint()
    profile: Annotated[Tracing, Incidental] = Tracing()
    eval: Annotated[RunEvaluation, Incidental] = RunEvaluation(templates="openai80")
    data: Data = Data()
    mesh: Annotated[MeshAxes, Incidental] = MeshAxes()
    model: Model = Model()
    image: Image = Image()
    freeze: Annotated[Names, "Further paths that are not trained, such as 'visual' or 'visual.attnpool'."] = ()
    batch_norm: BatchNormOptions = BatchNormOptions()
    optimizer: Optimizer = Optimizer()


def check_sections(config: Training) -> None:
    """Raise UserError if values of a training config, valid by themselves, cannot be combined."""
    if config.optimizer.warmup_steps and config.optimizer.warmup_epochs:
        raise UserError("set optimizer.warmup_steps or optimizer.warmup_epochs, not both")
    if config.optimizer.cooldown and config.optimizer.schedule != "constant":
        raise UserError(
            "optimizer.cooldown is for a constant rate: set optimizer.schedule='constant', or leave it at 0"
        )
    if config.optimizer.final_learning_rate and not (
        config.optimizer.schedule == "cosine_steps" or config.optimizer.cooldown
    ):
        raise UserError(
            "optimizer.final_learning_rate is for optimizer.schedule='cosine_steps', or a cooldown: leave it at 0"
        )
    check_evaluation(config.eval)
    if config.eval.random_classes and not all(":" in name for name in config.eval.sets):
        raise UserError("eval.random_classes is for sets of the form NAME:SPLIT")
    if config.batch_size % config.accumulate_steps:
        raise UserError(
            f"batch_size={config.batch_size} is not divisible by accumulate_steps={config.accumulate_steps}"
        )
    check_data(config.data)
