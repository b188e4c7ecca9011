"""The start of a program with a config: its flags, config file and --help, and user errors as one line."""

import importlib.util
import re
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import app, flags, logging
from etils import epath
from ml_collections import ConfigDict, config_flags

from cliptail_jax.config.fields import flatten, unknown_key
from cliptail_jax.errors import UserError, exit_on_broken_pipe, is_shared_memory_gone, problem
from cliptail_jax.files import work_path
from cliptail_jax.interrupts import exit_despite_threads, raise_on_ctrl_c
from cliptail_jax.outputs import check_writable_folder


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
        "config", None, "Config file, as FILE or FILE:NAME=VALUE,NAME=VALUE; --config.FIELD=VALUE sets a field of it"
    )
    workdir_flag = flags.DEFINE_string("workdir", None, "Directory of the results, also as gs://BUCKET/NAME")
    help_flag = flags.DEFINE_bool("help_config", False, "Print every field of the config with its value, and exit")
    if {"-h", "--help"} & set(sys.argv):
        print(help_text(config_files))
        return

    def parse(argv: list[str]) -> list[str]:
        known = config_values(argv)
        try:
            rest = flags.FLAGS(argv)
        except flags.Error as error:
            raise flag_error(str(error), known) from None
        if help_flag.value:
            print(describe(config_flag.value))
            sys.exit(0)
        if rest[1:]:
            raise UserError(f"unknown argument '{rest[1]}'")
        if config_flag.value is None:
            raise UserError(f"--config is missing: give a config file, as --config={config_files[0]}")
        if workdir_required and not workdir_flag.value:
            raise UserError("--workdir is missing: name the directory of the results, as --workdir=runs/clip")
        return rest

    def start(argv: list[str]) -> None:
        logging.set_verbosity(logging.WARNING)  # users do not need the libraries' progress
        silence_copies()
        workdir = workdir_flag.value and work_path(workdir_flag.value)
        only_prints = "launch" in flags.FLAGS and flags.FLAGS.launch == "print"  # commands, for other machines
        if workdir and not only_prints:
            check_writable_folder(workdir)
        main(config_flag.value, workdir)

    raise_on_ctrl_c()
    try:
        app.run(start, flags_parser=parse)
    except UserError as error:
        stop(error)
    except KeyboardInterrupt:
        print("\ninterrupted; the same command continues from the last checkpoint", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if not (line := problem(error)):
            raise
        stop(line)


def silence_copies() -> None:
    """Silence the copies of an error: those of Orbax's threads and tasks when a save fails, and of Grain's arrays at their end."""
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


def stop(error: Exception | str) -> None:
    print(f"error: {error}", file=sys.stderr)
    exit_despite_threads(2)


def help_text(config_files: Sequence[str]) -> str:
    """The main module's docstring, the flags of `run_with_config` and of the main module, and the config files."""
    by_module = flags.FLAGS.flags_by_module_dict()
    lines = [sys.modules["__main__"].__doc__.strip(), "", "Flags:"]
    for flag in [*by_module[__name__], *by_module.get(sys.argv[0], ())]:
        name = f"--[no]{flag.name}" if flag.boolean else f"--{flag.name}=..."
        lines.append(f"  {name:<18}  {flag.help}")
    lines += ["", f"Config files, from the root of the repository: {', '.join(config_files)}."]
    lines += ["The docstring of each explains its arguments; --help_config lists the fields of its config."]
    return "\n".join(lines)


def config_values(argv: Sequence[str]) -> dict[str, Any]:
    """The values of the config file that --config names, by dotted key; {} without --config.

    ml_collections reads the file again, but reports errors in many lines, so they are caught here first.

    Raises:
        UserError: The file cannot be read, or an argument sets a field that its config does not have.
    """
    given = re.search(r"^--?config[=\n](.*)$", "\n".join(argv), re.MULTILINE)
    if not given:
        return {}
    path, _, arguments = given.group(1).partition(":")
    try:
        values = dict(flatten(read_config(path, arguments)))
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"config file '{path}' does not exist") from None
    except Exception as cause:  # whatever a config file's own code raises
        raise UserError(f"config file '{given.group(1)}' fails with {type(cause).__name__}: {cause}") from None
    for key in re.findall(r"^--?(?:no)?config\.([^=\n]+)", "\n".join(argv), re.MULTILINE):
        if not any(f"{known}.".startswith(f"{key}.") for known in values):
            raise unknown_key(key, values)
    return values


def flag_error(message: str, values: Mapping[str, Any]) -> UserError:
    """The error for a message of absl's. For a value of a wrong type, the message is that of `fields.check`."""
    found = re.match(r"flag --config\.([^=]+)=(.*?): ", message)
    if not found or found.group(1) not in values:
        return UserError(message)
    key, value = found.groups()
    return UserError(f"config key '{key}' is {value!r}; its type is {type(values[key]).__name__}")


def read_config(path: str, arguments: str) -> ConfigDict:
    """The config of a config file. Raises whatever the file's code raises, and FileNotFoundError if there is no file."""
    spec = importlib.util.spec_from_file_location("config", path)
    if spec is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config(arguments) if arguments else module.get_config()
