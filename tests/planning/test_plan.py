"""Tiny supervised and contrastive runs, compiled by the TPU's own compiler and held to budgets."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from cliptail_jax.errors import UserError
from cliptail_jax.plan import planned_variant
from configs import sup

needs_libtpu = pytest.mark.skipif(not importlib.util.find_spec("libtpu"), reason="the TPU compiler is not installed")
CONFIGS = {
    "supervised": "configs/sup.py:data=cifar100_lt",
    "contrastive": "configs/clip.py:data=cifar100_lt",
}


def run(*arguments):
    """The program, as a user runs it."""
    environment = os.environ | {"XLA_FLAGS": "", "JAX_DISABLE_MOST_OPTIMIZATIONS": "0"}
    command = [sys.executable, "-m", "cliptail_jax.plan", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def plans():
    """A line of JSON for each of `CONFIGS` on four chips."""
    found = {}
    for name, config in CONFIGS.items():
        flags = ("--on=v5e-4", "--records=10847", "--classes=100", "--json", "--config.model.dtype=bfloat16")
        done = run(f"--config={config}", *flags)
        assert done.returncode == 0, done.stderr
        found[name] = json.loads(done.stdout)
    return found


def forward_operations_of_the_small_resnet():
    """Of an image of 32 pixels: 2 · pixels · kernel · inputs · outputs for each convolution, 2 · inputs · outputs for a matrix.

    Returns those of the first convolution, and of all others.
    """
    first = 2 * 32**2 * 9 * 3 * 16
    others = 0
    for inputs, outputs, side in ((16, 16, 16), (16, 32, 8), (32, 64, 4)):
        others += 2 * side**2 * outputs * (9 * inputs + 9 * outputs + inputs)  # both convolutions and the shortcut
    return first, others + 2 * 64 * 128 + 2 * 128 * 100  # projection and head


@needs_libtpu
def test_operations_are_those_of_the_formula(plans):
    """Forward, gradient of the weights, and gradient of the inputs, which the first convolution does without."""
    first, others = forward_operations_of_the_small_resnet()
    images_of_a_chip = 128 / 4
    assert plans["supervised"]["flops"] == pytest.approx(images_of_a_chip * (2 * first + 3 * others), rel=0.02)


@needs_libtpu
def test_programs_keep_to_their_memory_and_collectives(plans):
    """The budgets are what the compiler needs today, and a tenth more in bytes."""
    budgets = {
        "supervised": (18.5e6, {"all-reduce": (26, 251e3)}),
        "contrastive": (29.2e6, {"all-reduce": (32, 547e3), "all-gather": (3, 75e3)}),
    }
    for name, (memory, collectives) in budgets.items():
        plan = plans[name]
        assert plan["fits"] and plan["peak_bytes"] <= memory, name
        assert plan["collectives"].keys() == collectives.keys(), name
        for kind, (number, size) in collectives.items():
            assert plan["collectives"][kind]["count"] == number, (name, kind)
            assert plan["collectives"][kind]["bytes"] <= size, (name, kind)


@needs_libtpu
def test_the_line_has_what_programs_read(plans):
    for plan in plans.values():
        assert (plan["topology"], plan["chips"], plan["hosts"], plan["chip_memory_bytes"]) == ("v5e-4", 4, 1, 2**34)
        assert plan["step_seconds"]["compute"] == plan["flops"] / 197e12
        assert plan["step_seconds"]["memory"] == plan["hbm_bytes"] / 819e9
        assert plan["versions"].keys() >= {"jax", "libtpu", "cliptail_jax"}


@needs_libtpu
def test_a_table_says_what_binds_and_what_it_costs():
    done = run("--config=configs/sup.py:data=glyphs_lt", "--on=v4-8", "--records=1280", "--classes=100", "--price=3")
    assert done.returncode == 0, done.stderr
    for text in ("| v4-8 | 4 × TPU v4, 1 host |", "of 34.4 GB: fits", "**bound**", "chip-hours", "$", "lower bounds"):
        assert text in done.stdout, text


@needs_libtpu
def test_running_out_of_memory_is_a_result():
    flags = ("--on=v5e-1", "--records=1280000", "--classes=100", "--config.batch_size=1280000", "--json")
    done = run("--config=configs/sup.py:data=cifar100_lt", *flags)
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert not plan["fits"] and plan["peak_bytes"] > plan["chip_memory_bytes"] and plan["step_seconds"] is None


@pytest.mark.parametrize(
    "flags, complaint",
    [
        (("--on=v5e-7", "--records=100", "--classes=10"), "error: unknown topology 'v5e-7'"),
        (("--on=v5e-4", "--records=100"), "error: --records and --classes go together"),
        (
            ("--on=v5e-4", "--records=1280", "--classes=10", "--config.accumulate_steps=2"),
            "accumulate_steps is 1 in a plan",
        ),
        (
            ("--on=v5e-4", "--config.data.data_dir=/nowhere"),
            "or give --records and --classes to plan without the data set",
        ),
    ],
)
def test_a_mistake_is_one_line(flags, complaint):
    done = run("--config=configs/sup.py:data=cifar100_lt", *flags)
    assert done.returncode == 2 and complaint in done.stderr and done.stderr.count("\n") == 1, done.stderr


@needs_libtpu
def test_a_batch_that_the_chips_do_not_divide_is_one_line():
    done = run("--config=configs/sup.py:data=cifar100_lt", "--on=v5e-256", "--records=1000", "--classes=10")
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "is not divisible by the 256 devices" in done.stderr


def test_a_prepared_data_set_says_how_many_records_there_are(glyphs_dir):
    config = sup.get_config("data=glyphs")
    config.data.data_dir = str(glyphs_dir)
    assert len(planned_variant(config.data, 0, 0)) == 800
    assert len(planned_variant(config.data, 7, 3)) == 7
    with pytest.raises(UserError, match="go together"):
        planned_variant(config.data, 0, 3)
