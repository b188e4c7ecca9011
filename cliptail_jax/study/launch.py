"""Commands that train the runs of a study one by one, for example on several machines."""

import shlex

from etils import epath
from ml_collections import ConfigDict

from cliptail_jax.config.fields import flatten
from cliptail_jax.config.program import read_config
from cliptail_jax.errors import UserError


def train_commands(study: ConfigDict, workdir: epath.Path) -> list[str]:
    """A shell command for each run of a study with `strings`, the config strings of its runs.

    Raises:
        UserError: the study has no `strings`.
    """
    if "strings" not in study:
        raise UserError("the runs of this study have no config strings of their own: train them here, without --launch")
    return [train_command(study.strings[name], config, workdir / name) for name, config in study.runs.items()]


def train_command(string: str, config: ConfigDict, workdir: epath.Path) -> str:
    """The command that trains `config`: its config string, and overrides for the fields that differ from the string's."""
    path, _, arguments = string.partition(":")
    fields = dict(flatten(read_config(path, arguments)))
    overrides = [f"--config.{key}={value}" for key, value in flatten(config) if value != fields[key]]
    return shlex.join(["python", "-m", "cliptail_jax.train", f"--config={string}", f"--workdir={workdir}", *overrides])
