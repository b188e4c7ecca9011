"""The section of optimizers and learning-rate schedules, and the optimizer that it describes."""

import math
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import optax

from cliptail_jax.config.fields import Incidental, NonNegative, OneOf, Positive, Section, Share
from cliptail_jax.training.update_rules import AdamW, Decay, Lars, Lion, Muon, Schedule, Sgd, path_names


class FrozenUntil(NamedTuple):
    """A part of the model that is frozen in the first steps.

    Attributes:
        path: its dotted path, such as 'head.prototypes'.
        steps: the number of steps in which it is frozen.
    """

    path: str
    steps: int


@dataclass(frozen=True)
class Optimizer(Section):
    """The fields of all optimizers, and a section for each. Only the section of `name` has an effect."""

    name: Annotated[str, "Optimizer.", OneOf("sgd", "adamw", "lars", "lion", "muon")] = "sgd"
    learning_rate: Annotated[float, "Largest learning rate.", Positive] = 0.1
    final_learning_rate: Annotated[
        float, "Learning rate at the end of 'cosine_steps' or of a cooldown.", NonNegative
    ] = 0.0
    weight_decay: Annotated[float, "Weight decay.", NonNegative] = 1e-4
    final_weight_decay: Annotated[
        float, "Weight decay at the end, reached along a cosine; 0: it is constant.", NonNegative
    ] = 0.0
    decay_positions: Annotated[
        bool,
        "Whether tables of positions and token types, and class tokens, decay as other matrices do; before June 2026, they "
        "did in open_clip.",
    ] = True
    sgd: Sgd = Sgd()
    adamw: AdamW = AdamW()
    lars: Lars = Lars()
    lion: Lion = Lion()
    muon: Muon = Muon()
    schedule: Annotated[
        str,
        "Schedule of the learning rate: a cosine by epoch or by step, or constant.",
        OneOf("cosine_epochs", "cosine_steps", "constant"),
    ] = "cosine_epochs"
    cooldown: Annotated[
        float, "Share of the steps, at the end, in which a 'constant' rate falls to final_learning_rate.", Share
    ] = 0.0
    cooldown_power: Annotated[float, "Power of that fall; 1: it is linear.", Positive] = 1.0
    warmup_steps: Annotated[int, "Steps of linear warm-up.", NonNegative] = 0
    warmup_epochs: Annotated[int, "Epochs of linear warm-up, in place of warmup_steps.", NonNegative] = 0
    max_warmup_share: Annotated[
        float, "Largest share of all steps that are warm-up, as few images have few steps; 0: no limit.", Share
    ] = 0.0
    warmup_from_zero: Annotated[
        bool, "Whether the first of n steps of warm-up has rate 0, as in DINO, or 1/n of the largest, as in open_clip."
    ] = False
    clip_norm: Annotated[float, "Largest norm of the whole gradient; 0: no clipping.", NonNegative] = 0.0
    clip_each_norm: Annotated[float, "Largest norm of each parameter's gradient; 0: no clipping.", NonNegative] = 0.0
    shard: Annotated[
        bool, "Whether each device updates only a part of the parameters, and stores only their moments.", Incidental
    ] = False
    ema_decay: Annotated[
        float, "Decay of the moving average of the weights that evaluation uses; 0: no average.", Share
    ] = 0.0


def cosine(start: float, end: float, total_steps: int) -> Schedule:
    """From `start` at step 0 to `end` at `total_steps`, along half a cosine."""
    return lambda step: end + (start - end) * 0.5 * (1 + jnp.cos(math.pi * (step / total_steps)))


