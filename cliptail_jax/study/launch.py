"""Commands that train the runs of a study one by one, for example on several machines."""

import shlex
from collections.abc import Mapping

from etils import epath
from ml_collections import ConfigDict

from cliptail_jax.config.fields import flatten
from cliptail_jax.config.files import load_config
from cliptail_jax.errors import UserError


def train_commands(runs: Mapping[str, ConfigDict], strings: Mapping[str, str], workdir: epath.Path) -> dict[str, str]:
    """A shell command for each run, by its name.

    Args:
        runs: the configs of the runs by name.
        strings: their config strings. Fields that differ from those of a run's string are overrides.
        workdir: the study's directory.

    Raises:
        UserError: there are no config strings.
    """
    if not strings:
        raise UserError("the runs of this study have no config strings of their own: train them here, without --launch")
    commands = {}
    for name, config in runs.items():
        fields = dict(flatten(load_config(strings[name])))
        overrides = [f"--config.{key}={value}" for key, value in flatten(config) if value != fields[key]]
        flags = [f"--config={strings[name]}", f"--workdir={workdir / name}", *overrides]
        commands[name] = shlex.join(["python", "-m", "cliptail_jax.train", *flags])
    return commands
