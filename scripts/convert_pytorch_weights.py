"""Converts a published model's pytorch_model.bin, which cliptail_jax does not read, to safetensors. Needs the extra `parity`.

    hf download jienengchen/ViTamin-S --local-dir ViTamin-S
    python scripts/convert_pytorch_weights.py ViTamin-S --architecture=ViTamin-S --output=ViTamin-S-safetensors

writes a new folder for `cliptail_jax.pretrained.open_model`. A .bin file is a pickle, which may run any program when it is
read: `torch.load(weights_only=True)` refuses all but tensors and plain containers.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import save

from cliptail_jax.host.errors import UserError, command_line
from cliptail_jax.models.open_clip import named_architecture
from cliptail_jax.pretrained.published import listed_preprocess
from cliptail_jax.pretrained.published_clip import WEIGHTS_FILES
from cliptail_jax.pretrained.source import CONFIG

PICKLES = ("open_clip_pytorch_model.bin", "pytorch_model.bin")


def convert(source: Path, output: Path, architecture: str | None = None) -> None:
    """Write the model in the folder `source` to the new folder `output`: its weights as safetensors, and its .json files.

    `architecture` is open_clip's name of the model, for a folder without open_clip_config.json. Raises UserError if
    `source` lacks weights or a configuration, the weights are not plain tensors, or `output` exists.
    """
    weights = next((source / name for name in PICKLES if (source / name).is_file()), None)
    if weights is None:
        raise UserError(f"{source} has no {' or '.join(PICKLES)}")
    if architecture is None and not (source / CONFIG).is_file():
        raise UserError(f"{source} has no {CONFIG}: give --architecture, open_clip's name of the model")
    model_cfg = named_architecture(architecture) if architecture else None
    tensors = read_tensors(weights)
    try:
        output.mkdir(parents=True)
    except FileExistsError:
        raise UserError(f"{output} exists: give the name of a new folder as --output") from None
    for file in source.glob("*.json"):
        shutil.copyfile(file, output / file.name)
    if model_cfg:
        document = {"model_cfg": model_cfg, "preprocess_cfg": listed_preprocess(architecture)}
        (output / CONFIG).write_text(json.dumps(document, indent=2), encoding="utf-8")
    (output / WEIGHTS_FILES[0]).write_bytes(save(tensors))  # not by `save_file`, whose files no one else may read


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a state dict, or of a checkpoint of open_clip's training that contains one."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        state = state.get("state_dict", state)
        # Each has its own memory, as safetensors requires.
        return {name.removeprefix("module."): tensor.clone().contiguous() for name, tensor in state.items()}
    except Exception:  # many kinds, by what is wrong with the file
        raise UserError(f"{path} is damaged, or has more in it than tensors by their names") from None


@command_line
def main(arguments: list[str]) -> None:
    """Converts the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", type=Path, help="the folder of the published model")
    parser.add_argument("--output", required=True, type=Path, help="the folder to write, which must not exist")
    parser.add_argument("--architecture", help="open_clip's name of the model, unless the folder has its configuration")
    options = parser.parse_args(arguments)
    convert(options.source, options.output, options.architecture)
    print(f"{options.output}: cliptail_jax.pretrained.open_model opens it")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
