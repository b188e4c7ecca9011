"""Where a run's first parameters come from, parameter by parameter."""

from pathlib import Path

import jax
from flax import nnx

from cliptail_jax.files import write_text
from cliptail_jax.log import say
from cliptail_jax.pretrained.towers import Towers
from cliptail_jax.state import TrainState

FILE = "initialization.tsv"


def report(state: TrainState, towers: Towers, workdir: Path) -> None:
    """Write a line a parameter: its path, shape, where its values are from, and whether it is trained. Say the sums."""
    if jax.process_index() != 0:
        return
    name_of = {tower.part: tower.name for tower in towers}
    rows = []
    for fate, part in (("trained", state.trainable), ("frozen", state.frozen), ("statistic", state.batch_stats)):
        for path, variable in nnx.to_flat_state(part):
            drawn = path[0] not in name_of or any(tower.is_drawn(path) for tower in towers)
            shape = "x".join(map(str, variable.shape))
            rows.append((".".join(map(str, path)), shape, "drawn" if drawn else name_of[path[0]], fate))
    lines = ["parameter\tshape\tfrom\tfate", *("\t".join(row) for row in sorted(rows))]
    write_text(workdir / FILE, "\n".join(lines) + "\n")
    for tower in towers:
        loaded = sum(row[2] == tower.name and row[0].startswith(tower.part) for row in rows)
        missing = [".".join(map(str, (tower.part, *path))) for path in tower.drawn]
        say(
            f"  {tower.part}: {loaded} parameters from {tower.name}; "
            + (f"drawn: {', '.join(missing)}" if missing else "all of them")
        )
    say(f"  all parameters and where they are from: {workdir / FILE}")
