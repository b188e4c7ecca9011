"""The interface of a training objective: everything that is specific to one kind of training."""

import abc
import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array
from jax.sharding import Mesh
from jaxtyping import Float, Int

from cliptail_jax.config.training import check_batch_norm
from cliptail_jax.curation.variant import Variant
from cliptail_jax.host.errors import UserError
from cliptail_jax.input.composition import check_composition, composition_of
from cliptail_jax.input.device_crops import cropped
from cliptail_jax.input.pipeline import ReadText, num_steps_per_epoch
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.input.transforms import Transform, random_crop
from cliptail_jax.metrics.effective_prior import UnknownPriorError
from cliptail_jax.models.build import DTYPES, build_model
from cliptail_jax.models.cosine import logit_scale_metric
from cliptail_jax.models.image_towers import describe_image_tower, image_tower
from cliptail_jax.pretrained.tower_shapes import image_tower_shapes
from cliptail_jax.pretrained.towers import Towers, open_image_tower
from cliptail_jax.training.configuration import Training
from cliptail_jax.training.optimizer import FrozenUntil, Schedule, learning_rate, make_optimizer
from cliptail_jax.training.state import DeviceBatch, TrainState

RANDOM = "random"  # the `init` of a tower that does not start from another model


@dataclasses.dataclass(frozen=True)
class EvaluatedRun:
    """The evaluation of a trained run by a config.

    Attributes:
        trained_with: the values, by dotted key, that the run must have been trained with in place of the config's.
        head: file of class embeddings that replace the run's own head; '' for none.
        warnings: messages to the user about settings that may not do what they seem to.
    """

    trained_with: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    head: str = ""
    warnings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class TextInput:
    """How a run reads captions and prompts. The default is that of a run that reads none.

    Attributes:
        read_captions: maps captions to the input of the text tower, or to the ids of words.
        read_prompts: as `read_captions`, for evaluation prompts.
        size: the number of tokens or words; 0: as many as the config has.
        source: the origin of the tokenizer, as `cliptail_jax.pretrained.runs.describe_run` takes it.
        save: writes files that belong to the run, such as its tokenizer, into its directory.
    """

    read_captions: ReadText | None = None
    read_prompts: ReadText | None = None
    size: int = 0
    source: Mapping[str, str] = dataclasses.field(default_factory=dict)
    save: Callable[[Path], None] = lambda workdir: None