def learning_rate(section: Optimizer, steps_per_epoch: int, total_steps: int) -> Schedule:
    """Learning rate by step: linear warm-up, then a cosine to 0 or `final_learning_rate`, or a constant rate.

    'cosine_epochs' changes once per epoch (the paper's supervised recipe), 'cosine_steps' in each step. A 'constant' rate
    may fall at the end as (steps left / steps of the cooldown)^power, like open_clip's 'const-cooldown'. A warm-up of n
    steps reaches the full rate at its last step, from 1/n of it (open_clip's) or, with `warmup_from_zero`, from 0
    (DINO's).
    """
    base, first = section.learning_rate, int(not section.warmup_from_zero)
    warmup = warmup_steps(section, steps_per_epoch, total_steps)
    epoch_cosine = cosine(base, 0.0, math.ceil(total_steps / steps_per_epoch))
    step_cosine = cosine(base, section.final_learning_rate, max(total_steps - warmup, 1))
    cooldown = max(round(section.cooldown * total_steps), 1)

    def cooldown_rate(step):
        share = jnp.clip((total_steps - step) / cooldown, 0, 1) if section.cooldown else 1.0
        return section.final_learning_rate + (base - section.final_learning_rate) * share**section.cooldown_power

    rate = {
        "cosine_epochs": lambda step: epoch_cosine(step // steps_per_epoch),
        "cosine_steps": lambda step: step_cosine(step - warmup),
        "constant": cooldown_rate,
    }[section.schedule]

    def schedule(step):
        return jnp.where(step < warmup, base * (step + first) / max(warmup - 1 + first, 1), rate(step))

    return schedule


def warmup_steps(section: Optimizer, steps_per_epoch: int, total_steps: int) -> int:
    """The number of steps of the warm-up, whether the config counts it in steps or epochs, up to `max_warmup_share`."""
    warmup = section.warmup_steps + section.warmup_epochs * steps_per_epoch
    if section.max_warmup_share:
        return min(warmup, max(int(section.max_warmup_share * total_steps), 1))
    return warmup


def warmup_warning(section: Optimizer, steps_per_epoch: int, total_steps: int) -> str:
    """A warning if most of a run is warm-up; '' if not."""
    warmup = warmup_steps(section, steps_per_epoch, total_steps)
    if warmup <= total_steps / 2:
        return ""
    field = "warmup_steps" if section.warmup_steps else "warmup_epochs"
    reaches = f" and reaches {total_steps / warmup:.0%} of optimizer.learning_rate" if warmup > total_steps else ""
    return (
        f"the learning rate rises in {min(warmup, total_steps):,} of {total_steps:,} steps{reaches}: set a smaller "
        f"optimizer.{field}, or train for more epochs"
    )


def make_optimizer(
    section: Optimizer, schedule: Schedule, total_steps: int, frozen: FrozenUntil | None = None
) -> optax.GradientTransformation:
    """The optimizer of a config, with the learning rates of `schedule`.

    The `frozen` part has neither updates nor decay at first; its moments and their count begin with its first update, like
    those of a PyTorch parameter without a gradient. Gradients are clipped before all this.
    """
    clip = [optax.clip_by_global_norm(section.clip_norm)] if section.clip_norm else []
    clip += [clip_each(section.clip_each_norm)] if section.clip_each_norm else []

    def rule(first_step: int = 0) -> list[optax.GradientTransformation]:
        """The rule whose schedules begin with their values at `first_step`."""
        decay = section.weight_decay
        if section.final_weight_decay:
            decay = _shifted(cosine(decay, section.final_weight_decay, total_steps), first_step)
        rule_section = getattr(section, section.name)
        return [
            *rule_section.update_rule(Decay(decay, section.decay_positions), section.adamw),
            optax.scale_by_learning_rate(_shifted(schedule, first_step)),
        ]

    if frozen is None:
        return optax.chain(*clip, *rule())
    # The count of the frozen part begins at 0 with its first update, but the schedules do not.
    rules = {
        "frozen": optax.conditionally_mask(optax.chain(*rule(frozen.steps)), lambda step: step >= frozen.steps),
        "trained": optax.chain(*rule()),
    }

    def label(path, _) -> str:
        return "frozen" if ".".join(path_names(path)) == frozen.path else "trained"

    partition = optax.partition(rules, lambda params: jax.tree_util.tree_map_with_path(label, params))
    return optax.chain(*clip, partition)


def _shifted(schedule: Schedule, first_step: int) -> Schedule:
    return lambda count: schedule(count + first_step)


def clip_each(norm: float) -> optax.GradientTransformation:
    """Scales the gradient of each parameter down to `norm` if its norm is larger (DINO's clipping)."""

    def clip(gradient: jax.Array) -> jax.Array:
        return gradient * jnp.minimum(1.0, norm / (jnp.linalg.norm(gradient.ravel()) + 1e-6))

    return optax.stateless(lambda updates, _: jax.tree.map(clip, updates))
