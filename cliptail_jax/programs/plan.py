"""Compile a training step for TPUs and GPUs: does it fit, and how fast is it?

    cliptail plan clip:data=imagenet_captions --config.model.dtype=bfloat16 \\
        --on=v5e-8,v4-32,h100x8

The accelerators' own compilers, which run on any x86-64 Linux machine, compile the training step (extra plan; or jax[tpu] for
TPUs, jax[cuda12] for GPUs). No data is read. The numbers of records and classes are those of the config's prepared data set,
or known for the paper's sets. For other sets, give --records and --classes. Published towers and heads are not needed.
Results are kept in the user's cache.
"""

import argparse
import os

from cliptail_jax.host.accelerators import restore_cuda
from cliptail_jax.planning.environment import compiler_environment
from cliptail_jax.programs.command_line import non_negative

CONFIGS = ("sup", "clip", "dino")


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--on", default="v5e-8", help="TPU slices and hosts of GPUs to plan for, such as v5e-8,v4-32,h100x8"
    )
    parser.add_argument("--slices", type=non_negative(int, 1), default=1, help="number of TPU slices of each")
    for flag, number, maximum in (("records", "training records", 10**12), ("classes", "classes", 10**6)):
        purpose = f"number of {number}, without the data set"
        parser.add_argument(f"--{flag}", type=non_negative(int, maximum=maximum), default=0, help=purpose)
    parser.add_argument("--price", type=non_negative(float), default=0.0, help="dollars of a chip-hour")
    for flag, purpose in {
        "search": "find the largest batch that fits, and the changes with which the config's batch fits",
        "evaluation": "plan a step of evaluation instead of one of training",
        "measure": "run ten steps on the accelerators of this machine as well",
        "traffic": "print which operations move most bytes from and to HBM; with --json, also the arrays of collectives",
        "json": "print one line of JSON per topology instead of tables",
    }.items():
        parser.add_argument(f"--{flag}", action="store_true", help=purpose)


def set_environment(options: argparse.Namespace) -> None:
    os.environ.update(compiler_environment(options.measure))
    restore_cuda()  # the compiler, which JAX looks for when it starts


def main(options: argparse.Namespace) -> None:
    from cliptail_jax.jobs.plan import plan_command  # slow to import

    plan_command(options)
