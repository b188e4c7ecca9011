"""Supervised learning (SL): softmax cross-entropy over all classes, or over a vocabulary of sampled classes.

The section `loss` has the usual remedies for long-tailed classes; `vocabulary` has the paper's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array
from jax.sharding import Mesh
from jaxtyping import Bool, Float, Float32, Int, Shaped

from cliptail_jax import losses
from cliptail_jax.concepts.class_lists import listed_names
from cliptail_jax.config.fields import BelowOne, NonNegative, OneOf, Section
from cliptail_jax.config.training import Vocabulary
from cliptail_jax.curation.variant import Variant
from cliptail_jax.host.errors import UserError
from cliptail_jax.input.composition import composition_of
from cliptail_jax.metrics.effective_prior import (
    SAMPLING_EXPONENTS,
    UnknownPriorError,
    effective_number_weights,
    vocabulary_log_prior,
)
from cliptail_jax.metrics.imbalance import log_prior
from cliptail_jax.models.cosine import limit_logit_scale
from cliptail_jax.pretrained.class_head import head_for
from cliptail_jax.pretrained.towers import Towers
from cliptail_jax.training.configuration import Training
from cliptail_jax.training.objective import EvaluatedRun, Objective, TextInput, number_of_steps
from cliptail_jax.training.state import DeviceBatch, TrainState


@dataclass(frozen=True)
class Head(Section):
    """The classification head of a supervised run."""

    kind: Annotated[
        str, "Logits: cosine similarity, or linear with a bias, on raw features.", OneOf("cosine", "linear")
    ] = "cosine"
    init: Annotated[str, "File of the initial class embeddings, .npy [classes, dim]; '': random."] = ""
    freeze: Annotated[bool, "Whether the head stays as initialized."] = False


@dataclass(frozen=True)
class Loss(Section):
    """Corrections of the loss by class frequency in the training data, also for a softmax over a sampled vocabulary.

    With all of them, an image of class y, with cosine similarities cos_c and the scale s = exp(logit_scale), has the loss
    −log softmax_y(s (cos_c − Δ_c [c = y]) + τ log π_c), and the weight w_y in the mean over the batch. The scale is learned,
    whereas Cao et al. (2019) use the constant 30; no gradient reaches it through the margin.
    """

    logit_adjustment: Annotated[
        float,
        "τ of the term τ log(class frequency) of the logits in training; 1: balanced softmax; 0: off.",
        NonNegative,
    ] = 0.0
    margin: Annotated[
        float,
        "LDAM's margin of the rarest class, subtracted from an image's cosine similarity with its own class; that of other "
        "classes is smaller by the fourth root of their frequency; 0: off.",
        NonNegative,
    ] = 0.0
    class_weights: Annotated[
        float,
        "β of the effective number of records, whose inverse, scaled to mean 1, weights the classes; 0: off.",
        BelowOne,
    ] = 0.0
    reweight_from: Annotated[int, "Number of epochs before class_weights has an effect.", NonNegative] = 0
    label_smoothing: Annotated[float, "Share of each target that all classes divide equally.", BelowOne] = 0.0
    focal_gamma: Annotated[
        float,
        "γ of the focal loss (1 − p_y)^γ · −log p_y, which gives well-classified images little weight.",
        NonNegative,
    ] = 0.0
    count_in_batch: Annotated[
        bool,
        "Whether a class counts in a sampled vocabulary once per image of the group, as class names do in CLIP's softmax.",
    ] = False


@dataclass(frozen=True)
class SupervisedConfig(Training):
    head: Head = Head()
    loss: Loss = Loss()
    vocabulary: Vocabulary = Vocabulary()


class Supervised(Objective):
    """A classifier of the variant's classes."""

    Config = SupervisedConfig
    config: SupervisedConfig
    trains_on_labels = True

    @classmethod
    def validate(cls, config: SupervisedConfig) -> None:
        loss, group_size = config.loss, config.vocabulary.group_size
        if config.head.kind == "linear" and config.head.init:
            raise UserError("head.init has the class embeddings of a cosine head: set head.kind='cosine'")
        if config.head.kind == "linear" and loss.margin:
            raise UserError("loss.margin is a difference of cosine similarities: set head.kind='cosine'")
        if loss.count_in_batch and not config.vocabulary.size:
            raise UserError(
                "loss.count_in_batch counts the classes of a sampled vocabulary: set vocabulary.size; 1 takes those of the batch"
            )
        if loss.label_smoothing and (config.vocabulary.size or loss.logit_adjustment or loss.focal_gamma):
            raise UserError(
                "loss.label_smoothing is for cross-entropy over all classes: leave out vocabulary.size, loss.logit_adjustment and "
                "loss.focal_gamma"
            )
        if loss.reweight_from and not loss.class_weights:
            raise UserError("loss.reweight_from has no effect without loss.class_weights: set it too, e.g. 0.9999")
        for name in ("logit_adjustment", "class_weights"):
            if config.data.balanced_sampling and getattr(loss, name):
                raise UserError(
                    f"loss.{name} corrects for class frequency, and with data.balanced_sampling=True all classes are equally "
                    "frequent: set one of them"
                )
        if group_size and config.batch_size % group_size:
            raise UserError(f"vocabulary.group_size={group_size} does not divide batch_size={config.batch_size}")

    @classmethod
    def effective_log_prior(
        cls, config: SupervisedConfig, frequency: Int[np.ndarray, " class"]
    ) -> Float[np.ndarray, " class"]:
        """log p_c of SL, `vocabulary_log_prior`, or 0 with counts or balanced sampling; plus log w_c − τ log p_c.

        Class weights are those at the end. Since a batch's loss is divided by the sum of its weights, they have a little less
        effect in small batches.
        """
        loss, vocabulary, data = config.loss, config.vocabulary, config.data
        group, size = vocabulary.group_size or config.batch_size, vocabulary.size
        is_sampled, psi = 0 < size < len(frequency), log_prior(frequency)
        if loss.margin:
            raise UnknownPriorError(
                "loss.margin moves the logit of an image's own class alone: no effective log-prior is known"
            )
        for name in ("label_smoothing", "focal_gamma"):
            if getattr(loss, name):
                raise UnknownPriorError(
                    f"with loss.{name}, no logits log P(image | class) + ψ minimize the loss: it has no effective log-prior"
                )
        if data.labels.noise:
            raise UnknownPriorError("with data.labels.noise, labels are wrong: no effective log-prior is known")
        if loss.count_in_batch or data.balanced_sampling:
            if is_sampled and size > 1 and (loss.count_in_batch or vocabulary.sampling != "uniform"):
                raise UnknownPriorError(
                    f"with vocabulary.size={size}, classes that the batch lacks are counted or sampled otherwise than those of "
                    "the batch: no effective log-prior is known"
                )
            psi = np.zeros(len(frequency))
        elif is_sampled:
            if group == size == 1:
                raise UnknownPriorError("groups of one image and one class compare nothing")
            if composition_of(data):
                raise UnknownPriorError(
                    "with composed batches, classes are not present at random: no effective log-prior of a softmax over a part "
                    "of the classes is known"
                )
            psi = vocabulary_log_prior(frequency, size, vocabulary.sampling, group)
        if loss.class_weights:
            psi = psi + np.log(effective_number_weights(frequency, loss.class_weights))
        return psi - loss.logit_adjustment * log_prior(frequency)

    @classmethod
    def check_data(cls, config: SupervisedConfig, variant: Variant) -> None:
        if variant.unlabelled:
            raise UserError(
                f"objective='supervised' needs a class for each record, and {variant.unlabelled:,} of the {len(variant):,} of "
                f"{variant.source.name} have none: label them by the classes that their texts name, with data.class_match.classes=FILE "
                "(and unmatched='drop') and data.captions.words, or by data.table"
            )
        super().check_data(config, variant)
        classes = len(variant.class_names)
        if config.vocabulary.size > classes:
            raise UserError(f"vocabulary.size={config.vocabulary.size} is larger than the {classes} classes there are")
        if config.head.freeze and not config.head.init:
            raise UserError("head.freeze=True needs a head to freeze: set head.init to an .npy of [classes, dim]")
        first, (steps_per_epoch, total_steps) = config.loss.reweight_from, number_of_steps(config, len(variant))
        if first * steps_per_epoch >= total_steps:
            raise UserError(
                f"loss.reweight_from={first} leaves no epoch with class weights: the run has "
                f"{total_steps / steps_per_epoch:g} epochs"
            )

    def __init__(
        self, config: SupervisedConfig, variant: Variant, towers: Towers, text: TextInput, shapes_only: bool = False
    ):
        self.head = open_head(config, variant, shapes_only)
        super().__init__(config, variant, towers, text)
        self._frequency = variant.training_view.class_frequency
        self._sampling = sampling_weights(self._frequency, config.vocabulary.sampling)
        if config.loss.logit_adjustment:
            self._sampling *= self._frequency > 0  # a class of probability 0 would only take another's place

    @property
    def frozen(self) -> tuple[str, ...]:
        return (*super().frozen, *(["head"] if self.config.head.freeze else []))

    def describe_model(self) -> dict[str, Any]:
        section, dim = self.config.head, self.config.model.image.output_dim
        if self.head is not None and self.towers.image is None:
            dim = self.head.shape[1]  # the features are as wide as the head that they are compared with
        head = {"kind": section.kind, "classes": len(self.variant.class_names)}
        return {"model_cfg": {"embed_dim": dim, **self.describe_image_tower()}, "head": head}

    @property
    def build_options(self) -> dict[str, Any]:
        return super().build_options | {"head": self.head}

    def prepare(
        self, averaged_model: nnx.Module | None, state: TrainState, batch: DeviceBatch, key: Array
    ) -> tuple[DeviceBatch, nnx.State | None]:
        """With class weights, the batch has `weights`: the weights of its labels, or 1 in the first epochs."""
        section = self.config.loss
        if section.class_weights:
            has_begun = state.step >= section.reweight_from * self.steps_per_epoch
            weights = jnp.asarray(effective_number_weights(self._frequency, section.class_weights), jnp.float32)
            batch = batch | {"weights": jnp.where(has_begun, weights[batch["labels"]], 1.0)}
        return super().prepare(averaged_model, state, batch, key)

    def loss(
        self, model: nnx.Module, features: dict[str, Array], batch: DeviceBatch, key: Array, mesh: Mesh
    ) -> Float[Array, ""]:
        logits, labels, mask = model.logits(features["image"]), batch["labels"], batch["mask"]
        section, sampling, vocabulary = self.config.loss, self.config.vocabulary, True
        if section.margin:
            # In early steps all cosines are below the margin, and a smaller scale would reduce the loss, down to its limit.
            scale = jax.lax.stop_gradient(jnp.exp(model.logit_scale[...]))
            logits = losses.with_margins(logits, labels, self._frequency, section.margin, scale)
        logits = losses.with_prior(logits, self._frequency, section.logit_adjustment)
        if section.count_in_batch:
            # Except for log n_y, which has no gradient, CLIP's loss of an image among n_c texts of each class.
            groups, valid = (in_groups(array, sampling.group_size) for array in (labels, mask))
            counts = losses.count_in_batch(groups, logits.shape[-1], valid)
            logits += of_examples(jnp.log(jnp.maximum(counts, 1)), len(labels))
        if sampling.size:
            classes = sample_vocabulary(key, labels, mask, self._sampling, sampling.size, sampling.group_size)
            vocabulary = of_examples(classes, len(labels))
        if section.label_smoothing:
            targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), section.label_smoothing)
            values = jnp.where(mask, optax.softmax_cross_entropy(logits, targets), 0.0)
        else:
            values = losses.cross_entropy(logits, labels, mask, vocabulary)
        if section.focal_gamma:
            values = losses.focal(values, section.focal_gamma)
        return mean_loss(values, mask, batch.get("weights"))

    def after_update(self, params: nnx.State) -> nnx.State:
        return limit_logit_scale(params)

    @classmethod
    def evaluated_run(cls, config: SupervisedConfig, trained_values: Mapping[str, Any]) -> EvaluatedRun:
        """A run may be evaluated with another head, `head.init`, than it was trained with."""
        head, warnings = config.head, list(super().evaluated_run(config, trained_values).warnings)
        own_values = {
            f"head.{key}": trained_values.get(f"head.{key}", getattr(head, key)) for key in ("init", "freeze")
        }
        loss, tau = config.loss, config.eval.logit_adjustment
        if tau and not config.eval.estimate_prior:
            if loss.logit_adjustment and loss.logit_adjustment + tau > 1:
                warnings.append(
                    f"with loss.logit_adjustment={loss.logit_adjustment:g}, logits are those for equally frequent classes "
                    f"already: eval.logit_adjustment={tau:g} adjusts them again"
                    if loss.logit_adjustment >= 1
                    else f"loss.logit_adjustment={loss.logit_adjustment:g} and eval.logit_adjustment={tau:g} add up to more than 1"
                )
            if loss.class_weights:
                warnings.append(
                    f"with loss.class_weights={loss.class_weights:g}, rare classes weigh more already: eval.logit_adjustment={tau:g} "
                    "corrects again"
                )
        return EvaluatedRun(own_values, head.init if head.init != own_values["head.init"] else "", tuple(warnings))


