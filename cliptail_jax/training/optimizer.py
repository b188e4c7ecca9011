"""The study's optimisers, their schedules, and which parameters are trained at all."""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from cliptail_jax.config.training import num_steps

LARS_TRUST = 1e-3

Schedule = Callable[[jax.Array], jax.Array]  # of the number of steps done


def cosine(start: float, end: float, total_steps: int) -> Schedule:
    """From `start` at step 0 to `end` at `total_steps`, along half a cosine."""
    return lambda step: end + (start - end) * 0.5 * (1 + jnp.cos(math.pi * (step / total_steps)))


def learning_rate(config: ConfigDict, steps_per_epoch: int) -> Schedule:
    """Learning rate by step: linear warm-up, then a cosine to 0 or `final_learning_rate`.

    'cosine_epochs' changes once an epoch (the study's supervised recipe); 'cosine_steps' each step, and its warm-up
    reaches the full rate at its last step (open_clip's).
    """
    o = config.optimizer
    warmup = o.warmup_steps + o.warmup_epochs * steps_per_epoch
    by_epoch = cosine(o.learning_rate, 0.0, config.total_epochs)
    by_step = cosine(o.learning_rate, o.final_learning_rate, max(num_steps(config, steps_per_epoch) - warmup, 1))

    def schedule(step):
        falling = by_epoch(step // steps_per_epoch) if o.schedule == "cosine_epochs" else by_step(step - warmup)
        return jnp.where(step < warmup, o.learning_rate * (step + 1) / max(warmup, 1), falling)

    return schedule


def make_optimizer(config: ConfigDict, steps_per_epoch: int) -> optax.GradientTransformation:
    """SGD, AdamW or LARS.

    SGD's weight decay is part of the gradient (L2), on every parameter or with `decay_vectors` off on matrices alone; with
    `nesterov` its momentum is Nesterov's as PyTorch has it.
    AdamW's and LARS's are on matrices alone (not gains, biases, logit scale), and so is LARS's trust ratio, |parameter| /
    |gradient with decay| / 1000 (You et al. 2017, arXiv 1708.03888).
    """
    o = config.optimizer
    rate = learning_rate(config, steps_per_epoch)
    clip = [optax.clip_by_global_norm(o.clip_norm)] if o.clip_norm else []
    clip += [clip_each(o.clip_each_norm)] if o.clip_each_norm else []
    decay = o.weight_decay
    if o.final_weight_decay:
        decay = cosine(o.weight_decay, o.final_weight_decay, num_steps(config, steps_per_epoch))
    decay_matrices = optax.add_decayed_weights(decay, _are_matrices)
    if o.name == "sgd":
        rule = [optax.add_decayed_weights(decay) if o.decay_vectors else decay_matrices]
        rule += [optax.trace(o.momentum, nesterov=o.nesterov)]
    elif o.name == "adamw":
        rule = [optax.scale_by_adam(o.b1, o.b2, o.eps), decay_matrices]
    else:
        trust = optax.masked(optax.scale_by_trust_ratio(trust_coefficient=LARS_TRUST), _are_matrices)
        rule = [decay_matrices, trust, optax.trace(o.momentum)]
    return optax.chain(*clip, *rule, optax.scale_by_learning_rate(rate))


def clip_each(norm: float) -> optax.GradientTransformation:
    """Scales the gradient of each parameter whose norm is larger than `norm` down to it (DINO's clipping)."""

    def clip(gradient: jax.Array) -> jax.Array:
        return gradient * jnp.minimum(1.0, norm / (jnp.linalg.norm(gradient.ravel()) + 1e-6))

    return optax.stateless(lambda updates, _: jax.tree.map(clip, updates))


def _are_matrices(params):
    return jax.tree.map(lambda p: p.ndim >= 2, params)


def frozen_paths(config: ConfigDict) -> tuple[str, ...]:
    """Dotted paths of the parts that get no update, no weight decay and no optimizer state."""
    named = {"head": config.head.freeze, "text": config.text.freeze, "visual": config.image.freeze}
    return tuple(config.freeze) + tuple(path for path, frozen in named.items() if frozen)


def is_under(path: Sequence, prefixes: Sequence[str]) -> bool:
    """Whether a module path such as ('visual', 'layer1', 0, 'conv1') lies at or below one of the dotted prefixes."""
    dotted = ".".join(map(str, path)) + "."
    return any(dotted.startswith(prefix + ".") for prefix in prefixes)
