"""DINO: each view predicts the teacher's balanced assignment of the other views to prototypes.

Caron et al. 2021, arXiv 2104.14294; balanced as in SwAV (Caron et al. 2020, arXiv 2006.09882) instead of centred. The last
axis of logits and targets is the prototypes, all of the head's or a sample of them. The teacher is the moving average of
the student, `TrainState.ema`, with its own batch statistics, `TrainState.ema_batch_stats`.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jax.sharding import Mesh
from jaxtyping import Bool, Float, Int

from cliptail_jax.config.fields import BelowOne, NonNegative, Positive, Section
from cliptail_jax.config.training import IN_STEP, Vocabulary
from cliptail_jax.host.errors import UserError
from cliptail_jax.input.device_views import device_views
from cliptail_jax.input.preprocess import CLIP_MEAN, CLIP_STD, IMAGENET_MEAN, IMAGENET_STD, Preprocess
from cliptail_jax.input.transforms import Transform, multi_crop
from cliptail_jax.input.views import NUM_GLOBAL
from cliptail_jax.metrics.effective_prior import UnknownPriorError
from cliptail_jax.models import dino
from cliptail_jax.models.image_towers import FIXED, RESAMPLED, build_image_tower, check_image_size, image_tower
from cliptail_jax.models.positions import EVERY_GRID, OTHER_GRIDS
from cliptail_jax.training.configuration import Training
from cliptail_jax.training.objective import Objective
from cliptail_jax.training.optimizer import FrozenUntil, cosine
from cliptail_jax.training.state import DeviceBatch, TrainState


@dataclass(frozen=True)
class DinoOptions(Section):
    """The head and the teacher of DINO."""

    prototypes: Annotated[int, "Number of prototypes.", Positive] = 65536
    hidden: Annotated[int, "Width of the head's hidden layers.", Positive] = 2048
    bottleneck: Annotated[int, "Width of the head's output, which is compared with the prototypes.", Positive] = 256
    resample_own_grid: Annotated[
        bool,
        "Whether the positional embedding is resampled for global crops, too, which at 7 x 7 moves it by up to 1.3 % of the "
        "image. The paper's code does so on CPUs: it compares the stored grid with the batch size in place of the crop's "
        "grid. On GPUs, where the paper trained, PyTorch copies a grid that keeps its size.",
    ] = False
    freeze_last_layer: Annotated[int, "Epochs at the start in which the prototypes are not trained.", NonNegative] = 0
    teacher_momentum: Annotated[
        float, "Momentum of the teacher at the start; it rises to 1 along a cosine.", BelowOne
    ] = 0.996


@dataclass(frozen=True)
class DinoConfig(Training):
    dino: DinoOptions = DinoOptions()
    vocabulary: Vocabulary = Vocabulary()


class SelfDistillation(Objective):
    """A student that learns to agree with its own moving average on the views of an image."""

    Config = DinoConfig
    config: DinoConfig

    @classmethod
    def effective_log_prior(
        cls, config: DinoConfig, frequency: Int[np.ndarray, " class"]
    ) -> Float[np.ndarray, " class"]:
        raise UnknownPriorError("objective='dino' has no effective log-prior: it learns without classes")

    @classmethod
    def validate(cls, config: DinoConfig) -> None:
        size, prototypes = config.vocabulary.size, config.dino.prototypes
        if size > prototypes:
            raise UserError(
                f"vocabulary.size={size} is larger than dino.prototypes={prototypes}: lower it, or 0 for all"
            )
        if size == 1 or prototypes == 1:
            key = "vocabulary.size" if size == 1 else "dino.prototypes"
            raise UserError(f"{key}=1 leaves a softmax over one prototype, whose loss is 0: set it to 2 or more")
        for key, is_set, default in (
            ("vocabulary.sampling", config.vocabulary.sampling != "uniform", "'uniform'"),
            ("vocabulary.group_size", config.vocabulary.group_size, "0"),
            ("data.shift", config.data.shift, "0"),
            ("batch_norm.group_size", config.batch_norm.group_size, "0"),  # it would count views, not images
        ):
            if is_set:
                raise UserError(f"{key} is not supported with objective='dino': set it to {default}")
        if config.data.resize != IN_STEP:
            raise UserError(f"data.resize is '{IN_STEP}' with objective='dino', whose training step makes the views")
        crops, side = config.data.multi_crop, config.data.image_size
        if crops.num_local and crops.local_size > side:
            raise UserError(
                f"data.multi_crop.local_size={crops.local_size} is larger than data.image_size={side}, the side of a "
                "global crop: lower it"
            )
        if config.accumulate_steps > 1:
            raise UserError(
                "accumulate_steps is 1 with objective='dino': its targets are balanced over the whole batch"
            )
        if config.optimizer.ema_decay:
            raise UserError("optimizer.ema_decay is 0 with objective='dino': the teacher is the moving average")
        if config.eval.sets:
            raise UserError(
                "eval.sets is empty with objective='dino', which learns no classes: measure it with cliptail transfer"
            )

    def describe_model(self) -> dict[str, Any]:
        """The image tower; the head is used in training only."""
        tower = self.describe_image_tower()
        crops, vision_cfg = self.config.data.multi_crop, tower["vision_cfg"]
        positions = image_tower(vision_cfg).positions
        if crops.num_local:
            check_image_size(vision_cfg, crops.local_size, "data.multi_crop.local_size")
            if positions == FIXED and crops.local_size != vision_cfg["image_size"]:
                raise UserError(
                    f"data.multi_crop.local_size={crops.local_size}: the positions of this image tower are for crops of "
                    f"{vision_cfg['image_size']} pixels; set data.multi_crop.num_local to 0"
                )
        if positions == RESAMPLED:
            resampling = EVERY_GRID if self.config.dino.resample_own_grid else OTHER_GRIDS
            tower["vision_cfg"] = vision_cfg | {"cliptail_resampling": resampling}
        return {"model_cfg": {"embed_dim": self.config.model.image.output_dim, **tower}}

    def build_model(self, rngs: nnx.Rngs) -> nnx.Module:
        config, options = self.describe_model()["model_cfg"], self.build_options
        dim, quick_gelu = config["embed_dim"], config["quick_gelu"]
        visual = build_image_tower(config["vision_cfg"], dim, quick_gelu=quick_gelu, rngs=rngs, **options)
        sizes = {key: getattr(self.config.dino, key) for key in ("hidden", "bottleneck", "prototypes")}
        return dino.Dino(visual, dino.DinoHead(dim, **sizes, dtype=options["dtype"], rngs=rngs))

    @property
    def initially_frozen(self) -> FrozenUntil | None:
        """The prototypes, in the first epochs of `freeze_last_layer`."""
        steps = self.config.dino.freeze_last_layer * self.steps_per_epoch
        return FrozenUntil("head.prototypes", steps) if steps else None

    def init_averages(self, params: nnx.State, batch_stats: nnx.State) -> tuple[nnx.State, nnx.State]:
        return jax.tree.map(jnp.copy, params), jax.tree.map(jnp.copy, batch_stats)

    @property
    def transform(self) -> Transform:
        """Whole images and the parameters of their views, which the step makes."""
        return multi_crop(self.config.data, self.config.seed)

    @property
    def view_preprocess(self) -> Preprocess:
        """Normalizes views with ImageNet's pixel statistics, as DINO's code does, instead of CLIP's.

        A tower that was trained with statistics other than CLIP's keeps them.
        """
        preprocess = self.preprocess
        if not np.array_equal(np.float32([preprocess.mean, preprocess.std]), np.float32([CLIP_MEAN, CLIP_STD])):
            return preprocess
        return dataclasses.replace(preprocess, mean=IMAGENET_MEAN, std=IMAGENET_STD)

    def prepare(
        self, averaged_model: nnx.Module, state: TrainState, batch: DeviceBatch, key: Array
    ) -> tuple[DeviceBatch, nnx.State]:
        """The batch's crops [b, view, side, side, 3] by size, the prototypes of the step, and the teacher's targets."""
        with jax.named_scope("preprocessing"):
            crops = [self.view_preprocess.normalize(crops) for crops in self._crops_by_size(batch)]
        prototypes, size = None, self.config.vocabulary.size
        if size:
            prototypes = sample_prototypes(key, self.config.dino.prototypes, size)
        logits = view_logits(averaged_model, crops[:1], batch["mask"], prototypes)
        targets = sinkhorn_knopp(logits.reshape(-1, logits.shape[-1]), jnp.repeat(batch["mask"], NUM_GLOBAL))
        targets = targets.reshape(logits.shape).swapaxes(0, 1)
        arrays = {"crops": crops, "prototypes": prototypes, "targets": targets, "mask": batch["mask"]}
        return arrays, nnx.state(averaged_model, nnx.BatchStat)

    def encode(self, model: nnx.Module, batch: DeviceBatch, key: Array) -> dict[str, Array]:
        return {"logits": view_logits(model, batch["crops"], batch["mask"], batch["prototypes"])}

    def loss(
        self, model: nnx.Module, features: dict[str, Array], batch: DeviceBatch, key: Array, mesh: Mesh
    ) -> Float[Array, ""]:
        return dino_loss(features["logits"].swapaxes(0, 1), batch["targets"], batch["mask"])

    @property
    def chance_loss(self) -> float:
        return math.log(self.config.vocabulary.size or self.config.dino.prototypes)

    def ema_decay(self, step: Array) -> Array:
        return cosine(self.config.dino.teacher_momentum, 1.0, self.total_steps)(step)

    def metrics(self, state: TrainState) -> dict[str, Array]:
        return {"train/teacher_momentum": self.ema_decay(state.step - 1)}

    def _crops_by_size(self, batch: DeviceBatch) -> list[Array]:
        """The global crops and, where there are any, the local ones, [b, view, side, side, 3] with values of 0..255.

        A batch without `views` contains the crops themselves, as in tests against a reference.
        """
        data = self.config.data
        local = {"local": data.multi_crop.local_size} if data.multi_crop.num_local else {}
        sizes = {"global": data.image_size} | local
        if "views" not in batch:
            return [batch[f"{kind}_crops"] for kind in sizes]
        views = {"global": batch["views"].global_views(), "local": batch["views"].local_views()}
        blur = data.multi_crop.max_blur > 0
        return [device_views(batch["images"], views[kind], side, blur) for kind, side in sizes.items()]


def view_logits(
    model: nnx.Module, crops: list[Array], mask: Bool[Array, " batch"], prototypes: Int[Array, " sampled"] | None
) -> Float[Array, "batch view sampled"]:
    """Cosines of all views with the given prototypes, or with all of the head's."""
    embeddings = model.embed_views(crops, mask)
    logits = model.head.logits(embeddings.reshape(-1, embeddings.shape[-1]), prototypes)
    return logits.reshape(*embeddings.shape[:2], -1)


