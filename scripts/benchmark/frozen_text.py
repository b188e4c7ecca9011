"""What keeping a frozen text tower's states saves: a CLIP's training step with them, and with the tower in it.

    python scripts/benchmark/frozen_text.py --config=configs/clip.py:data=cifar100_lt --encoder=all-MiniLM-L6-v2

Prints one JSON line. The encoder has drawn weights and takes random tokens of the config's context length.
"""

import json
import sys
import time
from pathlib import Path

import jax
import numpy as np
from absl import app, flags, logging
from flax import nnx
from machine import machine
from train_step import random_batch

from cliptail_jax.models.bert import BertText
from cliptail_jax.models.build import DTYPES
from cliptail_jax.models.open_clip import named_encoder
from cliptail_jax.models.text_towers import bert_shape
from cliptail_jax.objectives import validate
from cliptail_jax.parallel.sharding import batch_sharding, make_mesh, replicated, to_devices
from cliptail_jax.pretrained.towers import Tower, Towers
from cliptail_jax.training.initialization import init_state
from cliptail_jax.training.optimizer import make_optimizer
from cliptail_jax.training.step import make_train_step

ENCODER = flags.DEFINE_string("encoder", "all-MiniLM-L6-v2", "A published text encoder whose sizes are known")


def drawn_tower(config, shape) -> Tower:
    """An encoder of that shape with a trained MLP behind it."""

    def build(rngs: nnx.Rngs) -> BertText:
        return BertText(shape, config.model.image.output_dim, dtype=DTYPES[config.model.dtype], rngs=rngs)

    drawn = {("proj", layer, "kernel"): "" for layer in ("0", "2")}
    return Tower("text", ENCODER.value, None, build, None, drawn, {})


def main(_) -> None:
    logging.set_verbosity(logging.WARNING)
    config = flags.FLAGS.config
    config.text.freeze = True
    validate(config)
    shape = bert_shape(named_encoder(ENCODER.value))
    mesh = make_mesh(config.mesh)
    optimizer = make_optimizer(config, steps_per_epoch=1000)
    towers = Towers(text=drawn_tower(config, shape))
    graphdef, state, shardings = init_state(config, optimizer, mesh, flags.FLAGS.classes, towers=towers)
    train_step = jax.jit(
        make_train_step(graphdef, optimizer, config, None, mesh.size),
        in_shardings=(shardings, batch_sharding(mesh)),
        out_shardings=(shardings, replicated(mesh)),
        donate_argnums=0,
    )
    batch = random_batch(config, flags.FLAGS.classes)
    rng = np.random.default_rng(0)
    size = config.batch_size
    texts = {
        "tokens": rng.integers(shape.pad_id + 1, shape.vocab_size, (size, config.model.text.context_length), np.int32),
        "states": rng.normal(size=(size, shape.width)).astype(np.float32),
    }
    speeds = {}
    for name, text in texts.items():
        placed = to_devices(mesh, batch | {"text": text})
        state, _ = train_step(state, placed)  # compiles
        jax.block_until_ready(state.step)
        began, steps = time.perf_counter(), 0
        while time.perf_counter() - began < flags.FLAGS.seconds:
            state, _ = train_step(state, placed)
            jax.block_until_ready(state.step)
            steps += 1
        speeds[name] = steps * size / (time.perf_counter() - began)
    report = {
        "benchmark": "frozen_text",
        "encoder": ENCODER.value,
        "model": config.model.image.name,
        "batch_size": size,
        "context_length": config.model.text.context_length,
        "images_per_second": {name: round(speed, 1) for name, speed in speeds.items()},
        "ratio": round(speeds["states"] / speeds["tokens"], 2),
        "device": jax.devices()[0].device_kind,
        "machine": machine(),
        "jax": jax.__version__,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[2]))  # configs/ is not installed with the package
    flags.mark_flag_as_required("config")
    app.run(main)
