"""The interface of an objective: everything that is specific to one kind of training."""

import abc
from pathlib import Path

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float
from ml_collections import ConfigDict

from cliptail_jax.curation.variant import Variant
from cliptail_jax.errors import UserError
from cliptail_jax.input.pipeline import ReadText, num_steps_per_epoch
from cliptail_jax.input.transforms import Transform, random_crop
from cliptail_jax.pretrained.towers import Towers, open_image_tower
from cliptail_jax.training.state import TrainState
from cliptail_jax.training.step import Batch


class Objective(abc.ABC):
    """What a run trains, on which arrays, and by which loss.

    An instance is the objective of one run. Making one opens what the run starts from and raises UserError for what can
    only be checked with the data at hand; nothing is written before `open_text`.

    Attributes:
        steps_per_epoch: batches that an epoch of the variant has.
        total_steps: of the run.
        towers: the trained towers that the run starts from.
        read: from captions to what the text tower takes; None for a run that reads no captions.
        read_prompts: the same of evaluation prompts.
    """

    read: ReadText | None = None
    read_prompts: ReadText | None = None

    def __init__(self, config: ConfigDict, variant: Variant):
        self.config, self.variant = config, variant
        data = config.data
        self.steps_per_epoch = num_steps_per_epoch(len(variant), config.batch_size, data.drop_last)
        if self.steps_per_epoch == 0:
            raise UserError(
                f"data.drop_last=True leaves no batch: batch_size={config.batch_size}, but the variant has {len(variant)} "
                "records"
            )
        self.total_steps = config.total_steps or config.total_epochs * self.steps_per_epoch
        self.towers = self.open_towers()

    @classmethod
    def validate(cls, config: ConfigDict) -> None:
        """Raise UserError for values that this objective cannot have."""

    def open_towers(self) -> Towers:
        """The trained towers that the config names: an image tower for every objective."""
        return Towers(open_image_tower(self.config) if self.config.image.init != "random" else None)

    def open_text(self, workdir: Path) -> None:
        """Set `read` and `read_prompts`; a tokenizer that is trained for the run is saved in its work directory."""

    # The model

    @abc.abstractmethod
    def build_model(self, rngs: nnx.Rngs) -> nnx.Module:
        """The model, randomly initialized; called under `jax.jit`."""

    @property
    def frozen(self) -> tuple[str, ...]:
        """Dotted paths of the parts of the model that are not trained."""
        return (*self.config.freeze, *(["visual"] if self.config.image.freeze else []))

    def init_averages(self, params: nnx.State, batch_stats: nnx.State) -> tuple[nnx.State | None, nnx.State | None]:
        """The first moving averages of parameters and of batch statistics, where the run has them."""
        return (jax.tree.map(jnp.copy, params) if self.config.optimizer.ema_decay else None), None

    # The data

    @property
    def transform(self) -> Transform:
        """What becomes of the training images of a batch."""
        return random_crop(self.config.data, self.config.seed)

    # The step

    def prepare(
        self, averaged: nnx.Module | None, state: TrainState, batch: Batch, key: Array
    ) -> tuple[Batch, nnx.State | None]:
        """What a step computes without gradients: the arrays that `encode` and `loss` take, and the batch statistics of
        the `averaged` model, the one with averaged parameters, afterwards."""
        return batch, state.ema_batch_stats

    @abc.abstractmethod
    def encode(self, model: nnx.Module, batch: Batch, key: Array) -> dict[str, Array]:
        """Features of the examples of a batch, or of one part of it where gradients are accumulated, each [b, ...].

        `key` is for dropout, and differs by step and part.
        """

    @abc.abstractmethod
    def loss(self, model: nnx.Module, features: dict[str, Array], batch: Batch, key: Array) -> Float[Array, ""]:
        """The loss of a whole batch, given its features. `key` differs by step."""

    def after_update(self, state: TrainState, params: nnx.State, opt_state) -> tuple[nnx.State, object]:
        """The parameters and the optimizer's state that a step ends with, given the `state` before it."""
        return params, opt_state

    def ema_decay(self, step: Array) -> float | Array:
        """The decay of the moving average of the parameters, where the run has one."""
        return self.config.optimizer.ema_decay

    def metrics(self, state: TrainState) -> dict[str, Array]:
        """Further numbers to log beside the loss, of the state after a step."""
        return {}
