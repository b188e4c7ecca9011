"""Starts a program with a config: flags, config file, --help, and user errors as one line."""

import re
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import app, flags, logging
from etils import epath
from ml_collections import ConfigDict, config_flags

from cliptail_jax.config.fields import flatten, unknown_key
from cliptail_jax.config.files import PACKAGE, find_config, known_configs, load_config
from cliptail_jax.host.commands import as_started, docstring, with_underscores
from cliptail_jax.host.errors import UserError, check_not_empty, command_line, exit_status, is_shared_memory_gone
from cliptail_jax.host.files import work_path
from cliptail_jax.host.interrupts import exit_despite_threads
from cliptail_jax.host.outputs import check_writable_folder
from cliptail_jax.printing import checked_output, one_line

CONFIG = re.compile(r"--?config=")
SHARED_ARGUMENTS = re.compile(r"arguments of (cliptail_jax/\S+\.py)")  # in the docstring of a config file


def define_config(*names: str) -> None:
    """Define --config, with the names of the configs that a program takes, and --workdir. If help is asked for, print it and exit.

    The main module calls it after the definition of its own flags, and before its slow imports, which the help does not
    need. `run_with_config` follows them.
    """
    config_flags.DEFINE_config_file(
        "config", None, "Config, as FILE or FILE:NAME=VALUE,NAME=VALUE; --config.FIELD=VALUE sets a field of it"
    )
    flags.DEFINE_string("workdir", None, "Directory of the results, also as gs://BUCKET/NAME")
    flags.DEFINE_bool("help_config", False, "Print every field of the config with its value, and exit")
    if {"-h", "--help"} & set(sys.argv):
        sys.exit(print_help([*names]))


@checked_output()
def run_with_config(
    main: Callable[[ConfigDict, epath.Path | None], None],
    describe: Callable[[ConfigDict | None], str],
    workdir_required: bool = True,
) -> None:
    """Run `main(config, workdir)` from --config and --workdir. A UserError is printed as one line, with exit status 2.

    Args:
        describe: returns the text of --help_config, from the config or from None without --config.
        workdir_required: whether --workdir must be given.
    """

    def parse(argv: list[str]) -> list[str]:
        check_not_empty(argv[1:])
        argv = with_config_flag(with_flag_names(argv))
        known = config_values(argv)
        try:
            rest = flags.FLAGS(with_config_path(argv))
        except flags.Error as error:
            raise flag_error(str(error), known) from None
        if flags.FLAGS.help_config:
            print(describe(flags.FLAGS.config))
            sys.exit(0)
        if rest[1:]:
            raise UserError(f"unknown argument '{rest[1]}'")
        if flags.FLAGS.config is None:
            raise UserError("--config is missing: give a config; --help lists them")
        if workdir_required and not flags.FLAGS.workdir:
            raise UserError("--workdir is missing: name the directory of the results, as --workdir=runs/clip")
        return rest

    def start(argv: list[str]) -> None:
        logging.set_verbosity(logging.WARNING)  # users do not need the libraries' progress
        silence_copies()
        only_prints = "launch" in flags.FLAGS and flags.FLAGS.launch == "print"  # commands, for other machines
        workdir = None
        if flags.FLAGS.workdir and not only_prints:
            workdir = work_path(flags.FLAGS.workdir)
            check_writable_folder(workdir)
        main(flags.FLAGS.config, workdir)

    status = exit_status(lambda: app.run(start, flags_parser=parse), interrupted="\ninterrupted")
    if status == 2:
        exit_despite_threads(status)
    sys.exit(status)


def define_runner() -> None:
    """Define the flags of a program whose parts a Dask cluster can compute."""
    flags.DEFINE_enum("runner", "here", ["here", "dask"], "Compute on this machine, or on a Dask cluster")
    flags.DEFINE_string("scheduler", "", "Address of the cluster, as tcp://host:8786; by default, one is started here")
    flags.register_multi_flags_validator(
        ["runner", "scheduler"],
        lambda given: given["runner"] == "dask" or not given["scheduler"],
        "--scheduler needs --runner=dask: add it",
    )


def silence_copies() -> None:
    """Silence copies of an error, from Orbax's threads after a failed save and from Grain's arrays."""
    logging.use_absl_handler()  # as `app.run` does; a process of its own would have another
    logging.get_absl_handler().addFilter(lambda record: not {"orbax", "asyncio"} & set(Path(record.pathname).parts))
    report, report_thread = sys.unraisablehook, threading.excepthook

    def unraisablehook(args: Any) -> None:
        # TensorStore's threads report results to event loops that the first failure has closed.
        if str(args.exc_value) != "Event loop is closed" and not is_shared_memory_gone(args.exc_value):
            report(args)

    def excepthook(args: threading.ExceptHookArgs) -> None:
        if not type(args.thread).__module__.startswith("orbax"):
            report_thread(args)

    sys.unraisablehook, threading.excepthook = unraisablehook, excepthook


