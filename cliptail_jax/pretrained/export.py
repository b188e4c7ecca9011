"""A run's model for open_clip: `python -m cliptail_jax.pretrained.export --workdir=runs/clip --output=FOLDER`.

Writes what `cliptail_jax.pretrained.save` does, from the run's newest checkpoint; the averaged weights where it has them.
"""

import argparse
import sys
from pathlib import Path

from cliptail_jax import runs
from cliptail_jax.errors import UserError, command_line
from cliptail_jax.pretrained.model import open_run
from cliptail_jax.pretrained.save import open_clip_config, save


def export(workdir: Path, folder: Path) -> None:
    """Writes the model of the run in `workdir` to `folder`. Raises UserError where there is no run, or none to save."""
    if runs.read_config(workdir) is None:
        raise UserError(f"{workdir} holds no run: give the --workdir that it was trained in")
    opened = open_run(workdir)
    tokenizer = opened.tokenizer if opened.has_text else None
    save(opened.model, folder, open_clip_config(opened.description), opened.preprocess, tokenizer)


@command_line
def main(arguments: list[str]) -> None:
    """Exports the run that the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m cliptail_jax.pretrained.export", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--workdir", required=True, type=Path, help="the run's directory")
    parser.add_argument("--output", required=True, type=Path, help="the folder to write")
    parsed = parser.parse_args(arguments)
    export(parsed.workdir, parsed.output)
    print(f"{parsed.output}: open_clip loads it as local-dir:{parsed.output}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
