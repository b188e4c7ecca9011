"""Each benchmark's documented command at its smallest: it runs to its end and prints JSON, with numbers that can be true."""

import importlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cliptail_jax.datasets.glyphs.glyphs import Glyphs
from cliptail_jax.models import open_clip
from tests.tiny_runs import VIT

SCRIPTS = Path(__file__).parents[1] / "scripts"
TINY = [f"--config.model.image.{name}={value}" for name, value in VIT.items()]
TINY += ["--config.batch_size=8", "--classes=5", "--seconds=0.01"]
QUICK = ["--seconds=0.01", "--rounds=1"]
# A command as its page and docstring have it, with what makes it small; IMAGES is a folder of JPEGs, DATA that of glyphs.
COMMANDS = {
    "train_step": ["sup:data=glyphs_lt", *TINY],
    "input_pipeline --images": ["--images=IMAGES", "--enlarge=300x240", *QUICK],
    "input_pipeline --data": ["--data=glyphs", "--data_dir=DATA", *QUICK],
    "zero_shot": ["--models", "tiny", "--batch_size=8", "--records=8", "--prompts=8", "--seconds=0.01"],
    "multi_crop": ["--batch_size=2", "--seconds=0.01"],
    "neural_collapse --direct": ["--direct", "--classes=5", "--samples=50", "--dim=8", "--seconds=0"],
    "linear_probe": ["--samples=40", "--dim=2", "--classes=3"],
    "concepts": ["--captions=CAPTIONS", "--rows=100", "--seconds=0.0001"],
    "coverage": ["--studies=1"],
    "stopping": ["--studies=2"],
    "plan_all": ["--on=v5e-16"],
}
MAY_BE_ZERO = {"seconds", "speed_up", "bias", "standard_error_of_bias", "sd_of_seeds", "unequal"}
MAY_BE_ZERO |= {"coverage_percent", "worst_percent", "share_of_seeds", "false_percent", "false_percent_of_four"}
MAY_BE_ZERO |= {"falsely_equal_percent", "fewer_runs_percent"}


@pytest.fixture
def main_of(monkeypatch, tmp_path):
    """Gives a script's main function. Programs that it starts and files that it writes are none of this checkout."""
    monkeypatch.syspath_prepend(str(SCRIPTS / "benchmark"))
    vision = {"image_size": 32, "patch_size": 16, "width": 32, "head_width": 16, "layers": 1}
    text = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    tiny_clip = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}
    monkeypatch.setitem(open_clip._read_table("architectures.json"), "tiny", tiny_clip)
    monkeypatch.setattr(Glyphs, "IMAGES_PER_CLASS", {"train": 1, "test": 1})

    def get(name):
        script = importlib.import_module(name)
        if name == "concepts":  # WordNet takes seconds to be read
            monkeypatch.setattr(script, "nouns", lambda number: script.load_class_list("imagenet100"))
        if name == "plan_all":
            (tmp_path / "README.md").write_text(script.PAGE.read_text())
            monkeypatch.setattr(script, "PAGE", tmp_path / "README.md")
            # SL is planned; others may not be
            monkeypatch.setattr(script, "PROGRAMS", {"SL": script.PROGRAMS["SL"]})
        return script.main

    return get


@pytest.fixture(scope="module")
def places(glyphs_dir, tmp_path_factory):
    """What the words in capitals stand for."""
    folder = tmp_path_factory.mktemp("images")
    for number in range(8):
        pixels = np.random.default_rng(number).integers(0, 256, (240, 300, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.jpeg")
    (folder / "captions.txt").write_text("a tench\na photo of a goldfish\n")
    return {"IMAGES": str(folder), "CAPTIONS": str(folder / "captions.txt"), "DATA": str(glyphs_dir)}


def numbers(report, key=""):
    """Every number of a report, with its key."""
    if isinstance(report, dict):
        return [pair for name, value in report.items() for pair in numbers(value, name)]
    if isinstance(report, list):
        return [pair for value in report for pair in numbers(value, key)]
    return [(key, report)] if isinstance(report, int | float) else []


@pytest.mark.program
@pytest.mark.parametrize("command", COMMANDS)
def test_a_benchmark_prints_json_with_positive_numbers(command, main_of, places, capsys):
    arguments = [re.sub("|".join(places), lambda found: places[found[0]], word) for word in COMMANDS[command]]
    name = command.split()[0]
    assert not main_of(name)(arguments)
    if name == "plan_all":
        return
    reports = [json.loads(line, parse_constant=pytest.fail) for line in capsys.readouterr().out.splitlines()]
    assert reports
    for report in reports:
        assert report["benchmark"] == name
        assert not [(key, value) for key, value in numbers(report) if value <= 0 and key not in MAY_BE_ZERO]


def test_all_documented_commands_are_run():
    pages = [*SCRIPTS.glob("benchmark/*.py"), SCRIPTS / "benchmark/README.md", SCRIPTS / "README.md"]
    documented = set(re.findall(r"^ .*python scripts/benchmark/(\w+)\.py", "\n".join(map(Path.read_text, pages)), re.M))
    run = {command.split()[0] for command in COMMANDS}
    # bucket needs an emulator of Google Cloud Storage, published_sizes writes a table of the package
    assert documented == run | {"bucket", "published_sizes"}