def sinkhorn_knopp(
    logits: Float[Array, "batch prototypes"],
    mask: Bool[Array, " batch"],
    temperature: float = 0.04,
    iterations: int = 3,
) -> Float[Array, "batch prototypes"]:
    """The teacher's targets: exp(logits / temperature), balanced so that the batch uses all prototypes equally.

    Each of the `iterations`, one or more, first gives every prototype the share 1/K of the whole batch, then every sample
    the share 1/B (Cuturi 2013, arXiv 1306.0895). The result is scaled to B: each sample's assignment sums to 1, and each
    prototype's sum over the batch approaches B/K with more iterations. Samples whose `mask` is False, padding, do not
    contribute to the prototypes' shares.

    Computed in float32 and by logarithms, so that no prototype's share underflows. No gradient flows through.
    """
    log_share = jax.lax.stop_gradient(logits).astype(jnp.float32) / temperature
    # If all examples are padding, all count as valid, so that the targets, which are not used, are finite.
    valid = (mask | ~mask.any())[:, None]
    for _ in range(iterations):
        # The factors 1/K and 1/B are left out: they shift all logarithms alike, which normalizing the samples undoes.
        log_share -= jax.nn.logsumexp(log_share, axis=0, keepdims=True, where=valid)
        log_share -= jax.nn.logsumexp(log_share, axis=1, keepdims=True)
    return jnp.exp(log_share)


