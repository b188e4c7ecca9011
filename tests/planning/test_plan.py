"""Tiny runs of each objective, compiled by the TPU's own compiler and held to budgets."""

import concurrent.futures
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import pytest

from cliptail_jax.errors import UserError
from cliptail_jax.plan import planned_variant
from configs import sup

needs_libtpu = pytest.mark.skipif(not importlib.util.find_spec("libtpu"), reason="the TPU compiler is not installed")
CACHE = tempfile.TemporaryDirectory(prefix="plans-")
# The same small ViT where the loss is what matters, which compiles in a third of the ResNet's time.
VIT = ("--config.model.image.name=vit", "--config.model.image.heads=2")
ONE_LAYER = (*VIT, "--config.model.image.layers=(1,)", "--config.model.image.patch_size=8")
CONFIGS = {
    "supervised": ("configs/sup.py:data=cifar100_lt", "v5e-4", ()),
    "contrastive": ("configs/clip.py:data=cifar100_lt", "v5e-4", ONE_LAYER),
    "sigmoid": ("configs/clip.py:data=cifar100_lt,loss=sigmoid", "v5e-4", ONE_LAYER),
    "bag_of_words": ("configs/clip.py:data=cifar100_lt,loss=words", "v5e-4", ONE_LAYER),
    "dino": ("configs/dino.py:data=cifar100_lt", "v4-16", ()),
}
BATCH, WIDTH = 128, 96  # no other axis of these models' arrays has as many as the batch
FLAGS = ("--records=10847", "--classes=100", "--json", "--traffic", "--config.model.dtype=bfloat16")
FLAGS += (f"--config.batch_size={BATCH}", f"--config.model.image.output_dim={WIDTH}")


SUP, CLASSES = "--config=configs/sup.py:data=cifar100_lt", "--classes=10"
GLYPHS = ("--config=configs/sup.py:data=glyphs_lt", "--records=1280", "--classes=100", *ONE_LAYER)
MISTAKES = {
    ("--on=v5e-7", "--records=100", CLASSES): "error: unknown topology 'v5e-7'",
    ("--on=v5e-4", "--records=100"): "error: --records and --classes go together",
    ("--on=v5e-4", "--evaluation", "--search"): "error: --evaluation plans a step of evaluation",
    ("--on=v5e-4", "--records=1280", CLASSES, "--config.accumulate_steps=2"): "normalizes over the whole batch",
    ("--on=v5e-4", "--config.data.data_dir=/nowhere"): "or give --records and --classes to plan without the data set",
    ("--on=v5e-256", "--records=1000", CLASSES): "is not divisible by the 256 devices",
}
# Those whose outcome one test alone looks at.
PROGRAMS = {flags: (SUP, *flags) for flags in MISTAKES} | {
    "evaluation": (SUP, "--on=v5e-4", *FLAGS, "--evaluation"),
    "table": (*GLYPHS, "--on=v4-8", "--price=3"),
    "too large": (SUP, "--on=v5e-1", "--records=1280000", "--classes=100", "--config.batch_size=1280000", "--json"),
    "no compiler": (SUP, "--on=h100x8", "--records=1000", CLASSES),
}


