"""One training step: a pure function from state and batch to the next state and its metrics."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import Array
from jax.sharding import Mesh

from cliptail_jax.parallel.sharding import batch_sharding, on_mesh, parameter_shardings, replicated, update_shardings
from cliptail_jax.training.objective import Objective
from cliptail_jax.training.state import DeviceBatch, TrainState

ENCODE = 1  # folded into a step's key for the forward passes; the loss uses the key as it is


def make_train_step(
    objective: Objective, graphdef: nnx.GraphDef, optimizer: optax.GradientTransformation, mesh: Mesh
) -> Callable[[TrainState, DeviceBatch], tuple[TrainState, dict[str, Array]]]:
    """The step of a run on the devices of a mesh.

    Traces show its parts as named scopes: preprocessing, preparation (such as DINO's teacher), towers, loss and update.

    With the config's `accumulate_steps`, the batch passes through the model in this number of parts, each with its
    share of every device's rows. The loss is that of the whole batch.
    """
    accumulate_steps = objective.config.accumulate_steps

    def merge(params: nnx.State, state: TrainState) -> nnx.Module:
        return nnx.merge(graphdef, params, state.frozen, state.batch_stats, copy=True)

    def encode(params: nnx.State, state: TrainState, batch: DeviceBatch, key: Array, part: int | Array = 0):
        """The features of a part of the batch, and the batch statistics after it."""
        model = merge(params, state)
        with jax.named_scope("towers"):
            features = objective.encode(model, batch, jax.random.fold_in(jax.random.fold_in(key, ENCODE), part))
        return features, nnx.state(model, nnx.BatchStat)

    def loss_of(params: nnx.State, features: dict[str, Array], state: TrainState, batch: DeviceBatch, key: Array):
        with jax.named_scope("loss"):
            return objective.loss(merge(params, state), features, batch, key, mesh)

    def gradient(state: TrainState, batch: DeviceBatch, key: Array):
        def loss(params):
            features, batch_stats = encode(params, state, batch, key)
            return loss_of(params, features, state, batch, key), batch_stats

        (loss, batch_stats), grads = jax.value_and_grad(loss, has_aux=True)(state.trainable)
        return loss, grads, batch_stats

    def accumulated_gradient(state: TrainState, batch: DeviceBatch, key: Array):
        """The same loss and gradient in the memory of a part, at the cost of one more forward pass (Gao et al., 2021).

        First, all features without their graph; then, the gradient of the loss with respect to the features; then, part by
        part, the gradient with respect to the parameters.
        """
        parts = _split(batch, accumulate_steps, mesh.size), jnp.arange(accumulate_steps)
        _, features = jax.lax.scan(
            lambda _, part: (None, encode(state.trainable, state, part[0], key, part[1])[0]), None, parts
        )
        all_features = _join(features, mesh.size)
        gradients = jax.value_and_grad(loss_of, argnums=(0, 1))
        loss, (grads, cotangents) = gradients(state.trainable, all_features, state, batch, key)

        def backward(grads, part):
            batch_part, i, cotangent = part
            _, pull, batch_stats = jax.vjp(
                lambda params: encode(params, state, batch_part, key, i), state.trainable, has_aux=True
            )
            return jax.tree.map(jnp.add, grads, pull(cotangent)[0]), batch_stats

        parts = (*parts, _split(cotangents, accumulate_steps, mesh.size))
        grads, batch_stats = jax.lax.scan(backward, grads, parts)
        # Each part moved the running statistics from the same start: their mean is the move of the whole batch.
        return loss, grads, jax.tree.map(lambda s: s.mean(0), batch_stats)

    def train_step(state: TrainState, batch: DeviceBatch) -> tuple[TrainState, dict[str, Array]]:
        key = jax.random.fold_in(state.rng, state.step)
        averaged_model = None if state.ema is None else nnx.merge(graphdef, *state.parts(), copy=True)
        with jax.named_scope("preparation"):
            batch, ema_batch_stats = objective.prepare(averaged_model, state, batch, key)
        loss, grads, batch_stats = (gradient if accumulate_steps == 1 else accumulated_gradient)(state, batch, key)
        if objective.config.optimizer.shard:
            # Without the first constraint, the backward pass would be divided like its gradients, and exchange activations.
            grads = jax.lax.with_sharding_constraint(grads, parameter_shardings(mesh, grads))
            grads = jax.lax.with_sharding_constraint(grads, update_shardings(mesh, grads))
        with jax.named_scope("update"):
            updates, opt_state = optimizer.update(grads, state.opt_state, state.trainable)
            params = objective.after_update(optax.apply_updates(state.trainable, updates))
        ema = state.ema
        if ema is not None:
            ema = optax.incremental_update(params, ema, 1 - objective.ema_decay(state.step))
        new_state = state.replace(
            step=state.step + 1,
            trainable=params,
            batch_stats=batch_stats,
            opt_state=opt_state,
            ema=ema,
            ema_batch_stats=ema_batch_stats,
        )
        metrics = {"train/loss": loss, "train/grad_norm": optax.global_norm(grads)} | objective.metrics(new_state)
        return new_state, metrics

    return train_step


def jit_train_step(step: Callable, mesh: Mesh, shardings: TrainState) -> Callable:
    """The jitted step for a mesh and a state with these shardings; it reuses the memory of the state that it receives."""
    return jax.jit(
        on_mesh(mesh, step),
        in_shardings=(shardings, batch_sharding(mesh)),
        out_shardings=(shardings, replicated(mesh)),
        donate_argnums=0,
    )


def _split(tree, steps: int, num_devices: int):
    """[batch, ...] to [steps, batch / steps, ...]; each part has its share of every device's rows."""

    def split(x):
        x = x.reshape(num_devices, steps, -1, *x.shape[1:]).swapaxes(0, 1)
        return x.reshape(steps, -1, *x.shape[3:])

    return jax.tree.map(split, tree)


def _join(tree, num_devices: int):
    """The inverse of `_split`."""

    def join(x):
        x = x.reshape(len(x), num_devices, -1, *x.shape[2:]).swapaxes(0, 1)
        return x.reshape(-1, *x.shape[3:])

    return jax.tree.map(join, tree)