@command_line
def print_help(configs: list[str]) -> None:
    """Print the main module's docstring, its flags, the configs, and the docstring of the config on the command line."""
    named = config_named(with_config_flag(sys.argv)).partition(":")[0]
    described = f"\n\n{named}:\n\n{describe_config_file(find_config(named))}" if named else ""
    by_module = flags.FLAGS.flags_by_module_dict()
    lines = [sys.modules["__main__"].__doc__.strip(), "", "Flags:"]
    for flag in [*by_module[__name__], *by_module.get(sys.argv[0], ())]:
        name = f"--[no]{flag.name}" if flag.boolean else f"--{flag.name}=..."
        lines.append(f"  {name:<18}  {flag.help}")
    lines += [
        "",
        f"Configs: {', '.join(configs)}, or the path of a file. The first argument may be one, without --config.",
    ]
    lines += ["--help with a config shows its arguments, and --help_config its fields."]
    print(as_started("\n".join(lines) + described))


def describe_config_file(file: Path) -> str:
    """The docstring of a config file, and of the module that explains the arguments it shares with other files."""
    text = docstring(file)
    shared = SHARED_ARGUMENTS.search(text)
    return f"{text}\n\n{shared[1]}:\n\n{docstring(PACKAGE.parent / shared[1])}" if shared else text


def with_flag_names(argv: Sequence[str]) -> list[str]:
    """The arguments, with --max_pairs=8 for --max-pairs=8, as other programs write flags."""
    parts = [argument.partition("=") for argument in argv]
    return [
        with_underscores(name) + equals + value if with_underscores(name).lstrip("-") in flags.FLAGS else argument
        for argument, (name, equals, value) in zip(argv, parts)
    ]


def with_config_flag(argv: Sequence[str]) -> list[str]:
    """The arguments, with --config=NAME for a first one that is not a flag, and for --config NAME."""
    program, *arguments = argv
    if arguments and not arguments[0].startswith("-"):
        arguments[0] = f"--config={arguments[0]}"
    for flag in {"-config", "--config"} & {*arguments[:-1]}:
        place = arguments.index(flag)
        arguments[place : place + 2] = [f"{flag}={arguments[place + 1]}"]
    return [program, *arguments]


def config_named(argv: Sequence[str]) -> str:
    """The value of --config=; '' without it. Raises UserError if it is given twice."""
    named, *others = [argument.partition("=")[2] for argument in argv if CONFIG.match(argument)] or [""]
    if others:
        raise UserError(f"two configs are given, {named} and {others[0]}: leave one out")
    return named


def with_config_path(argv: Sequence[str]) -> list[str]:
    """The arguments, with the path of the config file in --config=, as ml_collections requires."""
    named = config_named(argv)
    if not named:
        return list(argv)
    name, colon, arguments = named.partition(":")
    file, known = find_config(name), known_configs()
    if name in known and not file.samefile(known[name]):
        note = f"note: the config {name} is {file} in this folder, not the package's of this name"
        print(one_line(note), file=sys.stderr)
    return [f"--config={file}{colon}{arguments}" if CONFIG.match(argument) else argument for argument in argv]


def config_values(argv: Sequence[str]) -> dict[str, Any]:
    """The values of the config that --config names, by dotted key; {} without --config.

    ml_collections reads the file again, but reports errors in many lines, so they are caught here first.

    Raises:
        UserError: The file cannot be read, or an argument sets a field that its config does not have.
    """
    named = config_named(argv)
    if not named:
        return {}
    try:
        values = dict(flatten(load_config(named)))
    except UserError:
        raise
    except Exception as cause:  # whatever a config file's own code raises
        raise UserError(f"config file '{named}'{failure(cause, find_config(named.partition(':')[0]))}") from None
    for given in filter(None, (re.match(r"--?(?:no)?config\.([^=]+)", argument) for argument in argv)):
        if not any(f"{known}.".startswith(f"{given[1]}.") for known in values):
            raise unknown_key(given[1], values)
    return values


def failure(cause: Exception, file: Path) -> str:
    """Where and why a config file fails. ml_collections puts all fields of the config into the message for an unknown one."""
    lines = [
        frame.lineno for frame in traceback.extract_tb(cause.__traceback__) if Path(frame.filename) == file.absolute()
    ]
    place = f", line {lines[-1]}," if lines else ""
    unknown = cause.args[0] if cause.args else ""
    reason = str(unknown.args[0]) if isinstance(unknown, KeyError) else str(cause)
    reason = re.sub(r" Other fields present: .*?(?=\nDid you mean|\Z)", "", reason, flags=re.DOTALL)
    return f"{place} fails with {type(cause).__name__}: {' '.join(reason.split())}"


def flag_error(message: str, values: Mapping[str, Any]) -> UserError:
    """The error for a message of absl. For a value of the wrong type, the message is that of `fields.check`."""
    found = re.match(r"flag --config\.([^=]+)=(.*?): ", message)
    if not found or found.group(1) not in values:
        return UserError(message)
    key, value = found.groups()
    example = f", as in --config.{key}=\"('a', 'b')\"" if isinstance(values[key], tuple) else ""
    return UserError(f"config key '{key}' is {value!r}; it must be of type {type(values[key]).__name__}{example}")