def start(*arguments, program=("-m", "cliptail_jax.plan"), cache=CACHE.name):
    """The program, as a user runs it."""
    environment = os.environ | {"XLA_FLAGS": "", "JAX_DISABLE_MOST_OPTIMIZATIONS": "0", "XDG_CACHE_HOME": str(cache)}
    command = [sys.executable, *program, *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
    output, errors = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def run(*arguments, **options):
    return finish(start(*arguments, **options))


def plan_of(process):
    """The line of JSON that it prints."""
    return plan_in(finish(process))


def plan_in(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def plans():
    """A line of JSON for each of `CONFIGS`, on four chips of a host or eight of two."""
    started = {
        name: start(f"--config={config}", f"--on={topology}", *FLAGS, *more)
        for name, (config, topology, more) in CONFIGS.items()
    }
    return {name: plan_of(process) for name, process in started.items()}


@pytest.fixture(scope="module")
def programs():
    """The outcomes of `PROGRAMS` to come: two run at a time, while other tests do."""
    pool = concurrent.futures.ThreadPoolExecutor(2)
    yield {name: pool.submit(run, *arguments) for name, arguments in PROGRAMS.items()}
    pool.shutdown(cancel_futures=True)


def forward_operations_of_the_small_resnet():
    """Of an image of 32 pixels: 2 · pixels · kernel · inputs · outputs for each convolution, 2 · inputs · outputs for a matrix.

    Returns those of the first convolution, and of all others.
    """
    first = 2 * 32**2 * 9 * 3 * 16
    others = 0
    for inputs, outputs, side in ((16, 16, 16), (16, 32, 8), (32, 64, 4)):
        others += 2 * side**2 * outputs * (9 * inputs + 9 * outputs + inputs)  # both convolutions and the shortcut
    return first, others + 2 * 64 * WIDTH + 2 * WIDTH * 100  # projection and head


@needs_libtpu
def test_operations_are_those_of_the_formula(plans):
    """Forward, gradient of the weights, and gradient of the inputs, which the first convolution does without."""
    first, others = forward_operations_of_the_small_resnet()
    images_of_a_chip = BATCH / 4
    assert plans["supervised"]["flops"] == pytest.approx(images_of_a_chip * (2 * first + 3 * others), rel=0.02)


@needs_libtpu
def test_an_evaluation_step_is_a_forward_pass(programs):
    plan = plan_in(programs["evaluation"].result())
    assert plan["flops"] == pytest.approx(256 / 4 * sum(forward_operations_of_the_small_resnet()), rel=0.02)
    assert (plan["batch_size"], plan["optimizer_bytes"], plan["total_steps"]) == (256, 0, 0)
    # The counts of all chips are added: the confusion matrix, right answers among five, features that are not finite, and
    # four numbers for each class and bin of confidence.
    assert plan["collectives"] == {"all-reduce": {"count": 1, "bytes": 4 * (100 * 100 + 2 + 100 * 15 * 4)}}


@needs_libtpu
def test_programs_keep_to_their_memory_and_collectives(plans):
    """The budgets are what the compiler needs today, and a tenth more in bytes."""
    budgets = {
        # Batch norm: one a layer and direction.
        "supervised": (18.8e6, {"all-reduce": (16, 233e3)}),
        # Texts are gathered once, their gradients reduced and scattered.
        "contrastive": (16.6e6, {"all-reduce": (6, 291e3), "all-gather": (1, 54.1e3), "reduce-scatter": (1, 54.1e3)}),
        "sigmoid": (8.71e6, {"all-reduce": (4, 290e3), "all-gather": (1, 54.1e3), "reduce-scatter": (1, 54.1e3)}),
        "bag_of_words": (10.3e6, {"all-reduce": (3, 455e3)}),
        "dino": (35.4e6, {"all-reduce": (23, 587e3)}),
    }
    for name, (memory, collectives) in budgets.items():
        plan = plans[name]
        assert plan["fits"] and plan["peak_bytes"] <= memory, name
        assert plan["collectives"].keys() == collectives.keys(), name
        for kind, (number, size) in collectives.items():
            assert plan["collectives"][kind]["count"] == number, (name, kind)
            assert plan["collectives"][kind]["bytes"] <= size, (name, kind)


def has_two_axes_of_the_batch(array, rows):
    """Whether an array such as 'f32[32,128]' has an axis of the whole batch, and another of it or of a chip's `rows`."""
    axes = re.search(r"\[(.*)\]", array).group(1).split(",")
    return str(BATCH) in axes and sum(axis in (str(BATCH), str(rows)) for axis in axes) > 1


@needs_libtpu
def test_no_collective_moves_an_array_with_two_axes_of_the_batch(plans):
    """Such as the logits of all pairs: features are gathered, and sums of logits reduced."""
    for name, plan in plans.items():
        arrays, rows = [array for _, array in plan["exchanged"]], BATCH // plan["chips"]
        assert not [array for array in arrays if has_two_axes_of_the_batch(array, rows)], name
    for name in ("contrastive", "sigmoid"):
        assert ["all-gather", f"f32[{BATCH},{WIDTH}]"] in plans[name]["exchanged"]


@pytest.mark.parametrize("array, has", [("f32[128,96]", False), ("f32[32,128]", True), ("bf16[1,128,128]", True)])
def test_two_axes_of_the_batch_are_seen(array, has):
    assert has_two_axes_of_the_batch(array, rows=32) == has


@needs_libtpu
def test_a_second_plan_is_read_from_the_cache(plans, tmp_path):
    shutil.copytree(CACHE.name, tmp_path, dirs_exist_ok=True)
    for file in (tmp_path / "cliptail_jax" / "plans").iterdir():
        known = json.loads(file.read_text())
        file.write_text(json.dumps(known | {"peak": 12345}))
    again = plan_in(run(SUP, "--on=v5e-4", *FLAGS, cache=tmp_path))
    assert again == plans["supervised"] | {"peak_bytes": 12345}


@needs_libtpu
def test_recomputed_activations_and_accumulated_gradients_take_less_memory():
    flags = ("--config=configs/sup.py:data=cifar100_lt", "--on=v5e-1", "--records=10240", "--classes=10", "--json")
    flags += (*VIT, "--config.model.image.layers=(2,)", "--config.model.image.patch_size=4")
    flags += ("--config.batch_size=512", "--config.model.dtype=bfloat16")
    ways = ([], ["--config.model.remat=blocks"], ["--config.accumulate_steps=4"])
    plain, remat, parts = map(plan_of, [start(*flags, *more) for more in ways])
    assert remat["peak_bytes"] < 0.6 * plain["peak_bytes"]
    assert parts["peak_bytes"] < 0.4 * plain["peak_bytes"]
    # One more forward pass of the blocks, or of the whole tower.
    assert 1.1 * plain["flops"] < remat["flops"] < parts["flops"] < 1.4 * plain["flops"]


@needs_libtpu
def test_the_line_has_what_programs_read(plans):
    assert (plans["dino"]["topology"], plans["dino"]["chips"], plans["dino"]["hosts"]) == ("v4-16", 8, 2)
    for plan in (plans["supervised"], plans["contrastive"]):
        assert (plan["topology"], plan["chips"], plan["hosts"], plan["chip_memory_bytes"]) == ("v5e-4", 4, 1, 2**34)
        assert plan["step_seconds"]["compute"] == plan["flops"] / 197e12
        assert plan["step_seconds"]["memory"] == plan["hbm_bytes"] / 819e9
        assert plan["versions"].keys() >= {"jax", "libtpu", "cliptail_jax"}


@needs_libtpu
def test_a_table_says_what_binds_and_what_it_costs(programs):
    done = programs["table"].result()
    assert done.returncode == 0, done.stderr
    for text in ("| v4-8 | 4 × TPU v4, 1 host |", "of 34.4 GB: fits", "**bound**", "chip-hours", "$", "lower bounds"):
        assert text in done.stdout, text


@needs_libtpu
def test_running_out_of_memory_is_a_result(programs):
    plan = plan_in(programs["too large"].result())
    assert not plan["fits"] and plan["peak_bytes"] > plan["chip_memory_bytes"] and plan["step_seconds"] is None


@needs_libtpu
@pytest.mark.parametrize("flags", MISTAKES)
def test_a_mistake_is_one_line(flags, programs):
    done = programs[flags].result()
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert MISTAKES[flags] in done.stderr


@pytest.mark.skipif(bool(importlib.util.find_spec("jax_cuda12_plugin")), reason="the GPU compiler is installed")
def test_without_the_gpu_compiler_a_line_says_what_to_install(programs):
    done = programs["no compiler"].result()
    assert done.returncode == 2 and "pip install 'jax[cuda12]'" in done.stderr and done.stderr.count("\n") == 1


CRASH = """
import os, runpy, signal
from cliptail_jax.planning import program

compile = program._compile

def crash(lowered, name, options):
    if name.startswith("v6e"):
        os.kill(os.getpid(), signal.SIGSEGV)
    return compile(lowered, name, options)

program._compile = crash
runpy.run_module("cliptail_jax.plan", run_name="__main__", alter_sys=True)
"""


@needs_libtpu
def test_a_compiler_that_crashes_is_one_line_and_other_chips_are_planned():
    done = run(*GLYPHS, "--on=v6e-8,v4-8", "--json", program=("-c", CRASH))
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    version = importlib.metadata.version("libtpu")
    assert f"error: v6e-8: the compiler of libtpu {version} crashes on this program (SIGSEGV)" in done.stderr
    assert "a smaller batch_size or more chips, or install another version of libtpu" in done.stderr
    assert json.loads(done.stdout)["topology"] == "v4-8"


def test_a_prepared_data_set_says_how_many_records_there_are(glyphs_dir):
    config = sup.get_config("data=glyphs")
    config.data.data_dir = str(glyphs_dir)
    assert len(planned_variant(config.data, 0, 0)) == 800
    assert len(planned_variant(config.data, 7, 3)) == 7
    with pytest.raises(UserError, match="go together"):
        planned_variant(config.data, 0, 3)
