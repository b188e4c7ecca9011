"""`cliptail open_clip`, up to where `cliptail train` or `cliptail plan` takes over."""

import argparse
from pathlib import Path

import pytest
from PIL import Image

from cliptail_jax.config.files import load_config
from cliptail_jax.datasets.source import open_source
from cliptail_jax.objectives import typed_config
from cliptail_jax.programs import plan
from cliptail_jax.runs import console
from tests.commands import command
from tests.datasets.raw_data import jpeg, write_shard

open_clip = command("open_clip")


@pytest.fixture
def passed_options(monkeypatch):
    """The options that the program has passed on to training or planning, which do nothing."""
    passed_options = []
    monkeypatch.setattr(
        "cliptail_jax.open_clip.command.train_command",
        lambda config, workdir: passed_options.append(argparse.Namespace(config=config, workdir=workdir)),
    )
    monkeypatch.setattr("cliptail_jax.open_clip.command.plan_command", passed_options.append)
    monkeypatch.setattr(plan, "set_environment", lambda options: None)  # that of the tests stays
    return passed_options


@pytest.fixture
def call(tmp_path, monkeypatch, capsys, passed_options):
    """Calls the program in a folder with two shards and folders of two classes; returns its status and what it prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(console, "_copy", None)
    (tmp_path / "pairs").mkdir()
    for shard in range(2):
        rows = [{"key": f"{shard}{i}", "image": jpeg(i, (9, 9)), "caption": f"caption {i}"} for i in range(4)]
        write_shard(tmp_path / f"pairs/{shard:05}.tar", rows)
    for name in ("n01440764", "n01443537"):
        (tmp_path / "val" / name).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(tmp_path / "val" / name / "0.png")

    def call(flags, *options):
        status = open_clip(["--gpus=2", "--data_dir=data", "--tokenizer=trained", *options, "--", *flags.split()])
        return status, "".join(capsys.readouterr())

    return call


SHARDS = "--train-data pairs/{00000..00001}.tar --model ViT-B-32 --batch-size 2 --name run"


def test_data_are_prepared_and_the_config_is_saved_for_training(call, passed_options, tmp_path):
    status, output = call(f"{SHARDS} --train-num-samples 8 --imagenet-val val/", "--config.seed=3")
    assert status == 0 and "cliptail train logs/run.py --workdir=./logs/run --config.seed=3" in output
    assert passed_options[0].workdir == Path("logs/run") and passed_options[0].config.seed == 3
    assert (tmp_path / "logs/run.py").read_text() in output and "batch_size=4: 2 x 2 devices" in output
    config = load_config("logs/run.py")
    captions = open_source(config.data.name, "data", config.data.split).metadata["caption"].to_pylist()
    assert captions == [f"caption {i}" for i in range(4)] * 2
    name, split = config.eval.sets[0].split(":")
    assert open_source(name, "data", split).class_names == ("tench", "goldfish")
    assert call(f"{SHARDS} --train-num-samples 8 --imagenet-val val/")[0] == 0  # the same command continues the run
    assert len(passed_options) == 2 and typed_config(passed_options[1].config) == typed_config(config)
    parameters = (tmp_path / "logs/run/params.txt").read_text().splitlines()
    assert {"accum_freq: 1", "train_num_samples: 8", "config.batch_size: 4"} <= set(parameters)
    console.log_line("a line of the run")
    assert (tmp_path / "logs/run/out.log").read_text().splitlines()[-1].endswith(" | INFO | a line of the run")
    (tmp_path / "logs/run/config.json").write_text("{}")
    status, output = call(f"{SHARDS} --lr 1e-3")
    assert (
        status == 2
        and "logs/run.py exists, and is that of another command: remove it, or give another --name" in output
    )


def test_a_config_may_only_be_printed(call, passed_options, tmp_path):
    status, output = call(SHARDS, "--print_config")
    assert status == 0 and "config.data.name = 'image_text/pairs-00000-00001'" in output
    assert not passed_options and not (tmp_path / "logs").exists() and not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "flags, options, complaint",
    [
        (f"{SHARDS} --train-num-samples 9", (), "is 9, and pairs/{00000..00001}.tar has 8 samples: give that number"),
        (SHARDS.replace("00001}", "00002}"), (), "pairs/{00000..00002}.tar: there is no pairs/00002.tar"),
        (SHARDS, ("--model=RN50",), "unknown option --model=RN50: open_clip's flags follow --"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_config(flags, options, complaint, call, passed_options, tmp_path):
    status, output = call(flags, *options)
    assert status == 2 and output.endswith("\n") and complaint in output.splitlines()[-1]
    assert not passed_options and not (tmp_path / "logs").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--model", "RN50"], "write open_clip's flags behind --"),
        (["--plan", "--gpus=8"], "write open_clip's flags behind --"),
        (["--on=v5e-4", "--", "--model", "RN50", "--train-data", "x.tar"], "--on needs --plan: add it"),
        (["--plan", "--", "--model", "RN50", "--train-data", "x.tar"], "--gpus=N is missing"),
        *((["--gpus=" + number, "--"], f"--gpus: '{number}' is not a whole number above 0") for number in ("-2", "0", "1.5")),
    ],
)  # fmt: skip
def test_flags_that_are_missing_or_wrong_are_found_at_once(arguments, complaint, passed_options, capsys):
    assert open_clip(arguments) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ") and complaint in error and not passed_options


def test_a_command_is_planned_with_its_own_number_of_records(passed_options):
    line = "-m open_clip_train.main --model ViT-B-32 --train-data x.tar --batch-size 256 --name a --train-num-samples 3000".split()
    assert open_clip(["--plan", "--gpus=8", "--on=v5e-8", "--config.seed=3", "--", *line]) == 0
    assert open_clip(["--plan", "--records=70", "--classes=5", "--", "torchrun", "--nproc_per_node", "4", *line]) == 0
    by_line, by_launcher = passed_options
    assert (by_line.on, by_line.records, by_line.classes) == ("v5e-8", 3000, 1000)
    assert (by_launcher.records, by_launcher.classes) == (70, 5)
    assert (by_line.config.seed, by_line.config.batch_size, by_launcher.config.batch_size) == (3, 8 * 256, 4 * 256)