def open_head(
    config: SupervisedConfig, variant: Variant, shapes_only: bool
) -> Float32[np.ndarray, "classes dim"] | None:
    """The rows of `head.init` for the variant's classes; None if the head is randomly initialized.

    With `shapes_only`, zeros replace a file that cannot be read.
    """
    if not config.head.init:
        return None
    class_match, class_names = config.data.class_match.classes, variant.class_names
    all_names = listed_names(class_match) if class_match else variant.source.class_names
    try:
        return head_for(config.head.init, class_names, all_names)
    except UserError:
        if not shapes_only:
            raise
        return np.zeros((len(class_names), config.model.image.output_dim), np.float32)


def mean_loss(
    values: Float[Array, " batch"], mask: Bool[Array, " batch"], weights: Float[Array, " batch"] | None = None
) -> Float[Array, ""]:
    """The mean over the unmasked examples. The values of others are 0.

    With `weights`, one per example, the mean is weighted: the sum is divided by that of the weights, as in Cao et al. (2019).
    Division by the number of examples would make loss and step smaller in batches of frequent classes.
    """
    if weights is not None:
        weights = jnp.where(mask, weights, 0.0)
        return (values * weights).sum() / jnp.where(mask.any(), weights.sum(), 1.0)
    return values.sum() / jnp.maximum(mask.sum(), 1)


