"""What caching a frozen text tower's outputs saves: a CLIP's training step on cached outputs, and with the tower in it.

    python scripts/benchmark/frozen_text.py --config=configs/clip.py:data=cifar100_lt --encoder=all-MiniLM-L6-v2

Prints one JSON line. The encoder is randomly initialized and frozen, the MLP behind it is trained; its texts are random
tokens of the config's context length.
"""

import json
import sys
import time
from pathlib import Path

import jax
import numpy as np
from absl import app, flags, logging
from machine import machine
from train_step import CLASSES, CONFIG, SECONDS, synthetic_run

from cliptail_jax.models.open_clip import named_encoder
from cliptail_jax.models.text_towers import PADDING
from cliptail_jax.parallel.sharding import to_devices
from cliptail_jax.planning.synthetic import random_batch

ENCODER = flags.DEFINE_string("encoder", "all-MiniLM-L6-v2", "A published text encoder whose sizes are known")


def main(_) -> None:
    logging.set_verbosity(logging.WARNING)
    config, encoder = CONFIG.value, named_encoder(ENCODER.value)
    config.model.text.update({"name": ENCODER.value, "vocab_size": encoder["vocab_size"]})
    config.freeze = ("text.transformer",)
    objective, mesh, state, train_step = synthetic_run(config, CLASSES.value)
    batch = random_batch(objective, config.batch_size, CLASSES.value)
    batch["text"] = np.where(batch["text"] == PADDING, PADDING + 1, batch["text"])
    outputs = np.random.default_rng(0).normal(size=(config.batch_size, encoder["hidden_size"])).astype(np.float32)
    speeds = {}
    for name, text in {"tokens": batch["text"], "states": outputs}.items():
        placed = to_devices(mesh, batch | {"text": text})
        state, _ = train_step(state, placed)  # compiles
        jax.block_until_ready(state.step)
        began, steps = time.perf_counter(), 0
        while time.perf_counter() - began < SECONDS.value:
            state, _ = train_step(state, placed)
            jax.block_until_ready(state.step)
            steps += 1
        speeds[name] = steps * config.batch_size / (time.perf_counter() - began)
    report = {
        "benchmark": "frozen_text",
        "encoder": ENCODER.value,
        "model": config.model.image.name,
        "batch_size": config.batch_size,
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
