"""A run's first state, and the origin of each of its parameters."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import read_json, write_json, write_text
from cliptail_jax.host.text import tsv
from cliptail_jax.models.image_towers import image_tower
from cliptail_jax.models.layers import BatchNorm
from cliptail_jax.models.remat import rematerialize
from cliptail_jax.models.self_attention import PLAIN, use_plain_attention
from cliptail_jax.pretrained.towers import Tower, Towers
from cliptail_jax.runs.checkpoints import Checkpoints
from cliptail_jax.runs.console import log_line
from cliptail_jax.runs.directory import truncate_logs
from cliptail_jax.runs.files import METRICS
from cliptail_jax.training.objective import Objective
from cliptail_jax.training.state import TrainState, state_shardings

FILE, TOWERS = "initialization.tsv", "towers.json"
LEVEL = "xla_backend_optimization_level"


def init_state(
    objective: Objective, optimizer: optax.GradientTransformation, mesh: Mesh, seed: int
) -> tuple[nnx.GraphDef, TrainState, TrainState]:
    """The model's definition, its first state, laid out on the mesh, and the shardings of that state.

    All weights are randomly initialized; `load_towers` replaces those of published towers. Raises UserError if the
    objective freezes everything, or a part that the model lacks.
    """
    graphdef, shapes, init = first_state(objective, optimizer)
    shardings = state_shardings(mesh, shapes, objective.config.optimizer.shard)
    # The program runs once. On CPUs, LLVM compiles it in a third of the time at level 1, with bitwise the same weights.
    is_on_cpu, has_level = mesh.devices.flat[0].platform == "cpu", LEVEL in os.environ.get("XLA_FLAGS", "")
    compiler_options = {LEVEL: 1} if is_on_cpu and not has_level else None
    init = jax.jit(init, out_shardings=shardings, compiler_options=compiler_options)
    return graphdef, init(jax.random.key(seed)), shardings


def first_state(
    objective: Objective, optimizer: optax.GradientTransformation
) -> tuple[nnx.GraphDef, TrainState, Callable[[jax.Array], TrainState]]:
    """The model's definition, the shapes of its first state, and the function from a run's key to that state.

    Nothing is computed. Raises UserError as `init_state` does.
    """
    frozen, towers = objective.frozen, objective.towers

    def init(key):
        model = objective.build_model(nnx.Rngs(jax.random.fold_in(key, 0)))
        for path, module in nnx.iter_modules(model):
            if isinstance(module, BatchNorm) and is_under(path, frozen):  # it uses its running statistics
                module.frozen = True
        if objective.config.model.remat == "blocks":
            rematerialize(model)
        if objective.config.model.attention == PLAIN:
            use_plain_attention(model)
        # A frozen part's parameters that no published weights fill are trained.
        is_trainable = nnx.All(nnx.Param, lambda path, _: not is_under(path, frozen) or towers.is_missing(path))
        graphdef, params, frozen_params, batch_stats = nnx.split(model, is_trainable, nnx.Param, nnx.BatchStat)
        rng, averages = jax.random.fold_in(key, 1), objective.init_averages(params, batch_stats)
        step = jnp.zeros((), jnp.int32)
        state = TrainState(step, rng, params, frozen_params, batch_stats, optimizer.init(params), *averages)
        definition.append(graphdef)
        return state

    definition: list[nnx.GraphDef] = []
    shapes = jax.eval_shape(init, jax.random.key(0))
    check_frozen(frozen, shapes)
    return definition[0], shapes, init


def load_towers(state: TrainState, towers: Towers, shardings: TrainState) -> TrainState:
    """The state of a new run with published weights in their places; the logit scale stays at its initial value."""
    for tower in towers:
        parts = {
            part: tower.fill(getattr(state, part), getattr(shardings, part))
            for part in ("trainable", "frozen", "batch_stats")
        }
        state = state.replace(**parts)
    for average, source in (("ema", "trainable"), ("ema_batch_stats", "batch_stats")):
        if getattr(state, average) is not None:
            state = state.replace(**{average: jax.tree.map(jnp.copy, getattr(state, source))})
    return state


def check_frozen(prefixes: Sequence[str], state: TrainState) -> None:
    """Raise UserError unless each prefix is a part of the model, and something is left to train."""
    paths = [path for path, _ in nnx.to_flat_state(nnx.merge_state(state.trainable, state.frozen))]
    for prefix in prefixes:
        if not any(is_under(path, [prefix]) for path in paths):
            parts = ", ".join(sorted({str(path[0]) for path in paths}))
            raise UserError(f"freeze names '{prefix}', but the model has no such part; its parts start with {parts}")
    if not jax.tree.leaves(state.trainable):
        raise UserError(f"everything is frozen ({', '.join(prefixes)}): nothing is left to train")


def is_under(path: Sequence, prefixes: Sequence[str]) -> bool:
    """Whether a module path such as ('visual', 'layer1', 0, 'conv1') lies at or below one of the dotted prefixes."""
    name = ".".join(map(str, path)) + "."
    return any(name.startswith(prefix + ".") for prefix in prefixes)


def begin_or_resume(
    state: TrainState, shardings: TrainState, checkpoints: Checkpoints, objective: Objective, workdir: Path
) -> tuple[TrainState, int]:
    """The state at the beginning of a session, given the state of `init_state`, and the number of steps done.

    The state is that of the newest valid checkpoint; log lines of later steps are removed. Without a checkpoint, published
    towers are loaded. Raises UserError if these have changed since the run began.
    """
    step, towers = checkpoints.newest, objective.towers
    if step:
        check_unchanged(towers, workdir)
        state = checkpoints.restore(step, state, shardings)
        log_line(f"resuming from step {step} of {objective.total_steps}")
        if objective.config.log_every_steps <= step and not (workdir / METRICS).exists():
            log_line(f"warning: {workdir / METRICS} is missing: the log begins at this step")
    elif tuple(towers):
        state = load_towers(state, towers, shardings)
        report(state, towers, workdir)
    if jax.process_index() == 0:
        truncate_logs(workdir, step)
    return state, step


def check_unchanged(towers: Towers, workdir: Path) -> None:
    """Raise UserError if a run would resume with other published weights than at its start."""
    record = read_json(workdir / TOWERS) or {}
    for tower in towers:
        old_digest, digest = record.get(tower.part, {}).get("digest"), tower.weights.digest
        if old_digest not in (None, digest):
            raise UserError(
                f"{workdir} began with other weights of {tower.name} than there are now ({old_digest[:12]}, not {digest[:12]}): "
                "restore them, or start in another --workdir"
            )


def report(state: TrainState, towers: Towers, workdir: Path) -> None:
    """Write one line per parameter: its path, shape, origin, and whether it is trained; print totals."""
    if jax.process_index() != 0:
        return
    record = {t.part: {"name": t.name, "revision": t.weights.revision, "digest": t.weights.digest} for t in towers}
    write_json(workdir / TOWERS, record)
    rows = origins(state, towers)
    write_text(workdir / FILE, tsv(("parameter", "shape", "from", "fate"), sorted(rows)))
    for tower in towers:
        number = sum(row[2] != "random" and row[0].startswith(tower.part + ".") for row in rows)
        names = [".".join(map(str, path)) for path in tower.missing_parameters]
        new_parameters = f"randomly initialized: {', '.join(names)}" if names else "all of them"
        log_line(f"  {tower.part}: {number} parameters from {tower.name}; {new_parameters}")
        for grid in dict.fromkeys(tower.resized_grids.values()):
            log_line(
                f"  {tower.part}: positions resized from {grid_text(*grid)}, for images of another size{export_note(tower)}"
            )
    parameters = {row[0] for row in rows}
    if "logit_scale" in parameters and "logit_bias" not in parameters:
        for name in dict.fromkeys(tower.name for tower in towers if tower.has_bias):
            log_line(f"  {name} is a SigLIP: its logit bias is dropped, since a softmax does not change with it")
    log_line(f"  all parameters and their origins: {workdir / FILE}")


def origins(state: TrainState, towers: Towers) -> list[tuple[str, str, str, str]]:
    """The path, shape, origin and fate ('trained', 'frozen' or 'statistic') of each parameter."""
    name_of = {tower.part: tower.name for tower in towers}
    notes = {
        path: f", positions resized from {grid_text(*grid)}" for t in towers for path, grid in t.resized_grids.items()
    }
    rows = []
    for fate, part in (("trained", state.trainable), ("frozen", state.frozen), ("statistic", state.batch_stats)):
        for path, variable in nnx.to_flat_state(part):
            is_new = path[0] not in name_of or towers.is_missing(path)
            shape = "x".join(map(str, variable.shape))
            origin = "random" if is_new else name_of[path[0]] + notes.get(path, "")
            rows.append((".".join(map(str, path)), shape, origin, fate))
    return rows


def grid_text(old: int, new: int) -> str:
    return f"{old} x {old} to {new} x {new}"


def export_note(tower: Tower) -> str:
    """A note that a run with this image tower cannot be exported, with the reason; '' if it can."""
    try:
        image_tower(tower.config).for_open_clip(tower.config)
    except UserError as error:
        return f"; the run cannot be exported ({error})"
    return ""
