"""The study's two optimisers, their schedules, and which parameters are trained at all."""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict


def learning_rate(config: ConfigDict, steps_per_epoch: int) -> Callable[[jax.Array], jax.Array]:
    """Learning rate by step: linear warm-up, then a cosine to 0.

    'cosine_epochs' changes once an epoch (the study's supervised recipe); 'cosine_steps' each step, and its warm-up
    reaches the full rate at its last step (open_clip's).
    """
    peak, warmup = config.optimizer.learning_rate, config.optimizer.warmup_steps
    total_steps = config.total_epochs * steps_per_epoch
    by_epoch = config.optimizer.schedule == "cosine_epochs"

    def schedule(step):
        if by_epoch:
            progress = (step // steps_per_epoch) / config.total_epochs
        else:
            progress = (step - warmup) / max(total_steps - warmup, 1)
        cosine = peak * 0.5 * (1 + jnp.cos(math.pi * progress))
        return jnp.where(step < warmup, peak * (step + 1) / max(warmup, 1), cosine)

    return schedule


def make_optimizer(config: ConfigDict, steps_per_epoch: int) -> optax.GradientTransformation:
    """SGD with coupled L2 on every parameter, or AdamW with decay on matrices alone (not gains, biases, logit scale)."""
    o = config.optimizer
    rate = learning_rate(config, steps_per_epoch)
    clip = [optax.clip_by_global_norm(o.clip_norm)] if o.clip_norm else []
    if o.name == "sgd":
        rule = [optax.add_decayed_weights(o.weight_decay), optax.trace(o.momentum)]
    else:
        rule = [optax.scale_by_adam(o.b1, o.b2, o.eps), optax.add_decayed_weights(o.weight_decay, _are_matrices)]
    return optax.chain(*clip, *rule, optax.scale_by_learning_rate(rate))


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
