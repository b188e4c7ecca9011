"""Commands that train the runs of a study one by one, for example on several machines."""

import shlex

from etils import epath
from ml_collections import ConfigDict

from cliptail_jax.config.fields import flatten
from cliptail_jax.config.program import read_config
from cliptail_jax.errors import UserError


def train_commands(study: ConfigDict, workdir: epath.Path) -> dict[str, str]:
    """A shell command for each run, by its name, of a study with `strings`, the config strings of its runs.

    Fields that differ from those of a run's string are overrides.

    Raises:
        UserError: the study has no `strings`.
    """
    if "strings" not in study:
        raise UserError("the runs of this study have no config strings of their own: train them here, without --launch")
    commands = {}
    for name, config in study.runs.items():
        path, _, arguments = study.strings[name].partition(":")
        fields = dict(flatten(read_config(path, arguments)))
        overrides = [f"--config.{key}={value}" for key, value in flatten(config) if value != fields[key]]
        flags = [f"--config={study.strings[name]}", f"--workdir={workdir / name}", *overrides]
        commands[name] = shlex.join(["python", "-m", "cliptail_jax.train", *flags])
    return commands