def in_groups(array: Shaped[Array, " batch"], group_size: int) -> Shaped[Array, "group example"]:
    """A row for each group of neighbours in a batch (0: one group)."""
    return array.reshape(-1, group_size or len(array))


def of_examples(array: Shaped[Array, "group class"], batch: int) -> Shaped[Array, "batch class"]:
    """For each example, the row of its group."""
    return jnp.repeat(array, batch // len(array), axis=0)


def sample_vocabulary(
    key: Array,
    labels: Int[Array, " batch"],
    mask: Bool[Array, " batch"],
    weights: Float[Array, " classes"],
    size: int,
    group_size: int,
) -> Bool[Array, "group classes"]:
    """The classes that compete in each group of `group_size` neighbours (0: one group).

    These are all classes present in the group, and further ones, up to `size` in total, drawn without replacement with
    probability proportional to `weights`; a class of weight 0 is never drawn. A group with more than `size` classes keeps
    them all. Taking the largest values of log-weight plus Gumbel noise draws without replacement (Kool et al., 2019). If
    values tie in float32, the class with the lower label is drawn.
    """
    groups, valid = in_groups(labels, group_size), in_groups(mask, group_size)
    row = jnp.arange(len(groups))[:, None]
    is_present = jnp.zeros((len(groups), len(weights)), bool).at[row, groups].max(valid)
    scores = jnp.log(weights) + jax.random.gumbel(key, is_present.shape)
    scores = jnp.where(is_present, jnp.inf, scores)
    largest, classes = jax.lax.top_k(scores, size)
    return is_present.at[row, classes].max(largest > -jnp.inf)


def sampling_weights(frequency: Int[Array | np.ndarray, " classes"], sampling: str) -> Float[Array, " classes"]:
    """Sampling weights: 1 ('uniform'), class frequency ('linear') or its square root ('sqrt')."""
    return jnp.asarray(frequency, jnp.float32) ** SAMPLING_EXPONENTS[sampling]
