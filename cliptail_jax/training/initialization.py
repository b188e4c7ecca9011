"""Where a run's first parameters come from, parameter by parameter."""

import json
from pathlib import Path

import jax
from flax import nnx

from cliptail_jax.errors import UserError
from cliptail_jax.files import write_json, write_text
from cliptail_jax.pretrained.towers import Towers
from cliptail_jax.runs.log import say
from cliptail_jax.training.state import TrainState

FILE, TOWERS = "initialization.tsv", "towers.json"


def check_unchanged(towers: Towers, workdir: Path) -> None:
    """Raise UserError where a run would go on with other published weights than those it began with."""
    noted = json.loads((workdir / TOWERS).read_text()) if (workdir / TOWERS).exists() else {}
    for tower in towers:
        if noted.get(tower.part, {}).get("digest") not in (None, tower.digest):
            raise UserError(
                f"{workdir} began with other weights of {tower.name} than are there now "
                f"({noted[tower.part]['digest'][:12]}, not {tower.digest[:12]}): bring them back, or start in another --workdir"
            )


def report(state: TrainState, towers: Towers, workdir: Path) -> None:
    """Write a line a parameter: its path, shape, where its values are from, and whether it is trained. Say the sums."""
    if jax.process_index() != 0:
        return
    noted = {t.part: {"name": t.name, "revision": t.revision, "digest": t.digest} for t in towers}
    write_json(workdir / TOWERS, noted)
    name_of = {tower.part: tower.name for tower in towers}
    rows = []
    for fate, part in (("trained", state.trainable), ("frozen", state.frozen), ("statistic", state.batch_stats)):
        for path, variable in nnx.to_flat_state(part):
            is_new = path[0] not in name_of or towers.are_missing(path)
            shape = "x".join(map(str, variable.shape))
            rows.append((".".join(map(str, path)), shape, "random" if is_new else name_of[path[0]], fate))
    lines = ["parameter\tshape\tfrom\tfate", *("\t".join(row) for row in sorted(rows))]
    write_text(workdir / FILE, "\n".join(lines) + "\n")
    for tower in towers:
        loaded = sum(row[2] == tower.name and row[0].startswith(tower.part) for row in rows)
        missing = [".".join(map(str, path)) for path in tower.missing]
        say(
            f"  {tower.part}: {loaded} parameters from {tower.name}; "
            + (f"randomly initialized: {', '.join(missing)}" if missing else "all of them")
        )
    say(f"  all parameters and where they are from: {workdir / FILE}")
