"""One step of DINO: the student learns to agree with its own moving average about views of an image."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import Array
from jaxtyping import Float
from ml_collections import ConfigDict

from cliptail_jax.config.training import num_steps
from cliptail_jax.input.device_views import device_views
from cliptail_jax.input.images import IMAGENET_MEAN, IMAGENET_STD, normalize
from cliptail_jax.input.views import NUM_GLOBAL
from cliptail_jax.objectives.dino import dino_loss, sample_prototypes, sinkhorn_knopp
from cliptail_jax.training.optimizer import cosine
from cliptail_jax.training.state import TrainState
from cliptail_jax.training.step import Batch


def make_dino_step(
    graphdef: nnx.GraphDef, optimizer: optax.GradientTransformation, config: ConfigDict, steps_per_epoch: int
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, Array]]]:
    """The step of a config. `TrainState.ema` and `ema_batch_stats` are the teacher.

    A batch has `mask` [b] and either `global_crops` and `local_crops` [b, view, side, side, 3] uint8, or, to be augmented
    here, `images` [b, side, side, 3] uint8 and their `views`.
    """
    teacher_momentum = cosine(config.dino.teacher_momentum, 1.0, num_steps(config, steps_per_epoch))
    frozen_steps = config.dino.freeze_last_layer * steps_per_epoch

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, dict[str, Array]]:
        crops = [normalize(of_size, IMAGENET_MEAN, IMAGENET_STD) for of_size in crops_by_size(batch, config)]
        rows = None
        if config.vocabulary.size:
            key = jax.random.fold_in(state.rng, state.step)
            rows = sample_prototypes(key, config.dino.prototypes, config.vocabulary.size)

        def logits_of(params: nnx.State, batch_stats: nnx.State, crops: list[Array]):
            """Cosines with the prototypes of this step, [b, view, prototype], and the batch statistics afterwards."""
            model = nnx.merge(graphdef, params, state.frozen, batch_stats, copy=True)
            places = model.embed_views(crops, batch["mask"])
            logits = model.head.logits(places.reshape(-1, places.shape[-1]), rows)
            return logits.reshape(*places.shape[:2], -1), nnx.state(model, nnx.BatchStat)

        taught, teacher_batch_stats = logits_of(state.ema, state.ema_batch_stats, crops[:1])
        targets = sinkhorn_knopp(taught.reshape(-1, taught.shape[-1]), mask=jnp.repeat(batch["mask"], NUM_GLOBAL))
        targets = targets.reshape(taught.shape).swapaxes(0, 1)

        def loss_of(params: nnx.State) -> tuple[Float[Array, ""], nnx.State]:
            logits, batch_stats = logits_of(params, state.batch_stats, crops)
            return dino_loss(logits.swapaxes(0, 1), targets, mask=batch["mask"]), batch_stats

        (loss, batch_stats), grads = jax.value_and_grad(loss_of, has_aux=True)(state.trainable)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.trainable)
        params = optax.apply_updates(state.trainable, updates)
        if frozen_steps:
            held = state.step < frozen_steps
            params = hold_prototypes(held, state.trainable, params)
            opt_state = hold_prototypes(held, state.opt_state, opt_state)
        momentum = teacher_momentum(state.step)
        new = state.replace(
            step=state.step + 1,
            trainable=params,
            batch_stats=batch_stats,
            opt_state=opt_state,
            ema=optax.incremental_update(params, state.ema, 1 - momentum),
            ema_batch_stats=teacher_batch_stats,
        )
        metrics = {"train/loss": loss, "train/grad_norm": optax.global_norm(grads), "train/teacher_momentum": momentum}
        return new, metrics

    return train_step


def crops_by_size(batch: Batch, config: ConfigDict) -> list[Array]:
    """The global crops and, where there are any, the local ones, [b, view, side, side, 3] with values of 0..255."""
    data = config.data
    if "views" in batch:
        blur = data.multi_crop.max_blur > 0
        crops = [device_views(batch["images"], batch["views"].global_views(), data.image_size, blur)]
        if data.multi_crop.num_local:
            crops.append(device_views(batch["images"], batch["views"].local_views(), data.multi_crop.local_size, blur))
        return crops
    return [batch["global_crops"], *([batch["local_crops"]] if data.multi_crop.num_local else [])]


def hold_prototypes(held: Array, old, new):
    """`new`, but where `held` is true the prototypes, or an optimizer's numbers on them, as they are in `old`."""

    def choose(path, before: Array, after: Array) -> Array:
        is_prototypes = any(getattr(key, "key", None) == "prototypes" for key in path)
        return jnp.where(held, before, after) if is_prototypes else after

    return jax.tree_util.tree_map_with_path(choose, old, new)
