"""The image tower of a run, for another run to start from: what the first one's evaluation uses."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import jax
import orbax.checkpoint as ocp
from flax import nnx
from flax.traverse_util import flatten_dict, unflatten_dict
from ml_collections import ConfigDict

from cliptail_jax.files import absolute
from cliptail_jax.runs import checkpoints

PART = "visual"


@dataclasses.dataclass(frozen=True)
class RunTower:
    """As `towers.Tower`, but of a checkpoint. Its numbers are the averaged ones where there are such, as DINO's teacher."""

    name: str  # the work directory of the run
    config: ConfigDict  # of the run, but features' width, batch-norm groups and dtype of the one that starts here
    checkpoint: Path
    build: Callable[[nnx.Rngs], nnx.Module]
    drawn: dict[tuple, str]  # the paths of parameters that the run does not fill, and why
    quick_gelu: bool
    first: object  # the tower that the run itself began with; None where that was drawn
    part: str = PART

    @property
    def revision(self) -> str:
        return f"step {self.checkpoint.name}"

    @functools.cached_property
    def digest(self) -> str:
        """sha256 of the checkpoint's manifest, and so of its files."""
        return checkpoints.digest(self.checkpoint)

    def is_drawn(self, path: tuple) -> bool:
        """Whether the parameter at `path` of the whole model is one of this tower's that the run does not fill."""
        return path[0] == self.part and path[1:] in self.drawn

    def fill(self, state: nnx.State, shardings: nnx.State) -> nnx.State:
        """`state`, parameters or statistics of a whole model, with the run's values of this tower's."""
        mine = {p: v for p, v in nnx.to_flat_state(state) if p[0] == self.part and not self.is_drawn(p)}
        stored, placed = stored_tower(self.checkpoint), dict(nnx.to_flat_state(shardings))
        key_of = {path: stored[tuple(map(str, path))].key for path in mine}
        wanted = {
            key_of[path]: jax.ShapeDtypeStruct(v.shape, v.dtype, sharding=jax.tree.leaves(placed[path])[0])
            for path, v in mine.items()
        }
        if not wanted:
            return state
        values = flatten_dict(read(self.checkpoint, unflatten_dict(wanted)))
        filled = [(path, variable.replace(values[key_of[path]])) for path, variable in mine.items()]
        return nnx.merge_state(state, nnx.from_flat_state(filled))


@dataclasses.dataclass(frozen=True)
class Stored:
    """An array of a checkpoint."""

    key: tuple[str, ...]
    shape: tuple[int, ...]


def stored_tower(checkpoint: Path) -> dict[tuple[str, ...], Stored]:
    """What the checkpoint of a training state has of the image tower that evaluation uses, by its path in the model."""
    tree = ocp.PyTreeCheckpointHandler().metadata(item(checkpoint)).tree
    own_average = {"ema": "trainable", "ema_batch_stats": "batch_stats"}
    replaced = {own_average[part] for part in own_average if tree.get(part)}
    found = {}
    for part in ("trainable", "frozen", "batch_stats", "ema", "ema_batch_stats"):
        if part not in replaced and PART in (tree.get(part) or {}):
            for key, array in flatten_dict(tree[part][PART]).items():
                found[PART, *key[:-1]] = Stored((part, PART, *key), tuple(array.shape))
    return found


def read(checkpoint: Path, wanted: dict) -> dict:
    """Some arrays of a checkpoint, laid out as `wanted` says."""
    restore_args = jax.tree.map(
        lambda x: ocp.ArrayRestoreArgs(sharding=x.sharding, global_shape=x.shape, dtype=x.dtype), wanted
    )
    arguments = ocp.args.PyTreeRestore(item=wanted, restore_args=restore_args, partial_restore=True)
    with ocp.PyTreeCheckpointer() as checkpointer:
        return checkpointer.restore(item(checkpoint), args=arguments)


def item(checkpoint: Path) -> Path:
    """Where Orbax's manager puts the one item that a checkpoint is."""
    return absolute(checkpoint) / "default"


def unfilled(checkpoint: Path, build: Callable[[nnx.Rngs], nnx.Module]) -> dict[tuple, str]:
    """The parameters and statistics that the checkpoint has not as the tower needs them, by path, and why."""
    stored, drawn = stored_tower(checkpoint), {}
    for path, variable in nnx.to_flat_state(nnx.state(nnx.eval_shape(lambda: build(nnx.Rngs(0))))):
        there = stored.get((PART, *map(str, path)))
        if there is None:
            drawn[path] = f"it has no {'.'.join(map(str, path))}"
        elif there.shape != tuple(variable.shape):
            drawn[path] = (
                f"{'.'.join(map(str, path))} has shape {list(there.shape)}, but the tower asks for {list(variable.shape)}"
            )
    return drawn
