"""Each benchmark at its smallest: it runs to its end and prints one line of JSON, with numbers that can be true."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_train_processes import with_devices

ROOT = Path(__file__).parents[1]
TINY = ["--config.batch_size=8", "--config.model.image.width=4", "--classes=5", "--seconds=0.2"]
ARGUMENTS = {
    "train_step": ["--config=configs/sup.py:data=glyphs_lt", *TINY],
    "frozen_text": ["--config=configs/clip.py:data=glyphs_lt", "--config.model.text.context_length=4", *TINY],
    "input_pipeline": ["--data=glyphs", "--seconds=0.5", "--rounds=1"],
    "zero_shot": ["--small"],
    "multi_crop": ["--seconds=0.3"],
    "neural_collapse": ["--classes=5", "--samples=500"],
}
MAY_BE_ZERO = {"vocabulary", "workers"}


@pytest.fixture(scope="module")
def started(glyphs_dir):
    """The benchmarks, started together: one of them takes long whatever its size."""
    arguments = ARGUMENTS | {"input_pipeline": [*ARGUMENTS["input_pipeline"], f"--data_dir={glyphs_dir}"]}
    one_device = {**os.environ, "XLA_FLAGS": with_devices(1), "PYTHONPATH": str(ROOT)}
    running = {
        name: subprocess.Popen(
            [sys.executable, f"scripts/benchmark/{name}.py", *given],
            cwd=ROOT, env=one_device, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for name, given in arguments.items()
    }  # fmt: skip
    yield running
    for process in running.values():
        process.kill()
        process.wait()


def numbers(report, key=""):
    """Every number of a report, with its key."""
    if isinstance(report, dict):
        return [pair for name, value in report.items() for pair in numbers(value, name)]
    return [(key, report)] if isinstance(report, int | float) else []


def report_of(process):
    output, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    (line,) = output.splitlines()
    return json.loads(line, parse_constant=pytest.fail)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_benchmark_prints_one_line_of_json_with_positive_numbers(name, started):
    report = report_of(started[name])
    assert report["benchmark"] == name
    found = numbers(report)
    assert len(found) >= 4
    assert not [(key, value) for key, value in found if value <= 0 and key not in MAY_BE_ZERO]
    if name == "neural_collapse":
        assert report["max_relative_difference"] < 1e-6
