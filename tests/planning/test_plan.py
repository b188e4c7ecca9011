"""Tiny runs of each objective, compiled by the TPU's own compiler, whose needs are limited by budgets."""

import importlib.metadata
import importlib.util
import json
import re

import pytest

from cliptail_jax.host.errors import UserError
from cliptail_jax.planning.planner import planned_variant
from configs import sup
from tests.forked_programs import run_forked
from tests.pages import rows_by_name
from tests.synthetic import sections

pytestmark = pytest.mark.program

needs_libtpu = pytest.mark.skipif(not importlib.util.find_spec("libtpu"), reason="the TPU compiler is not installed")
SUP, CLASSES = "--config=configs/sup.py:data=cifar100_lt", "--classes=10"
# A ResNet of images of 16 pixels, which compiles in less than half of the time that 32 pixels take.
RESNET = (SUP, "--config.data.image_size=16", "--config.data.eval_resize=16")
# The same small ViT where the loss is what matters.
ONE_LAYER = ("--config.model.image.name=vit", "--config.model.image.heads=2", "--config.model.image.layers=(1,)")
ONE_LAYER += ("--config.model.image.patch_size=8",)
CONFIGS = {
    "supervised": (*RESNET, "--on=v5e-4"),
    # Of few tokens, as a plan has the embeddings of all that the config allows.
    "contrastive": (
        "--config=configs/clip.py:data=cifar100_lt",
        "--on=v5e-4",
        "--config.model.text.vocab_size=1024",
        *ONE_LAYER,
    ),
    "dino": ("--config=configs/dino.py:data=cifar100_lt", "--on=v4-16", *ONE_LAYER),
}
BATCH, WIDTH = 128, 96  # no other axis of these models' arrays has as many as the batch
CHANGES = ("--records=10847", "--classes=100", "--config.model.dtype=bfloat16")
CHANGES += (f"--config.batch_size={BATCH}", f"--config.model.image.output_dim={WIDTH}")
FLAGS = (*CHANGES, "--json", "--traffic")
MISTAKES = {
    (SUP, "--on=v5e-7", "--records=100", CLASSES): "error: unknown topology 'v5e-7'",
    (SUP, "--on="): "error: --on is empty: is a variable of the shell empty?",
    (
        SUP,
        "--records=5000000000000",
        CLASSES,
    ): "--records: '5000000000000' is not a whole number of at least 0 and at most 1,000,000,000,000",
    (SUP, "--on=v5e-4", "--evaluation", "--search"): "error: --evaluation plans a step of evaluation",
    (SUP, "--on=v5e-4", "--records=1280", CLASSES, "--config.accumulate_steps=2"): "normalizes over the whole batch",
    (
        SUP,
        "--on=v5e-4",
        "--config.data.data_dir=/nowhere",
    ): "or give --records and --classes to plan without the data set",
    (SUP, "--on=v5e-256", "--records=1000", CLASSES): "is not divisible by the 256 devices",
}
COMMANDS = {name: (*config, *FLAGS) for name, config in CONFIGS.items()} | {
    "evaluation": (*RESNET, "--on=v5e-4", *FLAGS, "--evaluation"),
    # These have the program of "supervised", which is in the cache, on v5e-4.
    "table": (*RESNET, "--on=v5e-4", *CHANGES, "--price=3"),
    "crash": (*RESNET, "--on=v6e-8,v5e-4", *FLAGS),
    "too large": (SUP, "--on=v5e-1", "--records=1280000", CLASSES, "--config.batch_size=1280000", "--json", *ONE_LAYER),
    "no compiler": (SUP, "--on=h100x8", "--records=1000", CLASSES),
}
# The compiler crashes on programs for v6e.
CRASH = """
import cliptail_jax.planning.planner
from cliptail_jax.planning import program

compile = program._compile

def crash(lowered, name, *options):
    import os, signal

    if name.startswith("v6e"):
        os.kill(os.getpid(), signal.SIGSEGV)
    return compile(lowered, name, *options)

program._compile = crash
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Those of `COMMANDS` by name, and of `MISTAKES` by their arguments, as a user runs the program but for the crash."""
    environment = {"XLA_FLAGS": ""}
    environment["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    commands = [["plan", *arguments] for arguments in [*COMMANDS.values(), *MISTAKES]]
    return dict(zip([*COMMANDS, *MISTAKES], run_forked("cliptail_jax", commands, environment, CRASH)))


def plan_in(result):
    """The line of JSON that the program prints."""
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def plans(outcomes):
    """A line of JSON for each of `CONFIGS`, on four chips of a host or eight of two."""
    return {name: plan_in(outcomes[name]) for name in CONFIGS}


def forward_operations_of_the_small_resnet():
    """Of an image of 16 pixels: 2 · pixels · kernel · inputs · outputs for each convolution, 2 · inputs · outputs for a matrix.

    Returns those of the first convolution, and of all others.
    """
    first = 2 * 16**2 * 9 * 3 * 16
    other_layers = 0
    for inputs, outputs, side in ((16, 16, 8), (16, 32, 4), (32, 64, 2)):
        other_layers += (
            2 * side**2 * outputs * (9 * inputs + 9 * outputs + inputs)
        )  # both convolutions and the shortcut
    return first, other_layers + 2 * 64 * WIDTH + 2 * WIDTH * 100  # projection and head


@needs_libtpu
def test_operations_are_those_of_the_formula(plans):
    """Forward, gradient of the weights, and gradient of the inputs, which the first convolution does without."""
    first, other_layers = forward_operations_of_the_small_resnet()
    images_of_a_chip = BATCH / 4
    assert plans["supervised"]["flops"] == pytest.approx(images_of_a_chip * (2 * first + 3 * other_layers), rel=0.02)


@needs_libtpu
def test_an_evaluation_step_is_a_forward_pass(outcomes):
    plan = plan_in(outcomes["evaluation"])
    assert plan["flops"] == pytest.approx(256 / 4 * sum(forward_operations_of_the_small_resnet()), rel=0.02)
    assert (plan["batch_size"], plan["optimizer_bytes"], plan["total_steps"]) == (256, 0, 0)
    # The counts of all chips are added: the confusion matrix, right answers among five, features that are not finite, and
    # four numbers for each class and bin of confidence.
    assert plan["collectives"] == {"all-reduce": {"count": 1, "bytes": 4 * (100 * 100 + 2 + 100 * 15 * 4)}}


@needs_libtpu
def test_programs_keep_to_their_memory_and_collectives(plans):
    """The budgets are what the compiler of libtpu 0.0.42 needs, and a tenth more in bytes."""
    budgets = {
        # Batch norm: one a layer and direction.
        "supervised": (15.6e6, {"all-reduce": (16, 233e3)}),
        # Texts are gathered once, their gradients reduced and scattered.
        "contrastive": (15.2e6, {"all-reduce": (6, 291e3), "all-gather": (1, 54.1e3), "reduce-scatter": (1, 54.1e3)}),
        "dino": (10.7e6, {"all-reduce": (10, 411e3)}),
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
    assert ["all-gather", f"f32[{BATCH},{WIDTH}]"] in plans["contrastive"]["exchanged"]


@needs_libtpu
def test_a_plans_json_has_chips_seconds_and_versions(plans):
    assert (plans["dino"]["topology"], plans["dino"]["chips"], plans["dino"]["hosts"]) == ("v4-16", 8, 2)
    for plan in (plans["supervised"], plans["contrastive"]):
        assert (plan["topology"], plan["chips"], plan["hosts"], plan["chip_memory_bytes"]) == ("v5e-4", 4, 1, 2**34)
        assert plan["step_seconds"]["compute"] == plan["flops"] / 197e12
        assert plan["step_seconds"]["memory"] == plan["hbm_bytes"] / 819e9
        assert plan["versions"].keys() >= {"jax", "libtpu", "cliptail_jax"}


@needs_libtpu
def test_a_table_shows_what_binds(outcomes):
    result = outcomes["table"]
    assert result.returncode == 0, result.stderr
    rows = rows_by_name(result.stdout, "v5e-4")
    assert rows["peak"]["4 × TPU v5e, 1 host"].endswith("of 17.2 GB: fits")
    assert {"bound", "note"} <= rows.keys() and "lower bounds" in result.stdout


@needs_libtpu
def test_running_out_of_memory_is_a_result(outcomes):
    plan = plan_in(outcomes["too large"])
    assert not plan["fits"] and plan["peak_bytes"] > plan["chip_memory_bytes"] and plan["step_seconds"] is None


@needs_libtpu
@pytest.mark.parametrize("arguments", MISTAKES)
def test_a_wrong_argument_of_plan_is_one_line(arguments, outcomes):
    result = outcomes[arguments]
    assert result.returncode == 2 and result.stderr.count("\n") == 1, result.stderr
    assert MISTAKES[arguments] in result.stderr


@pytest.mark.skipif(bool(importlib.util.find_spec("jax_cuda12_plugin")), reason="the GPU compiler is installed")
def test_without_the_gpu_compiler_a_line_names_what_to_install(outcomes):
    result = outcomes["no compiler"]
    assert result.returncode == 2 and result.stderr.count("\n") == 1
    assert "pip install 'jax[cuda12]', or both compilers with pip install 'cliptail_jax[plan]'" in result.stderr


@needs_libtpu
def test_a_compiler_that_crashes_is_one_line_and_other_chips_are_planned(outcomes):
    result = outcomes["crash"]
    started, _ = result.stderr.splitlines()
    assert result.returncode == 2 and started == "compiling for v6e-8 × 1, up to 1 minute on two cores", result.stderr
    version = importlib.metadata.version("libtpu")
    assert f"error: v6e-8: the compiler of libtpu {version} crashes on this program (SIGSEGV)" in result.stderr
    assert "a smaller batch_size or more chips, or install another version of libtpu" in result.stderr
    assert json.loads(result.stdout)["topology"] == "v5e-4"


def test_a_prepared_data_set_says_how_many_records_there_are(glyphs_dir):
    config = sup.get_config("data=glyphs")
    config.data.data_dir = str(glyphs_dir)
    assert len(planned_variant(sections(config).data, 0, 0)) == 800
    assert len(planned_variant(sections(config).data, 7, 3)) == 7
    with pytest.raises(UserError, match="go together"):
        planned_variant(sections(config).data, 0, 3)
