"""Starts a program with a config: flags, config file, --help, and user errors as one line."""

import ast
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
from cliptail_jax.config.files import find_config, known_configs, load_config
from cliptail_jax.errors import UserError, exit_on_broken_pipe, exit_status, is_shared_memory_gone
from cliptail_jax.files import work_path
from cliptail_jax.interrupts import exit_despite_threads
from cliptail_jax.outputs import check_writable_folder

CONFIG = re.compile(r"^--?config[=\n](.*)$", re.MULTILINE)  # in arguments that are joined by line feeds


@exit_on_broken_pipe()
def run_with_config(
    main: Callable[[ConfigDict, epath.Path | None], None],
    describe: Callable[[ConfigDict | None], str],
    config_files: Sequence[str],
    workdir_required: bool = True,
) -> None:
    """Run `main(config, workdir)` from --config and --workdir. A UserError is printed as one line, with exit status 2.

    Args:
        describe: returns the text of --help_config, from the config or from None without --config.
        config_files: the config files that the program takes, for --help.
        workdir_required: whether --workdir must be given.
    """
    config_flag = config_flags.DEFINE_config_file(
        "config", None, "Config, as FILE or FILE:NAME=VALUE,NAME=VALUE; --config.FIELD=VALUE sets a field of it"
    )
    workdir_flag = flags.DEFINE_string("workdir", None, "Directory of the results, also as gs://BUCKET/NAME")
    help_flag = flags.DEFINE_bool("help_config", False, "Print every field of the config with its value, and exit")
    if {"-h", "--help"} & set(sys.argv):
        print(help_text(config_files, config_named(with_config_flag(sys.argv))))
        return

    def parse(argv: list[str]) -> list[str]:
        argv = with_config_flag(argv)
        known = config_values(argv)
        try:
            rest = flags.FLAGS(with_config_path(argv))
        except flags.Error as error:
            raise flag_error(str(error), known) from None
        if help_flag.value:
            print(describe(config_flag.value))
            sys.exit(0)
        if rest[1:]:
            raise UserError(f"unknown argument '{rest[1]}'")
        if config_flag.value is None:
            raise UserError(f"--config is missing: give a config, as --config={config_files[0]}")
        if workdir_required and not workdir_flag.value:
            raise UserError("--workdir is missing: name the directory of the results, as --workdir=runs/clip")
        return rest

    def start(argv: list[str]) -> None:
        logging.set_verbosity(logging.WARNING)  # users do not need the libraries' progress
        silence_copies()
        only_prints = "launch" in flags.FLAGS and flags.FLAGS.launch == "print"  # commands, for other machines
        workdir = None
        if workdir_flag.value and not only_prints:
            workdir = work_path(workdir_flag.value)
            check_writable_folder(workdir)
        main(config_flag.value, workdir)

    interrupted = "\ninterrupted; the same command continues from the last checkpoint"
    status = exit_status(lambda: app.run(start, flags_parser=parse), interrupted)
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


def help_text(config_files: Sequence[str], named: str) -> str:
    """The main module's docstring, the flags of `run_with_config` and of the main module, and the config files.

    The docstring of the config that is `named` on the command line follows.
    """
    by_module = flags.FLAGS.flags_by_module_dict()
    lines = [sys.modules["__main__"].__doc__.strip(), "", "Flags:"]
    for flag in [*by_module[__name__], *by_module.get(sys.argv[0], ())]:
        name = f"--[no]{flag.name}" if flag.boolean else f"--{flag.name}=..."
        lines.append(f"  {name:<18}  {flag.help}")
    lines += [
        "",
        f"Configs: {', '.join(config_files)}, or the path of a file. The first argument may be one, without --config.",
    ]
    lines += ["--help with a config shows its arguments, and --help_config its fields."]
    if named:
        name = named.partition(":")[0]
        lines += ["", f"{name}:", "", ast.get_docstring(ast.parse(find_config(name).read_text(encoding="utf-8"))) or ""]
    return "\n".join(lines)


def with_config_flag(argv: Sequence[str]) -> list[str]:
    """The arguments, with --config= before a first one that is not a flag."""
    program, *arguments = argv
    if arguments and not arguments[0].startswith("-"):
        arguments[0] = f"--config={arguments[0]}"
    return [program, *arguments]


def config_named(argv: Sequence[str]) -> str:
    """The value of --config; '' without it."""
    given = CONFIG.search("\n".join(argv))
    return given[1] if given else ""


def with_config_path(argv: Sequence[str]) -> list[str]:
    """The arguments, with the path of the config file in --config, as ml_collections requires."""
    named = config_named(argv)
    if not named:
        return list(argv)
    name, colon, arguments = named.partition(":")
    file, known = find_config(name), known_configs()
    if name in known and not file.samefile(known[name]):
        print(f"note: the config {name} is {file} in this folder, not the package's of this name", file=sys.stderr)
    path = f"{file}{colon}{arguments}"
    return CONFIG.sub(lambda flag: flag[0].removesuffix(named) + path, "\n".join(argv), count=1).split("\n")


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
    for key in re.findall(r"^--?(?:no)?config\.([^=\n]+)", "\n".join(argv), re.MULTILINE):
        if not any(f"{known}.".startswith(f"{key}.") for known in values):
            raise unknown_key(key, values)
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
