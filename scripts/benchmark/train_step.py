"""Images per second and compile time of a config's training step, on a random batch: no data set is needed.

    python scripts/benchmark/train_step.py sup:data=cifar100_lt
    python scripts/benchmark/train_step.py clip:data=laionet --config.model.dtype=bfloat16 --classes=1000
    python scripts/benchmark/train_step.py clip:data=cifar100_lt --frozen_text=all-MiniLM-L6-v2
    taskset -c 0 python scripts/benchmark/train_step.py sup:data=cifar100_lt --pytorch

Prints one JSON line. A step is forward, backward and update.

With --frozen_text, the text tower is a randomly initialized published encoder that is frozen, with a trained MLP behind it.
The texts are random tokens that fill the config's context. `cached_images_per_second` is the speed with the encoder's
outputs in the batch, as a run caches them, instead of the tokens.

With --pytorch, which needs the extra `parity`, `milliseconds_of_a_core` has the CPU time of a step and of one with the same
network in PyTorch (channels last, SGD with momentum and weight decay), medians of `ROUNDS` turns each. The config must be one
of SL with a `basic_resnet`.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence

import jax
import numpy as np
from common import ROOT, print_report, rates
from ml_collections import ConfigDict

from cliptail_jax.config.command_line import read_config, with_fields, without_config
from cliptail_jax.host.memory import keep_freed_memory
from cliptail_jax.models.open_clip import named_encoder
from cliptail_jax.models.text_towers import PADDING
from cliptail_jax.objectives import make_objective, typed_config
from cliptail_jax.parallel.sharding import to_devices
from cliptail_jax.planning.measuring import start
from cliptail_jax.planning.synthetic import random_batch, synthetic_variant

STEPS_PER_EPOCH = 1000
STEPS, ROUNDS = 4, 20


def pytorch_steps(batch: dict[str, np.ndarray], tower: ConfigDict, classes: int) -> tuple[Callable[[], None], int]:
    """`STEPS` steps of PyTorch on the batch, and the number of parameters."""
    import torch

    from scripts.parity.model_fixtures import BasicResNet

    torch.set_num_threads(1)
    resnet = BasicResNet(tower.layers, tower.width, tower.output_dim)
    model = torch.nn.Sequential(resnet, torch.nn.Linear(tower.output_dim, classes, bias=False))
    model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)
    images, labels = torch.from_numpy(batch["images"]), torch.from_numpy(batch["labels"]).long()

    def several_steps() -> None:
        for _ in range(STEPS):
            x = (images.permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
            loss = torch.nn.functional.cross_entropy(model(x), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return several_steps, sum(parameter.numel() for parameter in model.parameters())


def main(arguments: Sequence[str] | None = None) -> None:
    keep_freed_memory()  # as programs do
    parser = argparse.ArgumentParser(
        usage="%(prog)s CONFIG [FLAGS] [--config.FIELD=VALUE ...]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--classes", type=int, default=100, help="number of classes of the random labels")
    parser.add_argument("--seconds", type=float, default=10, help="approximate duration of each measurement")
    parser.add_argument("--frozen_text", default="", help="a published text encoder whose sizes are known")
    parser.add_argument("--pytorch", action="store_true", help="also measure the same network in PyTorch")
    name, fields, flags = without_config(sys.argv[1:] if arguments is None else arguments)
    options = parser.parse_args(flags)
    config = with_fields(read_config(name), fields)
    encoder = named_encoder(options.frozen_text)
    if encoder:
        config.model.text.update({"name": options.frozen_text, "vocab_size": encoder["vocab_size"]})
        config.freeze = ("text.transformer",)
    config = typed_config(config)
    variant = synthetic_variant(STEPS_PER_EPOCH * config.batch_size, options.classes)
    objective = make_objective(config, variant, shapes_only=True)
    mesh, state, train_step = start(objective)
    batch = random_batch(objective, config.batch_size, options.classes)
    if encoder:
        batch["text"] = np.where(batch["text"] == PADDING, PADDING + 1, batch["text"])
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.trainable))

    began = time.perf_counter()
    compiled_step = train_step.lower(state, to_devices(mesh, batch)).compile()
    compile_seconds = time.perf_counter() - began

    def steps_on(arrays: dict[str, np.ndarray], step: Callable) -> Callable[[], None]:
        """`STEPS` steps on a batch."""
        device_batch = to_devices(mesh, arrays)

        def several_steps() -> None:
            nonlocal state
            for _ in range(STEPS):
                state, _ = step(state, device_batch)
            jax.block_until_ready(state.step)

        return several_steps

    ours, images = steps_on(batch, compiled_step), STEPS * config.batch_size
    speed, per_core = rates(ours, images, options.seconds)
    report = {
        "objective": config.objective,
        "model": config.model.image.name,
        "parameters": parameters,
        "dtype": config.model.dtype,
        "image_size": config.data.image_size,
        "batch_size": config.batch_size,
        "accumulate_steps": config.accumulate_steps,
        "images_per_second": speed,
        "images_per_second_per_core": per_core,
        "milliseconds_per_step": round(1000 * config.batch_size / speed, 2),
        "compile_seconds": round(compile_seconds, 2),
    }
    if encoder:
        shape = (config.batch_size, encoder["hidden_size"])
        outputs = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        cache_speed, _ = rates(steps_on(batch | {"text": outputs}, train_step), images, options.seconds)
        report |= {"encoder": options.frozen_text, "context_length": config.model.text.context_length}
        report |= {"cached_images_per_second": cache_speed, "ratio": round(cache_speed / speed, 2)}
    if options.pytorch:
        theirs, report["pytorch_parameters"] = pytorch_steps(batch, config.model.image, options.classes)
        sides = {"cliptail_jax": ours, "pytorch": theirs}
        seconds = {name: [] for name in sides}
        for _ in range(ROUNDS):
            for name, side in sides.items():
                seconds[name].append(rates(side, images, options.seconds / ROUNDS)[1])
        times = {
            name: round(1000 * config.batch_size / statistics.median(durations), 1)
            for name, durations in seconds.items()
        }
        report |= {"milliseconds_of_a_core": times, "ratio": round(times["pytorch"] / times["cliptail_jax"], 2)}
    print_report("train_step", **report, device=jax.devices()[0].device_kind, devices=mesh.size, jax=jax.__version__)


if __name__ == "__main__":
    sys.path.append(str(ROOT))  # configs/ is not installed with the package
    main()
