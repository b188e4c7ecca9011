"""The commands that train the runs of a study one by one."""

import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
from absl import flags
from ml_collections import config_flags

from cliptail_jax.config.fields import plain
from cliptail_jax.config.program import with_config_path
from cliptail_jax.errors import UserError
from cliptail_jax.study import __main__ as program
from cliptail_jax.study.launch import train_commands
from configs.study import paper, quickstart


def test_each_command_trains_its_run(monkeypatch, tmp_path, capsys):
    study = paper.get_config("family=vocabulary,small=glyphs_lt")
    study.data_dir, study.seed, study.dtype = "the data", 3, "bfloat16"
    monkeypatch.setattr(program, "flags", SimpleNamespace(FLAGS=SimpleNamespace(launch="print")))
    program.main(study, Path("runs/paper"))
    commands = capsys.readouterr().out.splitlines()
    assert commands == list(train_commands(study.runs, study.strings, Path("runs/paper")).values())
    assert len(commands) == len(study.runs)
    for line, (name, config) in zip(commands, study.runs.items()):
        arguments = shlex.split(line)
        assert arguments[:3] == ["python", "-m", "cliptail_jax.train"] and f"--workdir=runs/paper/{name}" in arguments
        values, arguments = flags.FlagValues(), with_config_path(arguments)
        config_flags.DEFINE_config_file("config", flag_values=values)
        flags.DEFINE_string("workdir", None, "", flag_values=values)
        monkeypatch.setattr("sys.argv", arguments[2:])  # where overrides are looked for
        values(arguments[2:])
        assert plain(values.config) == plain(config)


def test_a_study_without_config_strings_has_no_commands():
    with pytest.raises(UserError, match="no config strings of their own: train them here, without --launch"):
        train_commands(quickstart.get_config().runs, {}, Path("runs"))
