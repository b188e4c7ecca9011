"""The commands that train the runs of a study one by one."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from absl import flags
from ml_collections import config_flags

from cliptail_jax.config.fields import plain
from cliptail_jax.errors import UserError
from cliptail_jax.study.launch import commands_here, train_commands
from configs.study import paper, quickstart

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("family", ["dino", "vocabulary,small=glyphs_lt"])
def test_each_command_trains_its_run(family, monkeypatch):
    monkeypatch.chdir(ROOT)
    study = paper.get_config(f"family={family}")
    study.data_dir, study.seed, study.dtype = "the data", 3, "bfloat16"
    commands = list(train_commands(study.runs, study.strings, Path("runs/paper")).values())
    assert len(commands) == len(study.runs)
    for line, (name, config) in zip(commands, study.runs.items()):
        arguments = shlex.split(line)
        assert arguments[:3] == ["python", "-m", "cliptail_jax.train"] and f"--workdir=runs/paper/{name}" in arguments
        values = flags.FlagValues()
        config_flags.DEFINE_config_file("config", flag_values=values)
        flags.DEFINE_string("workdir", None, "", flag_values=values)
        monkeypatch.setattr("sys.argv", arguments[2:])  # where overrides are looked for
        values(arguments[2:])
        assert plain(values.config) == plain(config)


def run_program(config, workdir, *options):
    program = [sys.executable, "-m", "cliptail_jax.study", f"--config=configs/study/{config}", f"--workdir={workdir}"]
    return subprocess.run([*program, *options], cwd=ROOT, capture_output=True, text=True)


def test_commands_are_printed_instead_of_training(tmp_path):
    options = ["--launch=print", "--config.frequency=mine.tsv"]
    lines = run_program("paper.py:family=distribution", tmp_path, *options).stdout.splitlines()
    assert len(lines) == 7 and sum("--config.data.match.frequency=mine.tsv" in line for line in lines) == 4
    assert not list(tmp_path.iterdir())


def test_a_config_file_that_fails_is_one_line(tmp_path):
    result = run_program("paper.py:family=colour", tmp_path)
    assert result.returncode == 2
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: ") and "unknown family 'colour'; there are captions" in line


def test_a_study_without_config_strings_has_no_commands():
    with pytest.raises(UserError, match="no config strings of their own: train them here, without --launch"):
        train_commands(quickstart.get_config().runs, {}, Path("runs"))


def test_the_report_has_the_commands_of_single_runs_where_their_config_files_are(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    study, workdir = paper.get_config("family=vocabulary,small=glyphs_lt"), Path("runs/paper")
    commands = commands_here(study.runs, study.strings, workdir)
    assert commands == train_commands(study.runs, study.strings, workdir)
    assert commands_here(quickstart.get_config().runs, {}, workdir) == {}
    monkeypatch.chdir(tmp_path)
    assert commands_here(study.runs, study.strings, workdir) == {}
