"""One training step: a pure function from state and batch to the next state and its metrics."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import Array
from jaxtyping import Float
from ml_collections import ConfigDict

from cliptail_jax.input.images import normalize
from cliptail_jax.models.cosine import clip_logit_scale, cosine_logits
from cliptail_jax.objectives.contrastive import contrastive_loss
from cliptail_jax.objectives.supervised import sample_vocabulary, supervised_loss
from cliptail_jax.training.state import TrainState

DROPOUT = 1  # folded into a step's key for dropout; a sampled vocabulary uses the key as it is
# images [b, h, w, 3] uint8, labels [b], mask [b], and for CLIP text: tokens [b, context], or a frozen tower's states
# [b, width]
Batch = dict[str, Array]


def make_train_step(
    graphdef: nnx.GraphDef,
    optimizer: optax.GradientTransformation,
    config: ConfigDict,
    sampling_weights: Float[Array, "classes"] | None,
    num_devices: int,
) -> Callable[[TrainState, Batch], tuple[TrainState, dict[str, Array]]]:
    """The step of a config. `sampling_weights` of the classes are for a sampled vocabulary."""

    def merge(params: nnx.State, state: TrainState) -> nnx.Module:
        return nnx.merge(graphdef, params, state.frozen, state.batch_stats, copy=True)

    def encode(params: nnx.State, state: TrainState, batch: Batch, part: int | Array = 0):
        """Features by tower, each [b, dim], and the batch statistics after this batch, the `part`th of a step's."""
        model = merge(params, state)
        features = {"image": model.encode_image(normalize(batch["images"]), train=True, mask=batch["mask"])}
        if config.objective == "contrastive":
            features["text"] = model.encode_text(batch["text"], dropout_key(state, part))
        return features, nnx.state(model, nnx.BatchStat)

    def dropout_key(state: TrainState, part: int | Array) -> Array | None:
        """The same for every pass over a part of a step's batch; None where nothing drops out."""
        if not config.text.dropout:
            return None
        return jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(state.rng, state.step), DROPOUT), part)

    def objective(params: nnx.State, features: dict[str, Array], state: TrainState, batch: Batch) -> Float[Array, ""]:
        """The loss of the whole batch, given its features."""
        model = merge(params, state)
        if config.objective == "contrastive":
            logits = cosine_logits(features["image"], features["text"], model.logit_scale[...])
            return contrastive_loss(logits, batch["mask"])
        logits = model.logits(features["image"])
        vocabulary = None
        if config.vocabulary.size:
            key = jax.random.fold_in(state.rng, state.step)
            v = config.vocabulary
            vocabulary = sample_vocabulary(key, batch["labels"], batch["mask"], sampling_weights, v.size, v.group_size)
        return supervised_loss(logits, batch["labels"], batch["mask"], vocabulary)

    def whole(state: TrainState, batch: Batch):
        def loss_of(params):
            features, batch_stats = encode(params, state, batch)
            return objective(params, features, state, batch), batch_stats

        (loss, batch_stats), grads = jax.value_and_grad(loss_of, has_aux=True)(state.trainable)
        return loss, grads, batch_stats

    def accumulated(state: TrainState, batch: Batch):
        """The same loss and gradient in the memory of a micro-batch, for one more forward pass (Gao et al., 2021).

        First all features, without their graph; then the loss's gradient in the features; then, micro-batch by
        micro-batch, that gradient on through the towers.
        """
        micro = _split(batch, config.accumulate_steps, num_devices), jnp.arange(config.accumulate_steps)
        _, features = jax.lax.scan(lambda _, part: (None, encode(state.trainable, state, *part)[0]), None, micro)
        joined = _join(features, num_devices)
        loss, (grads, cotangents) = jax.value_and_grad(objective, argnums=(0, 1))(state.trainable, joined, state, batch)

        def backward(grads, part):
            micro_batch, i, cotangent = part
            _, pull, batch_stats = jax.vjp(lambda p: encode(p, state, micro_batch, i), state.trainable, has_aux=True)
            return jax.tree.map(jnp.add, grads, pull(cotangent)[0]), batch_stats

        parts = (*micro, _split(cotangents, config.accumulate_steps, num_devices))
        grads, batch_stats = jax.lax.scan(backward, grads, parts)
        # Each micro-batch moved the running statistics from the same start: their mean is the move of the whole batch.
        return loss, grads, jax.tree.map(lambda s: s.mean(0), batch_stats)

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, dict[str, Array]]:
        loss, grads, batch_stats = (whole if config.accumulate_steps == 1 else accumulated)(state, batch)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.trainable)
        params = optax.apply_updates(state.trainable, updates)
        if "logit_scale" in params:
            params["logit_scale"][...] = clip_logit_scale(params["logit_scale"][...])
        ema = state.ema
        if ema is not None:
            ema = optax.incremental_update(params, ema, 1 - config.optimizer.ema_decay)
        metrics = {"train/loss": loss, "train/grad_norm": optax.global_norm(grads)}
        if "logit_scale" in params:
            metrics["train/logit_scale"] = jnp.exp(params["logit_scale"][...])
        new = state.replace(
            step=state.step + 1, trainable=params, batch_stats=batch_stats, opt_state=opt_state, ema=ema
        )
        return new, metrics

    return train_step


def _split(tree, steps: int, num_devices: int):
    """[batch, ...] to [steps, batch / steps, ...], a micro-batch having its share of every device's rows."""

    def of(x):
        x = x.reshape(num_devices, steps, -1, *x.shape[1:]).swapaxes(0, 1)
        return x.reshape(steps, -1, *x.shape[3:])

    return jax.tree.map(of, tree)


def _join(tree, num_devices: int):
    """The inverse of `_split`."""

    def of(x):
        x = x.reshape(len(x), num_devices, -1, *x.shape[2:]).swapaxes(0, 1)
        return x.reshape(-1, *x.shape[3:])

    return jax.tree.map(of, tree)
