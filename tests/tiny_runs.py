"""Configs of runs that train in a test, and how many devices runs have."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import jax
import pytest
from ml_collections import ConfigDict

VIT = {"name": "vit", "layers": (1,), "width": 16, "heads": 2, "patch_size": 16}  # compiles in half of a ResNet's time
RESNET = {"name": "basic_resnet", "layers": (1, 1, 1), "width": 4}


def tiny(family: ModuleType, data_dir: Path, arguments: str = "") -> ConfigDict:
    """A config whose model trains in a test: 12 classes of the glyphs in `data_dir`, a network of a few thousand parameters.

    `family` is `configs.sup`, `clip` or `dino`, which takes the `arguments`, too.
    """
    config = family.get_config(f"data=glyphs_lt,{arguments}")
    config.batch_size, config.eval.batch_size, config.total_epochs = 16, 16, 2
    config.log_every_steps, config.checkpoint.every_steps, config.eval.every_epochs = 1, 3, 1
    config.data.data_dir = str(data_dir)
    config.data.classes.first = 12
    config.data.profile.ratio = 4.0
    config.model.image.update(VIT | {"output_dim": 16})
    config.model.text.update({"width": 16, "layers": 1, "heads": 2, "context_length": 8, "vocab_size": 800})
    config.optimizer.warmup_steps = 0
    return config


@contextlib.contextmanager
def devices(number: int) -> Iterator[None]:
    """In the block, runs have this many devices. `jax.devices("cpu")` are still all of them."""
    every = jax.devices("cpu")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("devices", "local_devices"):
            patch.setattr(jax, name, lambda platform=None: every if platform else every[:number])
        yield
