"""The training state: one pytree that a checkpoint holds and a step maps to the next."""

from collections.abc import Sequence
from typing import Protocol

import jax
import jax.numpy as jnp
import optax
from flax import nnx, struct
from jax import Array
from jax.sharding import Mesh
from jaxtyping import Int

from cliptail_jax.errors import UserError
from cliptail_jax.models.layers import BatchNorm
from cliptail_jax.parallel.sharding import state_shardings
from cliptail_jax.pretrained.towers import Towers


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


class Trained(Protocol):
    """What the first state asks an objective for, as `cliptail_jax.objectives.objective.Objective` documents it."""

    towers: Towers

    @property
    def frozen(self) -> Sequence[str]: ...

    def build_model(self, rngs: nnx.Rngs) -> nnx.Module: ...

    def init_averages(self, params: nnx.State, batch_stats: nnx.State) -> tuple[nnx.State | None, nnx.State | None]: ...


def init_state(
    objective: Trained, optimizer: optax.GradientTransformation, mesh: Mesh, seed: int
) -> tuple[nnx.GraphDef, TrainState, TrainState]:
    """The model's definition, its first state, laid out on the mesh, and the shardings of that state.

    All weights are randomly initialized: `load_towers` puts trained ones in their places. Raises UserError where the
    objective freezes a part that is none of the model's, or everything.
    """
    frozen, towers = objective.frozen, objective.towers

    def init(key):
        model = objective.build_model(nnx.Rngs(jax.random.fold_in(key, 0)))
        freeze_batch_norms(model, frozen)
        trained = nnx.All(nnx.Param, lambda path, _: is_trained(path, frozen, towers))
        graphdef, params, rest, batch_stats = nnx.split(model, trained, nnx.Param, nnx.BatchStat)
        rng, averages = jax.random.fold_in(key, 1), objective.init_averages(params, batch_stats)
        step = jnp.zeros((), jnp.int32)
        state = TrainState(step, rng, params, rest, batch_stats, optimizer.init(params), *averages)
        definition.append(graphdef)
        return state

    definition: list[nnx.GraphDef] = []
    key = jax.random.key(seed)
    shapes = jax.eval_shape(init, key)
    check_frozen(frozen, shapes)
    shardings = state_shardings(mesh, shapes)
    return definition[0], jax.jit(init, out_shardings=shardings)(key), shardings


def freeze_batch_norms(model: nnx.Module, frozen: Sequence[str]) -> None:
    """Batch norms at or below a frozen path use their running statistics."""
    for path, module in nnx.iter_modules(model):
        if isinstance(module, BatchNorm) and is_under(path, frozen):
            module.frozen = True


def is_trained(path: tuple, prefixes: Sequence[str], towers: Towers) -> bool:
    """Whether the parameter at `path` gets updates: it is not frozen, or no published weights fill it."""
    return not is_under(path, prefixes) or towers.are_missing(path)


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


def is_under(path: Sequence, prefixes: Sequence[str]) -> bool:
    """Whether a module path such as ('visual', 'layer1', 0, 'conv1') lies at or below one of the dotted prefixes."""
    dotted = ".".join(map(str, path)) + "."
    return any(dotted.startswith(prefix + ".") for prefix in prefixes)
