"""Images per second, compile time and FLOPs of a config's training step, on a random batch: no data set is needed.

    python scripts/benchmark/train_step.py --config=configs/sup.py:data=cifar100_lt
    python scripts/benchmark/train_step.py --config=configs/clip.py:data=laionet --config.model.dtype=bfloat16 --classes=1000

Prints one JSON line. FLOPs are those that XLA counts in the compiled step: forward, backward and update. With
accumulate_steps > 1 there are none, since XLA counts the body of a loop once. `utilization` is their share of the devices'
peak in bfloat16 where that is known; a float32 step cannot come close to it.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
from absl import app, flags, logging
from jax.sharding import Mesh
from ml_collections import ConfigDict, config_flags

from cliptail_jax.objectives import make_objective, validate
from cliptail_jax.parallel.devices import peak_flops
from cliptail_jax.parallel.sharding import to_devices
from cliptail_jax.planning.measuring import start
from cliptail_jax.planning.synthetic import random_batch, synthetic_variant
from cliptail_jax.training.objective import Objective
from cliptail_jax.training.state import TrainState

CONFIG = config_flags.DEFINE_config_file("config", None, "Config file of a training run, as FILE or FILE:key=value")
CLASSES = flags.DEFINE_integer("classes", 100, "Number of classes of the random labels")
STEPS_PER_EPOCH = 1000
SECONDS = flags.DEFINE_float("seconds", 10, "Approximate duration of the measurement")


def synthetic_run(config: ConfigDict, classes: int) -> tuple[Objective, Mesh, TrainState, Callable]:
    """A run's objective on made-up records, its mesh, its first state, and its jitted step."""
    validate(config)
    objective = make_objective(
        config, synthetic_variant(STEPS_PER_EPOCH * config.batch_size, classes), shapes_only=True
    )
    return objective, *start(objective)


def main(_) -> None:
    logging.set_verbosity(logging.WARNING)
    config, classes = CONFIG.value, CLASSES.value
    objective, mesh, state, train_step = synthetic_run(config, classes)
    batch = to_devices(mesh, random_batch(objective, config.batch_size, classes))
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.trainable))

    began = time.perf_counter()
    train_step = train_step.lower(state, batch).compile()
    compile_seconds = time.perf_counter() - began

    def run(state, steps: int):
        began = time.perf_counter()
        for _ in range(steps):
            state, _ = train_step(state, batch)
        jax.block_until_ready(state.step)
        return state, time.perf_counter() - began

    state, _ = run(state, 2)
    state, of_two = run(state, 2)
    steps = max(1, round(SECONDS.value / of_two * 2))
    state, seconds = run(state, steps)

    images_per_second = steps * config.batch_size / seconds
    report = {
        "benchmark": "train_step",
        "config": {
            "objective": config.objective,
            "model": config.model.image.name,
            "parameters": parameters,
            "dtype": config.model.dtype,
            "image_size": config.data.image_size,
            "batch_size": config.batch_size,
            "accumulate_steps": config.accumulate_steps,
            "vocabulary": config.vocabulary.size,
        },
        "images_per_second": round(images_per_second, 1),
        "milliseconds_per_step": round(1000 * seconds / steps, 2),
        "steps": steps,
        "compile_seconds": round(compile_seconds, 2),
    }
    kind = jax.devices()[0].device_kind
    if config.accumulate_steps == 1:
        flops_per_image = train_step.cost_analysis()["flops"] * mesh.size / config.batch_size  # XLA counts one device's
        report["flops_per_image"] = round(flops_per_image)
        report["tflops_per_second"] = round(flops_per_image * images_per_second / 1e12, 4)
        peak = peak_flops()
        if peak:
            report["utilization"] = round(flops_per_image * images_per_second / (peak * mesh.size), 4)
    report |= {"device": kind, "devices": mesh.size, "cores": len(os.sched_getaffinity(0)), "jax": jax.__version__}
    print(json.dumps(report))


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[2]))  # configs/ is not installed with the package
    flags.mark_flag_as_required("config")
    app.run(main)
