"""Command lines of programs: their flags, their config, and their help."""

import argparse
import math
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from cliptail_jax.host.errors import UserError, check_not_empty, did_you_mean
from cliptail_jax.host.files import work_path
from cliptail_jax.host.outputs import check_writable_folder

HELP = {"-h", "--help"}
FLAG = re.compile(r"\A--?([a-zA-Z][\w-]+)")  # without the fields of a config, whose names may have hyphens

NUMBERS = {int: "a whole number", float: "a number"}


class Parser(argparse.ArgumentParser):
    """A parser that raises UserError for a wrong flag."""

    def __init__(self, **options: Any):
        form = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
        super().__init__(**form | options)

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:
        # Files may also follow flags, as in `measure a.csv --frequency=n.tsv b.csv`; argparse allows this without subparsers only.
        known_arguments = self.parse_known_args if self._subparsers else self.parse_known_intermixed_args
        options, unknown_arguments = known_arguments(args, namespace)
        if unknown_arguments:
            hint = did_you_mean(unknown_arguments[0].partition("=")[0], self._option_string_actions)
            self.error(f"unrecognized arguments: {' '.join(unknown_arguments)}{hint}")
        return options

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; {self.prog} --help lists the flags")


def parse(name: str, program: ModuleType, arguments: Sequence[str]) -> argparse.Namespace:
    """The values of a program's flags, with its config as `config`, or None without one.

    Raises UserError for a wrong argument. Exits after --help and --help_config.
    """
    parser = Parser(prog=f"cliptail {name}", description=program.__doc__)
    program.add_flags(parser)
    arguments = with_flag_names(arguments)
    check_not_empty(arguments)
    if getattr(program, "TAKES_OTHERS", False):
        place = arguments.index("--") if "--" in arguments else len(arguments)
        options, unknown_flags = parser.parse_known_args(arguments[:place])
        options.extra_arguments = [*unknown_flags, *arguments[place:]]
        return options
    if not hasattr(program, "CONFIGS"):
        return parser.parse_args(arguments)
    # These are slow to import for programs that take no config.
    from cliptail_jax.config.command_line import FIELD, quiet_libraries, read_config, with_fields, without_config

    quiet_libraries()
    parser.usage = f"{parser.prog} CONFIG [FLAGS] [--config.FIELD=VALUE ...]"
    parser.add_argument("--help_config", action="store_true", help="print every field of the config, and exit")
    config_name, fields, flags = without_config(arguments)
    if HELP & {*flags}:
        parser.epilog = help_on_configs(program.CONFIGS, config_name)
    options = parser.parse_args(flags)
    if hasattr(program, "set_environment"):
        program.set_environment(options)
    options.given_fields = {FIELD.match(field)[2] for field in fields}
    config = read_config(config_name) if config_name else default_config(program, options)
    options.config = with_fields(config, fields) if config else None
    options.config_name = Path(config_name.partition(":")[0]).stem
    if options.help_config:
        print(describe_config(program, options.config))
        sys.exit(0)
    lists = getattr(options, "list", False)
    if lists and (other_arguments := [argument for argument in [*flags, *fields] if argument != "--list"]):
        raise UserError(f"--list takes only a --config beside it: leave out {' '.join(other_arguments)}")
    if config is None and not lists:
        raise UserError(f"the config is missing, as in: {parser.prog} {program.CONFIGS[0]}; --help lists configs")
    return options


def default_config(program: ModuleType, options: argparse.Namespace) -> Any:
    """The config that a program finds itself, such as that of a run; None if it finds none."""
    return program.default_config(options) if hasattr(program, "default_config") else None


def describe_config(program: ModuleType, config: Any) -> str:
    """The text of --help_config: the fields of the program's config, or else those of a training config."""
    if hasattr(program, "describe_config"):
        return program.describe_config(config)
    from cliptail_jax.objectives import describe_config

    return describe_config(config)


def help_on_configs(names: Sequence[str], config_name: str) -> str:
    """The help on the configs of a program, and on the config that the command line names."""
    from cliptail_jax.config.command_line import describe_config_file
    from cliptail_jax.config.files import find_config

    lines = [f"Configs: {', '.join(names)}, or the path of a file, with arguments as CONFIG:NAME=VALUE,NAME=VALUE."]
    lines += ["--help with a config shows its arguments, and --help_config its fields."]
    if name := config_name.partition(":")[0]:
        lines += ["", f"{name}:", "", describe_config_file(find_config(name))]
    return "\n".join(lines)


def with_flag_names(arguments: Sequence[str]) -> list[str]:
    """The arguments, with flags as programs define them: --max_pairs=8 for --max-pairs=8 and -max_pairs=8.

    Arguments after `--` stay as they are.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    flags = [FLAG.sub(lambda flag: f"--{flag[1].replace('-', '_')}", argument) for argument in arguments[:end]]
    return [*flags, *arguments[end:]]


def add_workdir(parser: argparse.ArgumentParser) -> None:
    """Add --workdir for results, which --help_config does not need."""
    parser.add_argument("--workdir", help="directory of the results, also as gs://BUCKET/NAME")


def add_runner(parser: argparse.ArgumentParser) -> None:
    """Add the flags of a program whose parts a Dask cluster can compute."""
    parser.add_argument(
        "--runner", default="here", choices=("here", "dask"), help="compute on this machine, or on a Dask cluster"
    )
    parser.add_argument(
        "--scheduler", default="", help="address of the cluster, as tcp://host:8786; by default, one is started here"
    )


def check_runner(options: argparse.Namespace) -> None:
    """Raise UserError if a cluster's address is given without --runner=dask."""
    if options.scheduler and options.runner != "dask":
        raise UserError("--scheduler needs --runner=dask: add it")


def non_negative(kind: type, minimum: float = 0, maximum: float = math.inf) -> Callable[[str], Any]:
    """The type of a flag that is a number of this kind, from `minimum` to `maximum`."""

    def number(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not minimum <= value <= maximum:
            limits = f"at least {minimum:g}{f' and at most {maximum:,.0f}' if maximum < math.inf else ''}"
            raise argparse.ArgumentTypeError(f"{text!r} is not {NUMBERS[kind]} of {limits}")
        return value

    return number


def results_path(workdir: str | None) -> Path:
    """The path of --workdir. Raises UserError if it is missing, or if nothing can be written there."""
    if not workdir:
        raise UserError("--workdir is missing: name the directory of the results, as --workdir=runs/clip")
    path = work_path(workdir)
    check_writable_folder(path)
    return path
