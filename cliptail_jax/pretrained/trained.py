"""A run's model, as its newest sound checkpoint has it."""

from pathlib import Path

import numpy as np
from flax import nnx
from jax.sharding import Mesh
from ml_collections import ConfigDict

from cliptail_jax.pretrained.class_head import read_head
from cliptail_jax.pretrained.run_tokenizer import load_tokenizer, with_vocab_size
from cliptail_jax.pretrained.towers import TextTokenizer, open_towers
from cliptail_jax.runs.checkpoints import restore_newest
from cliptail_jax.training.optimizer import make_optimizer
from cliptail_jax.training.state import TrainState, init_state


def with_tokenizer(config: ConfigDict, workdir: Path) -> tuple[ConfigDict, TextTokenizer | None]:
    """The config with as many token embeddings as the run's tokenizer has tokens, and that; None for a supervised run."""
    if config.objective != "contrastive":
        return config, None
    tokenizer = load_tokenizer(config, open_towers(config), workdir / "tokenizer.json")
    return with_vocab_size(config, tokenizer), tokenizer


def restore_run(config: ConfigDict, workdir: Path, mesh: Mesh, num_classes: int) -> tuple[nnx.GraphDef, TrainState]:
    """The model's definition and its state. Raises UserError where there is no sound checkpoint."""
    optimizer = make_optimizer(config, steps_per_epoch=1)  # its state has the same form whatever the schedule
    # The checkpoint has the head's values; only its width is needed.
    head = np.zeros((num_classes, read_head(config.head.init).shape[1])) if config.head.init else None
    graphdef, state, shardings = init_state(config, optimizer, mesh, num_classes, head, open_towers(config))
    return graphdef, restore_newest(workdir / "checkpoints", state, shardings)