def sample_prototypes(key: Array, total: int, size: int) -> Int[Array, " size"]:
    """`size` of `total` prototypes, drawn uniformly without replacement; a function of `key` alone."""
    return jax.random.permutation(key, total)[:size]


def dino_loss(
    student_logits: Float[Array, "views batch prototypes"],
    targets: Float[Array, "globals batch prototypes"],
    mask: Bool[Array, " batch"],
    temperature: float = 0.1,
) -> Float[Array, ""]:
    """Cross-entropy of the student's softmax(logits / temperature) with the teacher's targets, in nats.

    The mean over the examples whose `mask` is True and over all pairs of a view v and a global view g ≠ v; the student's
    first views are the global ones, in the order of `targets`. No gradient flows into the targets.
    """
    log_probabilities = jax.nn.log_softmax(student_logits.astype(jnp.float32) / temperature, axis=-1)
    constant_targets = jax.lax.stop_gradient(targets).astype(jnp.float32)
    # An accelerator's default precision would blur logarithms of many nats.
    losses = -jnp.einsum("gbk,vbk->bgv", constant_targets, log_probabilities, precision=jax.lax.Precision.HIGHEST)
    is_pair = ~jnp.eye(len(targets), len(student_logits), dtype=bool)
    example_losses = jnp.where(is_pair, losses, 0.0).sum((1, 2)) / is_pair.sum()
    return jnp.where(mask, example_losses, 0.0).sum() / jnp.maximum(mask.sum(), 1)
