"""The training state: one pytree that a checkpoint holds and a step maps to the next."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx, struct
from jax import Array
from jaxtyping import Int
from ml_collections import ConfigDict

from cliptail_jax.errors import UserError
from cliptail_jax.models.layers import BatchNorm
from cliptail_jax.models.whole_config import build_classifier, build_clip, build_dino
from cliptail_jax.parallel.sharding import state_shardings
from cliptail_jax.pretrained.towers import Towers
from cliptail_jax.training.optimizer import frozen_paths, is_under


@struct.dataclass
class TrainState:
    step: Int[Array, ""]  # steps done, and so the position in the data
    rng: Array  # key that each step folds its number into
    trainable: nnx.State
    frozen: nnx.State
    batch_stats: nnx.State
    opt_state: optax.OptState
    ema: nnx.State | None = None  # moving average of `trainable`: in DINO the teacher
    ema_batch_stats: nnx.State | None = None  # the teacher's own; any other average goes with `batch_stats`

    def parts(self) -> tuple[nnx.State, nnx.State, nnx.State]:
        """What `nnx.merge` needs for the model that evaluation uses."""
        params = self.trainable if self.ema is None else self.ema
        return params, self.frozen, (self.batch_stats if self.ema_batch_stats is None else self.ema_batch_stats)


def build_model(config: ConfigDict, num_classes: int, head, towers: Towers, rngs: nnx.Rngs) -> nnx.Module:
    """The model of a config, its frozen batch norms told so."""
    if config.objective == "supervised":
        model = build_classifier(config, num_classes, rngs, head, towers.image and towers.image.build)
    elif config.objective == "dino":
        model = build_dino(config, rngs, towers.image and towers.image.build)
    else:
        model = build_clip(config, rngs, towers.image and towers.image.build, towers.text and towers.text.build)
    for path, module in nnx.iter_modules(model):
        if isinstance(module, BatchNorm) and is_under(path, frozen_paths(config)):
            module.frozen = True
    return model


def init_state(
    config: ConfigDict, optimizer: optax.GradientTransformation, mesh, num_classes: int, head=None, towers=Towers()
) -> tuple[nnx.GraphDef, TrainState, Any]:
    """The model's definition, its first state, laid out on the mesh, and the shardings of that state.

    All weights are drawn: `load_towers` puts published ones in their places.

    Raises UserError where the config freezes a part that the model has not, or all of it.
    """
    prefixes = frozen_paths(config)

    def init(key):
        model = build_model(config, num_classes, head, towers, nnx.Rngs(jax.random.fold_in(key, 0)))
        trained = nnx.All(nnx.Param, lambda path, _: is_trained(path, prefixes, towers))
        graphdef, params, frozen, batch_stats = nnx.split(model, trained, nnx.Param, nnx.BatchStat)
        rng = jax.random.fold_in(key, 1)
        state = TrainState(jnp.zeros((), jnp.int32), rng, params, frozen, batch_stats, optimizer.init(params))
        if config.optimizer.ema_decay or config.objective == "dino":
            state = state.replace(ema=jax.tree.map(jnp.copy, params))
        if config.objective == "dino":
            state = state.replace(ema_batch_stats=jax.tree.map(jnp.copy, batch_stats))
        definition.append(graphdef)
        return state

    definition: list[nnx.GraphDef] = []
    key = jax.random.key(config.seed)
    shapes = jax.eval_shape(init, key)
    check_frozen(prefixes, shapes)
    shardings = state_shardings(mesh, shapes)
    return definition[0], jax.jit(init, out_shardings=shardings)(key), shardings


def is_trained(path: tuple, prefixes: Sequence[str], towers: Towers) -> bool:
    """Whether the parameter at `path` gets updates: it is not frozen, or no published weights fill it."""
    return not is_under(path, prefixes) or any(tower.is_drawn(path) for tower in towers)


def load_towers(state: TrainState, towers: Towers, shardings: TrainState) -> TrainState:
    """The state of a new run with published weights in their places; the logit scale stays at its initial value."""
    for tower in towers:
        parts = {
            part: tower.fill(getattr(state, part), getattr(shardings, part))
            for part in ("trainable", "frozen", "batch_stats")
        }
        state = state.replace(**parts)
    for average, of in (("ema", "trainable"), ("ema_batch_stats", "batch_stats")):
        if getattr(state, average) is not None:
            state = state.replace(**{average: jax.tree.map(jnp.copy, getattr(state, of))})
    return state


def check_frozen(prefixes: Sequence[str], state: TrainState) -> None:
    """Raise a UserError unless each prefix is a part of the model, and something is left to train."""
    paths = [path for path, _ in nnx.to_flat_state(nnx.merge_state(state.trainable, state.frozen))]
    for prefix in prefixes:
        if not any(is_under(path, [prefix]) for path in paths):
            parts = ", ".join(sorted({str(path[0]) for path in paths}))
            raise UserError(f"freeze names '{prefix}', but the model has no such part; its parts start with {parts}")
    if not jax.tree.leaves(state.trainable):
        raise UserError(f"everything is frozen ({', '.join(prefixes)}): nothing is left to train")