class Objective(abc.ABC):
    """The model, arrays and loss of a run.

    An instance is the objective of one run. `cliptail_jax.objectives.make_objective` opens its initial models and its text
    input; neither that nor the constructor writes anything.

    Attributes:
        Config: the training config's class, with the sections that the objective adds to it.
        steps_per_epoch: the number of batches in an epoch of the variant.
        total_steps: the number of steps of the run.
        towers: the trained towers that the run starts from.
        text: the run's text input.
        trains_on_labels: whether the loss takes labels, so that some of them may be wrong by data.labels.noise.
        has_logit_bias: whether the model learns a bias of its logits, and so an independent probability of each pair.
        uses_prompts: whether the run has captions and its model is evaluated by prompts: it has a text tower or classifies
            words.
    """

    Config: ClassVar[type[Training]] = Training
    trains_on_labels: ClassVar[bool] = False
    has_logit_bias: ClassVar[bool] = False
    uses_prompts: ClassVar[bool] = False
    config: Training

    def __init__(self, config: Training, variant: Variant, towers: Towers, text: TextInput, shapes_only: bool = False):
        self.config, self.variant, self.towers, self.text = config, variant, towers, text
        self.steps_per_epoch, self.total_steps = number_of_steps(config, len(variant))
        if image_tower(self.describe_image_tower()["vision_cfg"]).has_batch_norm:
            check_batch_norm(config.batch_size, config.accumulate_steps, config.batch_norm.group_size)

    @classmethod
    def validate(cls, config: Training) -> None:
        """Raise UserError for values that this objective does not support."""

    @classmethod
    def check_data(cls, config: Training, variant: Variant) -> None:
        """Raise UserError if a run of the config cannot be trained on the variant."""
        if cls.uses_prompts and variant.captions is None:
            raise UserError(
                f"objective='{config.objective}' needs captions: set data.captions.template or data.captions.words"
            )
        steps_per_epoch, _ = number_of_steps(config, len(variant))
        if rule := composition_of(config.data):
            check_composition(rule, variant.training_view.class_frequency, config.batch_size, steps_per_epoch)

    @classmethod
    def effective_log_prior(cls, config: Training, frequency: Int[np.ndarray, " class"]) -> Float[np.ndarray, " class"]:
        """How much the loss favours each class, ψ of `cliptail_jax.metrics.effective_prior`.

        `frequency` are the numbers of training images of the classes that have any.

        Raises UnknownPriorError with the reason if ψ is not known.
        """
        raise UnknownPriorError(f"objective='{config.objective}' has no known effective log-prior")

    @classmethod
    def subtracted_prior(
        cls, config: Training, frequency: Int[np.ndarray, " class"]
    ) -> Float[np.ndarray, " class"] | None:
        """The effective log-prior that evaluations subtract; None without `eval.without_prior`.

        A class without training images counts as one with a single image.

        Raises UserError if it is not known.
        """
        if not config.eval.without_prior:
            return None
        return cls.effective_log_prior(config, np.maximum(frequency, 1))

    @classmethod
    def open_towers(cls, config: Training, shapes_only: bool = False) -> Towers:
        """The trained towers that the config names: an image tower for every objective.

        With `shapes_only`, their weights are not needed if their shapes are known.
        """
        section = config.image
        if section.init == RANDOM:
            return Towers()
        sizes = {"output_dim": config.model.image.output_dim, "image_size": config.data.image_size}
        tower = image_tower_shapes(section.init, **sizes) if shapes_only else None
        return Towers(tower or open_image_tower(section.init, partial=section.partial, **sizes))

    @classmethod
    def open_text(cls, config: Training, variant: Variant, towers: Towers, workdir: Path | None) -> TextInput:
        """The text input of a run, from `workdir` if an earlier session of the run has saved a part of it there."""
        return TextInput()

    # The model

    @abc.abstractmethod
    def describe_model(self) -> dict[str, Any]:
        """The part of the model that can be opened without the objective, as `models.build.build_model` takes it."""

    def build_model(self, rngs: nnx.Rngs) -> nnx.Module:
        """The model, randomly initialized; called under `jax.jit`."""
        return build_model(self.describe_model(), **self.build_options, rngs=rngs)

    @property
    def build_options(self) -> dict[str, Any]:
        """The options of the towers in training."""
        return {"group_size": self.config.batch_norm.group_size, "dtype": DTYPES[self.config.model.dtype]}

    def describe_image_tower(self) -> dict[str, Any]:
        """The image tower's part of the description: open_clip's `quick_gelu` and `vision_cfg`."""
        if tower := self.towers.image:
            return {"quick_gelu": tower.quick_gelu, "vision_cfg": tower.config}
        model, quick_gelu = self.config.model, self.config.model.activation == "quick_gelu"
        vision_cfg = describe_image_tower(model.image, self.config.data.image_size, quick_gelu=quick_gelu)
        return {"quick_gelu": quick_gelu, "vision_cfg": vision_cfg}

    @property
    def initially_frozen(self) -> FrozenUntil | None:
        """The part of the model that is frozen in the first steps, if any."""
        return None

    @property
    def frozen(self) -> tuple[str, ...]:
        """Dotted paths of the parts of the model that are not trained."""
        return (*self.config.freeze, *(["visual"] if self.config.image.freeze else []))

    def init_averages(self, params: nnx.State, batch_stats: nnx.State) -> tuple[nnx.State | None, nnx.State | None]:
        """The initial moving averages of parameters and of batch statistics; None if the run has none."""
        return (jax.tree.map(jnp.copy, params) if self.config.optimizer.ema_decay else None), None

    @property
    def chance_loss(self) -> float | None:
        """The loss of a model whose features are all the same; None if there is no such number."""
        return None

    # The data

    def random_text(self, rng: np.random.Generator, batch_size: int) -> np.ndarray | None:
        """Noise with the shape and type of what `read_captions` returns, by default ids; None for a run that reads no captions."""
        if not self.uses_prompts:
            return None
        text = self.config.model.text
        return rng.integers(0, text.vocab_size, (batch_size, text.context_length), np.int32)

    @property
    def preprocess(self) -> Preprocess:
        """Preprocessing of the run's evaluation images. Training images are normalized by its pixel statistics.

        It is that of the run's initial image tower, or else CLIP's, at the sizes of the run, with the changes in the config.
        """
        data, tower = self.config.data, self.towers.image
        preprocess = tower.preprocess if tower else Preprocess(data.image_size)
        settings = {"mean": data.mean, "std": data.std, "resize_mode": data.eval_resize_mode}
        changes = {key: value for key, value in settings.items() if value}
        return dataclasses.replace(preprocess, size=data.image_size, short_side=data.eval_resize, **changes)

    @property
    def transform(self) -> Transform:
        """The transform of a batch's training images."""
        return random_crop(self.config.data, self.config.seed)

    # The step

    @property
    def schedule(self) -> Schedule:
        """The learning rate by step."""
        return learning_rate(self.config.optimizer, self.steps_per_epoch, self.total_steps)

    def make_optimizer(self) -> optax.GradientTransformation:
        return make_optimizer(self.config.optimizer, self.schedule, self.total_steps, self.initially_frozen)

    def images(self, batch: DeviceBatch) -> Float[Array, "b height width 3"]:
        """The batch's images, cropped and normalized."""
        with jax.named_scope("preprocessing"):
            return self.preprocess.normalize(cropped(batch, self.config.data.image_size))

    def prepare(
        self, averaged_model: nnx.Module | None, state: TrainState, batch: DeviceBatch, key: Array
    ) -> tuple[DeviceBatch, nnx.State | None]:
        """The part of a step that has no gradients.

        Args:
            averaged_model: the model with averaged parameters.

        Returns:
            The arrays that `encode` and `loss` take, and the new batch statistics of the averaged model.
        """
        return batch, state.ema_batch_stats

    def encode(self, model: nnx.Module, batch: DeviceBatch, key: Array) -> dict[str, Array]:
        """Features [b, ...] of the examples of a batch, or of a micro-batch if gradients are accumulated.

        By default those of the images. `key` is for dropout, and differs between steps and micro-batches.
        """
        return {"image": model.encode_image(self.images(batch), train=True, mask=batch["mask"])}

    @abc.abstractmethod
    def loss(
        self, model: nnx.Module, features: dict[str, Array], batch: DeviceBatch, key: Array, mesh: Mesh
    ) -> Float[Array, ""]:
        """The loss of a whole batch, given its features, over the devices of a mesh. `key` differs between steps."""

    def after_update(self, params: nnx.State) -> nnx.State:
        """The parameters at the end of a step, given those that the optimizer has updated."""
        return params

    def ema_decay(self, step: Array) -> float | Array:
        """The decay of the moving average of the parameters, for runs that have one."""
        return self.config.optimizer.ema_decay

    def metrics(self, state: TrainState) -> dict[str, Array]:
        """Metrics to log beside the loss, of the state after a step: by default the logit scale, if it is trained."""
        return logit_scale_metric(state.trainable)

    # Evaluation

    @classmethod
    def evaluated_run(cls, config: Training, trained_values: Mapping[str, Any]) -> EvaluatedRun:
        """The evaluation of a run of this objective by `config`.

        Args:
            trained_values: the values of the run's own config by dotted key.
        """
        return EvaluatedRun(warnings=adjustment_warnings(config))


