"""`cliptail open_clip`, up to where `cliptail train` takes over."""

import sys

import pytest
from cliptail_jax.open_clip.options import read_options
from cliptail_jax.open_clip.plan import plan_arguments
from PIL import Image

from cliptail_jax.config.files import load_config
from cliptail_jax.datasets.source import open_source
from cliptail_jax.host.errors import UserError
from cliptail_jax.objectives import typed_config
from cliptail_jax.open_clip import __main__ as program
from cliptail_jax.runs import console
from tests.datasets.raw_data import jpeg, write_shard


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
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
        monkeypatch.setattr(sys, "argv", ["cliptail open_clip"])
        status = program.main(["--gpus=2", "--data_dir=data", "--tokenizer=trained", *options, "--", *flags.split()])
        return status, "".join(capsys.readouterr())

    return call


SHARDS = "--train-data pairs/{00000..00001}.tar --model ViT-B-32 --batch-size 2 --name run"


def test_data_are_prepared_and_the_config_is_saved_for_training(call, tmp_path):
    status, printed = call(f"{SHARDS} --train-num-samples 8 --imagenet-val val/", "--config.seed=3")
    assert status == 0
    assert sys.argv[1:] == ["logs/run.py", "--workdir=./logs/run", "--config.seed=3"]
    assert (tmp_path / "logs/run.py").read_text() in printed and "batch_size=4: 2 x 2 devices" in printed
    config = load_config("logs/run.py")
    captions = open_source(config.data.name, "data", config.data.split).metadata["caption"].to_pylist()
    assert captions == [f"caption {i}" for i in range(4)] * 2
    name, split = config.eval.sets[0].split(":")
    assert open_source(name, "data", split).class_names == ("tench", "goldfish")
    assert call(f"{SHARDS} --train-num-samples 8 --imagenet-val val/")[0] == 0  # the same command continues the run
    parameters = (tmp_path / "logs/run/params.txt").read_text().splitlines()
    assert {"accum_freq: 1", "train_num_samples: 8", "config.batch_size: 4"} <= set(parameters)
    console.log_line("a line of the run")
    assert (tmp_path / "logs/run/out.log").read_text().splitlines()[-1].endswith(" | INFO | a line of the run")
    (tmp_path / "logs/run/config.json").write_text("{}")
    status, printed = call(f"{SHARDS} --lr 1e-3")
    assert status == 2 and "logs/run.py is there, of another command: remove it, or give another --name" in printed


def test_a_config_may_only_be_printed(call, tmp_path):
    status, printed = call(SHARDS, "--print_config")
    assert status == 0 and "config.data.name = 'image_text/pairs-00000-00001'" in printed
    assert not (tmp_path / "logs").exists() and not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "flags, options, complaint",
    [
        (f"{SHARDS} --train-num-samples 9", (), "is 9, and pairs/{00000..00001}.tar has 8 samples: give that number"),
        (SHARDS.replace("00001}", "00002}"), (), "pairs/{00000..00002}.tar: there is no pairs/00002.tar"),
        (SHARDS, ("--model=RN50",), "unknown option --model=RN50: open_clip's flags follow --"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_config(flags, options, complaint, call, tmp_path):
    status, printed = call(flags, *options)
    assert status == 2 and printed.endswith("\n") and complaint in printed.splitlines()[-1]
    assert not (tmp_path / "logs").exists()


def test_flags_stand_behind_two_hyphens(capsys):
    assert program.main(["--model", "RN50"]) == 2
    assert "write open_clip's flags behind --" in capsys.readouterr().err


@pytest.mark.parametrize("gpus", ["-2", "0", "1.5"])
def test_the_number_of_devices_is_checked_at_once(gpus, capsys):
    assert read_options(["--gpus=3"], "")[0].gpus == 3
    with pytest.raises(SystemExit):
        read_options([f"--gpus={gpus}"], "")
    complaint = f"--gpus: '{gpus}' is not a whole number above 0"
    assert complaint in capsys.readouterr().err.splitlines()[-1]
    with pytest.raises(UserError, match=complaint):
        plan_arguments([f"--gpus={gpus}", "--", "--model", "RN50", "--train-data", "x.tar"])


def test_a_command_is_planned_with_its_own_number_of_records():
    line = [*"--gpus=8 --on=v5e-8 --".split(), *"--model ViT-B-32 --train-data x.tar --batch-size 256 --name a".split()]
    path, *options = plan_arguments([*line, "--train-num-samples", "3000"])
    assert options == ["--on=v5e-8", "--records=3000", "--classes=1000"]
    assert typed_config(load_config(path)).batch_size == 8 * 256
    with pytest.raises(UserError, match="--gpus=N is missing"):
        plan_arguments(line[1:])
    with pytest.raises(UserError, match="flags behind --"):
        plan_arguments(["--gpus=8"])
