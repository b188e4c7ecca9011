"""The command that trains each run of a study, for whatever starts them elsewhere: one machine or job a run."""

import shlex

from etils import epath
from ml_collections import ConfigDict

from cliptail_jax.config.fields import flatten
from cliptail_jax.config.program import read_config
from cliptail_jax.errors import UserError


def train_commands(study: ConfigDict, workdir: epath.Path) -> list[str]:
    """A line for a shell for each run: its config string, where the study looks for it, and the fields that differ.

    `study.strings` has the config string of each run. Raises UserError for a study without.
    """
    if "strings" not in study:
        raise UserError("the runs of this study have no config strings of their own: train them here, without --launch")
    return [command(study.strings[name], config, workdir / name) for name, config in study.runs.items()]


def command(string: str, config: ConfigDict, workdir: epath.Path) -> str:
    """The command that trains `config`: its config string, and what of it the string does not say."""
    path, _, arguments = string.partition(":")
    fields = dict(flatten(read_config(path, arguments)))
    overrides = [f"--config.{key}={value}" for key, value in flatten(config) if value != fields[key]]
    return shlex.join(["python", "-m", "cliptail_jax.train", f"--config={string}", f"--workdir={workdir}", *overrides])
