"""The training state: the pytree that checkpoints contain and that a step maps to the next one."""

import typing

import optax
from flax import nnx, struct
from jax import Array
from jax.sharding import Mesh
from jaxtyping import Int, PyTree

from cliptail_jax.parallel.sharding import parameter_shardings, update_shardings

# The image arrays of the objective's transform, labels [b], mask [b], and text [b, ...] where captions are read.
DeviceBatch = dict[str, PyTree[Array]]


@typing.no_type_check  # JAX makes pytrees of shapes, of shardings and of anything else by the same class
@struct.dataclass
class TrainState:
    step: Int[Array, ""]  # steps done, and so the position in the data
    rng: Array  # key into which each step folds its number
    trainable: nnx.State
    frozen: nnx.State
    batch_stats: nnx.State
    opt_state: optax.OptState
    ema: nnx.State | None = None  # moving average of `trainable`: in DINO the teacher
    ema_batch_stats: nnx.State | None = None  # the teacher's own; any other average goes with `batch_stats`

    def parts(self) -> tuple[nnx.State, nnx.State, nnx.State]:
        """The arguments of `nnx.merge` for the evaluated model: the averaged one, if there is an average."""
        params = self.trainable if self.ema is None else self.ema
        return params, self.frozen, (self.batch_stats if self.ema_batch_stats is None else self.ema_batch_stats)


def state_shardings(mesh: Mesh, shapes: TrainState, shard_optimizer: bool) -> TrainState:
    """The sharding of each array of a state of these shapes; `shard_optimizer` splits the optimizer's over all devices."""
    shardings = parameter_shardings(mesh, shapes)
    return shardings.replace(opt_state=update_shardings(mesh, shapes.opt_state)) if shard_optimizer else shardings