def adjustment_warnings(config: Training) -> tuple[str, ...]:
    """Warnings if logit adjustment in the evaluation corrects for class frequencies that the model was not trained on."""
    tau, data = config.eval.logit_adjustment, config.data
    if not tau or config.eval.estimate_prior:
        return ()
    reason = f"eval.logit_adjustment={tau:g} corrects for the class frequency of the data, which is not that of the training: "
    warnings = []
    if data.balanced_sampling:
        warnings.append(f"{reason}with data.balanced_sampling, classes are equally frequent")
    for field, share in (
        ("data.labels.noise", data.labels.noise),
        ("data.captions.distractors", data.captions.distractors),
    ):
        if share:
            warnings.append(
                f"{reason}with {field}={share:g}, wrong classes count, too; eval.estimate_prior=True corrects for those learnt"
            )
    return tuple(warnings)


def number_of_steps(config: Training, records: int) -> tuple[int, int]:
    """The numbers of steps of an epoch of so many records, and of the run. Raises UserError if there are none or too many."""
    steps_per_epoch = num_steps_per_epoch(records, config.batch_size, config.data.drop_last)
    if steps_per_epoch == 0:
        raise UserError(
            f"data.drop_last=True leaves no batch: batch_size={config.batch_size}, but the variant has {records} records: "
            "set a smaller batch_size"
        )
    total_steps = config.total_steps or config.total_epochs * steps_per_epoch
    if total_steps >= 2**31:
        key = "total_steps" if config.total_steps else "total_epochs"
        raise UserError(f"{key}={getattr(config, key)} makes {total_steps:,} steps; there are at most {2**31 - 1:,}")
    return steps_per_epoch, total_steps
