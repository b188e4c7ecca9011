"""The config of a command line: a name with arguments, and values of its fields."""

import re
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags, logging
from ml_collections import ConfigDict, config_flags

from cliptail_jax.config.fields import flatten, unknown_key
from cliptail_jax.config.files import PACKAGE, find_config, known_configs, load_config
from cliptail_jax.host.commands import docstring
from cliptail_jax.host.errors import UserError, is_shared_memory_gone
from cliptail_jax.host.printing import one_line

FIELD = re.compile(r"--(no)?config\.([^=]+)(=?)")
FLAG = re.compile(r"--?[a-zA-Z]")
SHARED_ARGUMENTS = re.compile(r"arguments of (cliptail_jax/\S+\.py)")  # in the docstring of a config file


def without_config(arguments: Sequence[str]) -> tuple[str, list[str], list[str]]:
    """The config that a command line names, or '', its values of fields, and its other arguments.

    The config is the first argument or the value of --config; values of fields are such as '--config.seed=3'.

    Raises UserError if it names two configs.
    """
    names, fields, others = [], [], []
    rest = list(arguments)
    if rest and not rest[0].startswith("-"):
        names.append(rest.pop(0))
    while rest:
        argument = rest.pop(0)
        has_value = bool(rest) and not FLAG.match(rest[0])
        if argument == "--config" and rest:
            names.append(rest.pop(0))
        elif argument.startswith("--config="):
            names.append(argument.partition("=")[2])
        elif field := FIELD.match(argument):
            fields.append(f"{argument}={rest.pop(0)}" if has_value and not field[1] and not field[3] else argument)
        else:
            others.append(argument)
    if len(names) > 1:
        raise UserError(f"two configs are given, {names[0]} and {names[1]}: leave one out")
    return "".join(names), fields, others


def read_config(named: str) -> ConfigDict:
    """The config of 'NAME:ARGUMENTS' or 'FILE:ARGUMENTS'.

    Raises UserError if its file is missing or fails.
    """
    name = named.partition(":")[0]
    file, known = find_config(name), known_configs()
    if name in known and not file.samefile(known[name]):
        note = f"note: the config {name} is {file} in this folder, not the package's of this name"
        print(one_line(note), file=sys.stderr)
    try:
        return load_config(named)
    except UserError:
        raise
    except Exception as cause:  # whatever a config file's own code raises
        raise UserError(f"config file '{named}'{failure(cause, file)}") from None


def with_fields(config: ConfigDict, fields: Sequence[str]) -> ConfigDict:
    """The config, locked, with the values of fields from a command line, such as '--config.seed=3'.

    Raises UserError for a field that it does not have, and for a value of another type.
    """
    values = dict(flatten(config))
    for field in fields:
        key = FIELD.match(field)[2]
        if not any(f"{known}.".startswith(f"{key}.") for known in values):
            raise unknown_key(key, values)
    parsed, command = flags.FlagValues(), ["cliptail", *fields]
    config_flags.DEFINE_config_dict("config", config, flag_values=parsed, sys_argv=command)
    try:
        parsed(command)
    except flags.Error as error:
        raise flag_error(str(error), values) from None
    return parsed.config


def describe_config_file(file: Path) -> str:
    """The docstring of a config file, and of the module that explains the arguments it shares with other files."""
    text = docstring(file)
    shared = SHARED_ARGUMENTS.search(text)
    return f"{text}\n\n{shared[1]}:\n\n{docstring(PACKAGE.parent / shared[1])}" if shared else text


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
    match = re.match(r"flag --config\.([^=]+)=(.*?): ", message)
    if not match or match.group(1) not in values:
        return UserError(message)
    key, value = match.groups()
    example = f", as in --config.{key}=\"('a', 'b')\"" if isinstance(values[key], tuple) else ""
    return UserError(f"config key '{key}' is {value!r}; it must be of type {type(values[key]).__name__}{example}")


def quiet_libraries() -> None:
    """Silence the progress of libraries, and their copies of errors, by `silence_copies`."""
    logging.set_verbosity(logging.WARNING)
    silence_copies()


def silence_copies() -> None:
    """Silence copies of an error, from Orbax's threads after a failed save and from Grain's arrays."""
    flags.FLAGS.mark_as_parsed()  # Grain's worker processes inherit absl's flags, and refuse unparsed ones
    logging.use_absl_handler()  # a process of its own would have another
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
