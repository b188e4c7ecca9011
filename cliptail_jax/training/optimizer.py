"""Optimizers and their learning-rate schedules."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict
from optax.contrib import MuonDimensionNumbers, scale_by_muon

LARS_TRUST = 1e-3
MUON_RMS = 0.2  # about that of AdamW's updates before the learning rate
PIXEL_CHANNELS = 3

Schedule = Callable[[jax.Array], jax.Array]  # of the number of steps done


class FrozenUntil(NamedTuple):
    """A part of the model that is frozen in the first steps.

    Attributes:
        path: its dotted path, such as 'head.prototypes'.
        steps: the number of steps in which it is frozen.
    """

    path: str
    steps: int


def cosine(start: float, end: float, total_steps: int) -> Schedule:
    """From `start` at step 0 to `end` at `total_steps`, along half a cosine."""
    return lambda step: end + (start - end) * 0.5 * (1 + jnp.cos(math.pi * (step / total_steps)))


def learning_rate(section: ConfigDict, steps_per_epoch: int, total_steps: int) -> Schedule:
    """Learning rate by step: linear warm-up, then a cosine to 0 or `final_learning_rate`.

    'cosine_epochs' changes once per epoch (the paper's supervised recipe), 'cosine_steps' in each step. A warm-up of n
    steps reaches the full rate at its last step, from 1/n of it (open_clip's) or, with `warmup_from_zero`, from 0
    (DINO's). `section` is the config's `optimizer`.
    """
    base, first = section.learning_rate, int(not section.warmup_from_zero)
    warmup = section.warmup_steps + section.warmup_epochs * steps_per_epoch
    by_epoch = cosine(base, 0.0, math.ceil(total_steps / steps_per_epoch))
    by_step = cosine(base, section.final_learning_rate, max(total_steps - warmup, 1))

    def schedule(step):
        decayed = by_epoch(step // steps_per_epoch) if section.schedule == "cosine_epochs" else by_step(step - warmup)
        return jnp.where(step < warmup, base * (step + first) / max(warmup - 1 + first, 1), decayed)

    return schedule


def make_optimizer(
    section: ConfigDict, schedule: Schedule, total_steps: int, frozen: FrozenUntil | None = None
) -> optax.GradientTransformation:
    """SGD, AdamW, LARS, Lion or Muon, by the config's section `optimizer`, with the learning rates of `schedule`.

    The `frozen` part has neither updates nor decay at first; its moments and their count begin with its first update, like
    those of a PyTorch parameter without a gradient. Gradients are clipped before all this.

    SGD's weight decay is part of the gradient (L2), on every parameter, or on matrices only if `decay_vectors` is off; with
    `nesterov`, its momentum is PyTorch's form of Nesterov's.
    The weight decay of all other optimizers is on matrices only (not gains, biases, logit scale), and so is LARS's
    trust ratio, |parameter| / |gradient with decay| / 1000 (You et al. 2017, arXiv 1708.03888). The decay of AdamW,
    Lion (the sign of
    momentum: Chen et al. 2023, arXiv 2302.06675) and Muon (`scale_by_muon_and_adam`) is decoupled from the gradient.
    """
    o = section
    clip = [optax.clip_by_global_norm(o.clip_norm)] if o.clip_norm else []
    clip += [clip_each(o.clip_each_norm)] if o.clip_each_norm else []
    if frozen is None:
        return optax.chain(*clip, *_update_rule(o, schedule, total_steps))
    # The count of the frozen part begins at 0 with its first update, but the schedules do not.
    late = optax.chain(*_update_rule(o, schedule, total_steps, frozen.steps))
    rules = {
        "frozen": optax.conditionally_mask(late, lambda step: step >= frozen.steps),
        "trained": optax.chain(*_update_rule(o, schedule, total_steps)),
    }

    def labels(params):
        def label(path, _) -> str:
            return "frozen" if ".".join(_keys(path)) == frozen.path else "trained"

        return jax.tree_util.tree_map_with_path(label, params)

    return optax.chain(*clip, optax.partition(rules, labels))


def _update_rule(
    section: ConfigDict, schedule: Schedule, total_steps: int, first_step: int = 0
) -> list[optax.GradientTransformation]:
    """The transformations from clipped gradients to updates; schedules begin with their values at `first_step`."""
    o = section
    decay = o.weight_decay
    if o.final_weight_decay:
        decay = _later(cosine(o.weight_decay, o.final_weight_decay, total_steps), first_step)
    decay_matrices = optax.add_decayed_weights(decay, _are_matrices)
    if o.name == "sgd":
        rule = [optax.add_decayed_weights(decay) if o.sgd.decay_vectors else decay_matrices]
        rule += [optax.trace(o.sgd.momentum, nesterov=o.sgd.nesterov)]
    elif o.name == "adamw":
        rule = [optax.scale_by_adam(**o.adamw), decay_matrices]
    elif o.name == "lars":
        trust = optax.masked(optax.scale_by_trust_ratio(trust_coefficient=LARS_TRUST), _are_matrices)
        rule = [decay_matrices, trust, optax.trace(o.lars.momentum)]
    elif o.name == "lion":
        rule = [optax.scale_by_lion(**o.lion), decay_matrices]
    else:
        rule = [scale_by_muon_and_adam(o), decay_matrices]
    return [*rule, optax.scale_by_learning_rate(_later(schedule, first_step))]


def scale_by_muon_and_adam(section: ConfigDict) -> optax.GradientTransformation:
    """Muon on hidden matrices, AdamW's rule on all other parameters (Jordan et al. 2024, kellerjordan.github.io/posts/muon).

    A hidden matrix is the kernel of a linear layer or convolution, [..., in, out], except for the convolution of the
    pixels. AdamW updates class embeddings, prototypes, tables of tokens and positions, bare projections of features,
    and vectors. A convolution's kernel counts as the matrix [height width in, out], and a fused projection to queries,
    keys and values as one.

    Muon's update is the matrix U Vᵀ of M = U S Vᵀ, roughly, by five Newton-Schulz iterations (optax has their formula), where
    M is the momentum as Nesterov has it, bias-corrected. Multiplied by 0.2 √max(height width in, out), its root mean square is
    that of AdamW's updates, so that one learning rate suits both (Liu et al. 2025, arXiv 2502.16982, section 2.2).
    """

    def dimensions(matrices):
        return jax.tree.map(lambda x: MuonDimensionNumbers(tuple(range(x.ndim - 1)), x.ndim - 1), matrices)

    def label(path, x) -> str:
        hidden = _keys(path)[-1] == "kernel" and x.shape[-2] != PIXEL_CHANNELS
        return "muon" if hidden else "adam"

    def match_adam(update: jax.Array) -> jax.Array:
        *inputs, outputs = update.shape
        return MUON_RMS * math.sqrt(max(math.prod(inputs), outputs)) * update

    muon = scale_by_muon(beta=section.muon.momentum, weight_dimension_numbers=dimensions)
    rules = {
        "muon": optax.chain(muon, optax.stateless(lambda updates, _: jax.tree.map(match_adam, updates))),
        "adam": optax.scale_by_adam(**section.adamw),
    }
    return optax.partition(rules, lambda params: jax.tree_util.tree_map_with_path(label, params))


def _keys(path: tuple) -> list[str]:
    """The names in the path of a parameter in the tree of all, such as ['visual', 'conv1', 'kernel']."""
    return [str(key.key) for key in path if hasattr(key, "key")]


def _later(schedule: Schedule, first_step: int) -> Schedule:
    return lambda count: schedule(count + first_step)


def clip_each(norm: float) -> optax.GradientTransformation:
    """Scales the gradient of each parameter down to `norm` if its norm is larger (DINO's clipping)."""

    def clip(gradient: jax.Array) -> jax.Array:
        return gradient * jnp.minimum(1.0, norm / (jnp.linalg.norm(gradient.ravel()) + 1e-6))

    return optax.stateless(lambda updates, _: jax.tree.map(clip, updates))


def _are_matrices(params):
    return jax.tree.map(lambda p: p.ndim >= 2, params)
