"""A run's model for open_clip: `python -m cliptail_jax.pretrained.export --workdir=runs/clip --output=FOLDER`.

Writes what `cliptail_jax.pretrained.save` does, from the run's newest checkpoint; the averaged weights where it has them.
"""

import argparse
import sys
from pathlib import Path

from flax import nnx

from cliptail_jax import runs
from cliptail_jax.concepts.frequency_tables import read_frequency
from cliptail_jax.config.training import as_config, base_config
from cliptail_jax.errors import UserError
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.models.classifier import Classifier
from cliptail_jax.parallel.sharding import make_mesh
from cliptail_jax.pretrained.save import open_clip_config, save
from cliptail_jax.pretrained.towers import open_towers
from cliptail_jax.pretrained.trained import restore_run, with_tokenizer


def export(workdir: Path, folder: Path) -> None:
    """Writes the model of the run in `workdir` to `folder`. Raises UserError where there is no run, or none to save."""
    flat = runs.read_config(workdir)
    if flat is None:
        raise UserError(f"{workdir} holds no run: give the --workdir that it was trained in")
    if flat["objective"] == "supervised" and flat.get("head.kind") == "linear":
        raise UserError(
            f"{workdir} has head.kind='linear', for which open_clip's models have no place: use its checkpoints"
        )
    config, tokenizer = with_tokenizer(as_config(flat), workdir)
    published = open_clip_config(config, config.model.image.output_dim, open_towers(config))
    names, _ = read_frequency(workdir / "class_frequency.tsv")
    graphdef, state = restore_run(config, workdir, make_mesh(base_config().mesh), len(names))
    model = nnx.merge(graphdef, *state.parts())
    if isinstance(model, Classifier):
        published["embed_dim"] = model.head.shape[1]  # a given head's width is the encoder's
    save(model, folder, published, Preprocess(config.data.image_size), tokenizer)


def main(arguments: list[str]) -> int:
    """Exports what the command line names; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m cliptail_jax.pretrained.export", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--workdir", required=True, type=Path, help="the run's directory")
    parser.add_argument("--output", required=True, type=Path, help="the folder to write")
    parsed = parser.parse_args(arguments)
    try:
        export(parsed.workdir, parsed.output)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{parsed.output}: open_clip loads it as local-dir:{parsed.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
