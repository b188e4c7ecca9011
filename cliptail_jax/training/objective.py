"""The interface of an objective: everything that is specific to one kind of training."""

import abc
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array
from jax.sharding import Mesh
from jaxtyping import Float
from ml_collections import ConfigDict

from cliptail_jax.config.fields import Section
from cliptail_jax.config.training import check_batch_norm
from cliptail_jax.curation.variant import Variant
from cliptail_jax.errors import UserError
from cliptail_jax.input.composition import check_composition, composition_of
from cliptail_jax.input.device_crops import cropped
from cliptail_jax.input.pipeline import ReadText, num_steps_per_epoch
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.input.transforms import Transform, random_crop
from cliptail_jax.models.build import DTYPES, build_model
from cliptail_jax.models.cosine import logit_scale_metric
from cliptail_jax.models.image_towers import describe_image_tower, image_tower
from cliptail_jax.pretrained.towers import Towers, open_image_tower
from cliptail_jax.training.optimizer import FrozenUntil, Schedule, learning_rate, make_optimizer
from cliptail_jax.training.state import DeviceBatch, TrainState

RANDOM = "random"  # the `init` of a tower that is not taken from another model


class Objective(abc.ABC):
    """What a run trains, on which arrays, and by which loss.

    An instance is the objective of one run. Making one opens what the run starts from and raises UserError for what can
    only be checked with the data at hand; nothing is written before `open_text`.

    Attributes:
        sections: what the objective adds to a training config, by the name of the section.
        steps_per_epoch: batches that an epoch of the variant has.
        total_steps: of the run.
        towers: the trained towers that the run starts from.
        has_logit_bias: whether the model learns a bias of its logits, and thus the probability of a pair by itself.
        uses_prompts: whether a run has captions and its model is evaluated by prompts: it has a text tower or classifies words.
        read: from captions to what the text tower takes, or the ids of words; None for a run that reads no captions.
        read_prompts: the same of evaluation prompts.
        tokenizer_source: where the tokenizer is from, as `cliptail_jax.pretrained.runs.describe_run` takes it.
    """

    sections: Mapping[str, Section] = {}
    has_logit_bias: bool = False
    uses_prompts: bool = False
    read: ReadText | None = None
    read_prompts: ReadText | None = None
    tokenizer_source: Mapping[str, str] = {}

    def __init__(self, config: ConfigDict, variant: Variant):
        if self.uses_prompts and variant.captions is None:
            raise UserError(
                f"objective='{config.objective}' needs captions: set data.captions.template or data.captions.words"
            )
        self.config, self.variant = config, variant
        data = config.data
        self.steps_per_epoch = num_steps_per_epoch(len(variant), config.batch_size, data.drop_last)
        if self.steps_per_epoch == 0:
            raise UserError(
                f"data.drop_last=True leaves no batch: batch_size={config.batch_size}, but the variant has {len(variant)} "
                "records"
            )
        if rule := composition_of(data):
            check_composition(rule, variant.class_frequency, config.batch_size, self.steps_per_epoch)
        self.total_steps = config.total_steps or config.total_epochs * self.steps_per_epoch
        if self.total_steps >= 2**31:
            key = "total_steps" if config.total_steps else "total_epochs"
            raise UserError(
                f"{key}={getattr(config, key)} makes {self.total_steps:,} steps; there are at most {2**31 - 1:,}"
            )
        self.towers = self.open_towers()
        if image_tower(self.describe_image_tower()["vision_cfg"]).has_batch_norm:
            check_batch_norm(config.batch_size, config.accumulate_steps, config.batch_norm.group_size)

    @classmethod
    def validate(cls, config: ConfigDict) -> None:
        """Raise UserError for values that this objective cannot have."""

    def open_towers(self) -> Towers:
        """The trained towers that the config names: an image tower for every objective."""
        section = self.config.image
        if section.init == RANDOM:
            return Towers()
        return Towers(
            open_image_tower(
                section.init,
                output_dim=self.config.model.image.output_dim,
                image_size=self.config.data.image_size,
                partial=section.partial,
            )
        )

    def open_text(self, workdir: Path) -> None:
        """Set `read` and `read_prompts`; a tokenizer that is trained for the run is saved in its work directory."""

    # The model

    @abc.abstractmethod
    def describe_model(self) -> dict[str, Any]:
        """What of the model can be opened without the objective, as `cliptail_jax.models.build.build_model` takes it."""

    def build_model(self, rngs: nnx.Rngs) -> nnx.Module:
        """The model, randomly initialized; called under `jax.jit`."""
        return build_model(self.describe_model(), **self.build_options, rngs=rngs)

    @property
    def build_options(self) -> dict[str, Any]:
        """How the towers are built for training."""
        return {"group_size": self.config.batch_norm.group_size, "dtype": DTYPES[self.config.model.dtype]}

    def describe_image_tower(self) -> dict[str, Any]:
        """The image tower's part of the description: open_clip's `quick_gelu` and `vision_cfg`."""
        if tower := self.towers.image:
            return {"quick_gelu": tower.quick_gelu, "vision_cfg": tower.config}
        model, quick_gelu = self.config.model, self.config.model.activation == "quick_gelu"
        vision_cfg = describe_image_tower(model.image, self.config.data.image_size, quick_gelu=quick_gelu)
        return {"quick_gelu": quick_gelu, "vision_cfg": vision_cfg}

    @property
    def held(self) -> FrozenUntil | None:
        """The part of the model that is not trained in the first steps; None if there is none."""
        return None

    @property
    def frozen(self) -> tuple[str, ...]:
        """Dotted paths of the parts of the model that are not trained."""
        return (*self.config.freeze, *(["visual"] if self.config.image.freeze else []))

    def init_averages(self, params: nnx.State, batch_stats: nnx.State) -> tuple[nnx.State | None, nnx.State | None]:
        """The first moving averages of parameters and of batch statistics, where the run has them."""
        return (jax.tree.map(jnp.copy, params) if self.config.optimizer.ema_decay else None), None

    @property
    def chance_loss(self) -> float | None:
        """The loss of a model whose features are all the same; None where there is no such number."""
        return None

    # The data

    def random_text(self, rng: np.random.Generator, batch_size: int) -> np.ndarray | None:
        """Noise with the shape and type of what `read` makes of captions; None for a run that reads none."""
        return None

    @property
    def preprocess(self) -> Preprocess:
        """Of the run's evaluation images. Training images are normalized by its pixel statistics.

        It is that of the image tower that the run starts from, or CLIP's, at the sizes of the run.
        """
        data, tower = self.config.data, self.towers.image
        own = tower.preprocess if tower else Preprocess(data.image_size)
        return dataclasses.replace(own, size=data.image_size, short_side=data.eval_resize)

    @property
    def transform(self) -> Transform:
        """What becomes of the training images of a batch."""
        return random_crop(self.config.data, self.config.seed)

    # The step

    @property
    def schedule(self) -> Schedule:
        """The learning rate by step."""
        return learning_rate(self.config.optimizer, self.steps_per_epoch, self.total_steps)

    def make_optimizer(self) -> optax.GradientTransformation:
        return make_optimizer(self.config.optimizer, self.schedule, self.total_steps, self.held)

    def images(self, batch: DeviceBatch) -> Float[Array, "b height width 3"]:
        """The batch's images as the model takes them."""
        return self.preprocess.normalize(cropped(batch, self.config.data.image_size))

    def prepare(
        self, averaged: nnx.Module | None, state: TrainState, batch: DeviceBatch, key: Array
    ) -> tuple[DeviceBatch, nnx.State | None]:
        """What a step computes without gradients: the arrays that `encode` and `loss` take, and the batch statistics of
        the `averaged` model, the one with averaged parameters, afterwards."""
        return batch, state.ema_batch_stats

    @abc.abstractmethod
    def encode(self, model: nnx.Module, batch: DeviceBatch, key: Array) -> dict[str, Array]:
        """Features of the examples of a batch, or of one part of it where gradients are accumulated, each [b, ...].

        `key` is for dropout, and differs by step and part.
        """

    @abc.abstractmethod
    def loss(
        self, model: nnx.Module, features: dict[str, Array], batch: DeviceBatch, key: Array, mesh: Mesh
    ) -> Float[Array, ""]:
        """The loss of a whole batch, given its features, over the devices of a mesh. `key` differs by step."""

    def after_update(self, params: nnx.State) -> nnx.State:
        """The parameters that a step ends with, given those that the optimizer has updated."""
        return params

    def ema_decay(self, step: Array) -> float | Array:
        """The decay of the moving average of the parameters, where the run has one."""
        return self.config.optimizer.ema_decay

    def metrics(self, state: TrainState) -> dict[str, Array]:
        """Further numbers to log beside the loss, of the state after a step: by default a trained logit scale."""
        return logit_scale_metric(state.trainable)
