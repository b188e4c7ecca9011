"""The tiny members of open_clip's families whose truth is stored, written as published models are; equality of models."""

import json
from pathlib import Path

import jax
import numpy as np
from flax import nnx
from safetensors.numpy import save_file
from seeded_weights import draw_all

CASES = json.loads((Path(__file__).parents[1] / "data" / "pretrained_parity.json").read_text())


def write_model(folder: Path, name: str) -> Path:
    """A folder with weights and configuration of the family `name`, and that of its text encoder."""
    case = CASES[name]
    folder.mkdir(parents=True, exist_ok=True)
    config = json.loads(json.dumps(case["config"]))
    if case["encoder"]:
        (folder / "config.json").write_text(json.dumps(case["encoder"]))
        config["text_cfg"]["hf_model_name"] = str(folder)
    save_file(draw_all(case["shapes"]), folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    return folder


def assert_same(ours: nnx.Module, theirs: nnx.Module) -> None:
    """All parameters and statistics of two models are equal, bit for bit."""
    jax.tree.map(np.testing.assert_array_equal, nnx.state(ours), nnx.state(theirs))
