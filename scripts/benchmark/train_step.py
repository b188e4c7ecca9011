"""Images per second, compile time and FLOPs of a config's training step, on a random batch: no data set is needed.

    python scripts/benchmark/train_step.py --config=configs/sup.py:data=cifar100_lt
    python scripts/benchmark/train_step.py --config=configs/clip.py:data=laionet --config.model.dtype=bfloat16 --classes=1000
    python scripts/benchmark/train_step.py --config=configs/clip.py:data=cifar100_lt --frozen_text=all-MiniLM-L6-v2

Prints one JSON line. FLOPs are those that XLA counts in the compiled step: forward, backward and update. With
accumulate_steps > 1 there are none, since XLA counts the body of a loop once. `utilization` is their share of the devices'
peak in bfloat16 where that is known; a float32 step cannot come close to it.

With --frozen_text, the text tower is a randomly initialized published encoder that is frozen, with a trained MLP behind it.
The texts are random tokens that fill the config's context. `cached_images_per_second` is the speed with the encoder's
outputs in the batch, as a run caches them, instead of the tokens.
"""

import argparse
import sys
import time
from collections.abc import Sequence

import jax
import numpy as np
from common import ROOT, print_report, rates, read_config

from cliptail_jax.models.open_clip import named_encoder
from cliptail_jax.models.text_towers import PADDING
from cliptail_jax.objectives import make_objective, validate
from cliptail_jax.parallel.devices import peak_flops
from cliptail_jax.parallel.host_memory import keep_freed_memory
from cliptail_jax.parallel.sharding import to_devices
from cliptail_jax.planning.measuring import start
from cliptail_jax.planning.synthetic import random_batch, synthetic_variant

STEPS_PER_EPOCH = 1000


def main(arguments: Sequence[str] | None = None) -> None:
    keep_freed_memory()  # as programs do
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--classes", type=int, default=100, help="number of classes of the random labels")
    parser.add_argument("--seconds", type=float, default=10, help="approximate duration of the measurement")
    parser.add_argument("--frozen_text", default="", help="a published text encoder whose sizes are known")
    options, config_arguments = parser.parse_known_args(arguments)
    config = read_config(config_arguments)
    encoder = named_encoder(options.frozen_text)
    if encoder:
        config.model.text.update({"name": options.frozen_text, "vocab_size": encoder["vocab_size"]})
        config.freeze = ("text.transformer",)
    validate(config)
    variant = synthetic_variant(STEPS_PER_EPOCH * config.batch_size, options.classes)
    objective = make_objective(config, variant, shapes_only=True)
    mesh, state, train_step = start(objective)
    batch = random_batch(objective, config.batch_size, options.classes)
    if encoder:
        batch["text"] = np.where(batch["text"] == PADDING, PADDING + 1, batch["text"])
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.trainable))

    began = time.perf_counter()
    compiled = train_step.lower(state, to_devices(mesh, batch)).compile()
    compile_seconds = time.perf_counter() - began

    def images_per_second(step, arrays: dict[str, np.ndarray]) -> float:
        nonlocal state
        placed = to_devices(mesh, arrays)

        def several_steps() -> None:
            nonlocal state
            for _ in range(4):
                state, _ = step(state, placed)
            jax.block_until_ready(state.step)

        return rates(several_steps, 4 * config.batch_size, options.seconds)[0]

    speed = images_per_second(compiled, batch)
    report = {
        "objective": config.objective,
        "model": config.model.image.name,
        "parameters": parameters,
        "dtype": config.model.dtype,
        "image_size": config.data.image_size,
        "batch_size": config.batch_size,
        "accumulate_steps": config.accumulate_steps,
        "images_per_second": speed,
        "milliseconds_per_step": round(1000 * config.batch_size / speed, 2),
        "compile_seconds": round(compile_seconds, 2),
    }
    if encoder:
        shape = (config.batch_size, encoder["hidden_size"])
        outputs = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        cached = images_per_second(train_step, batch | {"text": outputs})
        report |= {"encoder": options.frozen_text, "context_length": config.model.text.context_length}
        report |= {"cached_images_per_second": cached, "ratio": round(cached / speed, 2)}
    if config.accumulate_steps == 1:
        flops_per_image = compiled.cost_analysis()["flops"] * mesh.size / config.batch_size  # XLA counts one device's
        report["flops_per_image"] = round(flops_per_image)
        report["tflops_per_second"] = round(flops_per_image * speed / 1e12, 4)
        if peak := peak_flops():
            report["utilization"] = round(flops_per_image * speed / (peak * mesh.size), 4)
    print_report("train_step", **report, device=jax.devices()[0].device_kind, devices=mesh.size, jax=jax.__version__)


if __name__ == "__main__":
    sys.path.append(str(ROOT))  # configs/ is not installed with the package
    main()
