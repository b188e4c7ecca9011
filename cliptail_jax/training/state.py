"""The training state: one pytree that a checkpoint holds and a step maps to the next."""

import typing

import optax
from flax import nnx, struct
from jax import Array
from jax.sharding import Mesh
from jaxtyping import Int, PyTree

from cliptail_jax.parallel.sharding import parameter_shardings, update_shardings

# What the objective's transform makes of images, labels [b], mask [b], and where captions are read text [b, ...].
DeviceBatch = dict[str, PyTree[Array]]


@typing.no_type_check  # JAX makes pytrees of shapes, of shardings and of anything else by the same class
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


def state_shardings(mesh: Mesh, shapes: TrainState, shard_optimizer: bool) -> TrainState:
    """Where each array of a state of these shapes lives; the optimizer's are split over all devices if so wished."""
    shardings = parameter_shardings(mesh, shapes)
    return shardings.replace(opt_state=update_shardings(mesh, shapes.opt_state)) if shard_optimizer else shardings
