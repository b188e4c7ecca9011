"""The training step of a small network on a CPU, beside the same network in PyTorch (channels last), on a random batch.

    taskset -c 0 python scripts/benchmark/pytorch_step.py --config=configs/sup.py:data=cifar100_lt

Both take turns. A step is forward, backward and the update of SGD with momentum and weight decay, timed by the CPU time of the
process. Prints one JSON line with the medians and the numbers of parameters. Needs the extra `parity`.
"""

import statistics
import sys
import time
from collections.abc import Callable, Sequence

import jax
import torch
from common import ROOT, print_report, read_config
from torch import nn
from torch.nn.functional import cross_entropy

from cliptail_jax.objectives import make_objective
from cliptail_jax.parallel.host_memory import keep_freed_memory
from cliptail_jax.parallel.sharding import to_devices
from cliptail_jax.planning.measuring import start
from cliptail_jax.planning.synthetic import random_batch, synthetic_variant

CLASSES, WIDTH, FEATURES, ROUNDS, STEPS = 100, 16, 128, 20, 5


class Block(nn.Module):
    """The block of stride 2 of `cliptail_jax.models.basic_resnet`."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        options = dict(padding=1, bias=False)
        first = nn.Conv2d(inputs, outputs, 3, stride=2, **options), nn.BatchNorm2d(outputs), nn.ReLU()
        self.main = nn.Sequential(*first, nn.Conv2d(outputs, outputs, 3, **options), nn.BatchNorm2d(outputs))
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=2, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.main(x) + self.shortcut(x))


def pytorch_step(batch: dict) -> tuple[Callable[[], float], int]:
    """A step on the batch, which returns its loss, and the number of parameters."""
    blocks = Block(WIDTH, WIDTH), Block(WIDTH, 2 * WIDTH), Block(2 * WIDTH, 4 * WIDTH)
    stem = nn.Conv2d(3, WIDTH, 3, padding=1, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU()
    head = (
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4 * WIDTH, FEATURES),
        nn.Linear(FEATURES, CLASSES, bias=False),
    )
    model = nn.Sequential(*stem, *blocks, *head)
    model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)
    images, labels = torch.from_numpy(batch["images"]), torch.from_numpy(batch["labels"]).long()

    def step() -> float:
        x = (images.permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
        loss = cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step, sum(p.numel() for p in model.parameters())


def main(arguments: Sequence[str]) -> None:
    keep_freed_memory()
    config = read_config(arguments)
    objective = make_objective(config, synthetic_variant(1000 * config.batch_size, CLASSES), shapes_only=True)
    mesh, state, train_step = start(objective)
    batch = random_batch(objective, config.batch_size, CLASSES)
    placed = to_devices(mesh, batch)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.trainable))
    torch.set_num_threads(1)
    theirs, their_parameters = pytorch_step(batch)

    def ours() -> None:
        nonlocal state
        state, _ = train_step(state, placed)
        jax.block_until_ready(state.step)

    seconds: dict[str, list[float]] = {"cliptail_jax": [], "pytorch": []}
    for turn in range(ROUNDS + 1):
        for name, step in zip(seconds, (ours, theirs)):
            for _ in range(STEPS):
                began = time.process_time()
                step()
                if turn:
                    seconds[name].append(time.process_time() - began)
    times = {name: round(1000 * statistics.median(of), 1) for name, of in seconds.items()}
    report = {f"{name}_milliseconds": of for name, of in times.items()}
    report |= {"ratio": round(times["pytorch"] / times["cliptail_jax"], 2), "batch_size": config.batch_size}
    report |= {"parameters": parameters, "pytorch_parameters": their_parameters}
    print_report("pytorch_step", **report, torch=torch.__version__, jax=jax.__version__)


if __name__ == "__main__":
    sys.path.append(str(ROOT))  # configs/ is not installed with the package
    main(sys.argv[1:])
