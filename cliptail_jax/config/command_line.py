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
from cliptail_jax.config.files import PACKAGE, configs_folder, find_config, known_configs, load_config
from cliptail_jax.host.commands import docstring
from cliptail_jax.host.errors import UserError, did_you_mean, is_shared_memory_gone
from cliptail_jax.host.printing import one_line

FIELD = re.compile(r"--(no)?config\.([^=]+)(=?)")
UNKNOWN_FIELD = re.compile(
    r"""Key "(\w+)" does not exist and cannot be added.*? Other fields present: (.*)""", re.DOTALL
)
MISSING_FIELD = re.compile(r"""'(\w+)'\s+Did you mean "(\w+)" instead.*""")
MAX_LISTED = 20  # fields of a section
FLAG = re.compile(r"--?[a-zA-Z]")
SHARED_ARGUMENTS = re.compile(r"arguments of (cliptail_jax/\S+\.py)")  # in the docstring of a config file


def without_config(arguments: Sequence[str]) -> tuple[str, list[str], list[str]]:
    """The config that a command line names, or '', its values of fields, and its other arguments.

    The config is the first argument or the value of --config; values of fields are such as '--config.seed=3'.

    Raises UserError if it names two configs.
    """
    names, fields, other_arguments = [], [], []
    queue = list(arguments)
    if queue and not queue[0].startswith("-"):
        names.append(queue.pop(0))
    while queue:
        argument = queue.pop(0)
        has_value = bool(queue) and not FLAG.match(queue[0])
        if argument == "--config" and queue:
            names.append(queue.pop(0))
        elif argument.startswith("--config="):
            names.append(argument.partition("=")[2])
        elif field := FIELD.match(argument):
            fields.append(f"{argument}={queue.pop(0)}" if has_value and not field[1] and not field[3] else argument)
        else:
            other_arguments.append(argument)
    if len(names) > 1:
        raise UserError(f"two configs are given, {names[0]} and {names[1]}: leave one out")
    return "".join(names), fields, other_arguments


def read_config(string: str) -> ConfigDict:
    """The config of 'NAME:ARGUMENTS' or 'FILE:ARGUMENTS'.

    Raises UserError if its file is missing or fails.
    """
    name = string.partition(":")[0]
    file, configs = find_config(name), known_configs()
    if name in configs and not file.samefile(configs[name]):
        note = f"note: the config {name} is {file} in this folder, not the package's of this name"
        print(one_line(note), file=sys.stderr)
    try:
        return load_config(string)
    except UserError:
        raise
    except (Exception, SystemExit) as cause:  # whatever a config file's own code raises
        raise UserError(f"config file '{string}'{failure(cause, file)}") from None


def with_fields(config: ConfigDict, fields: Sequence[str]) -> ConfigDict:
    """The config, locked, with the values of fields from a command line, such as '--config.seed=3'.

    Raises UserError for a field that it does not have, and for a value of another type.
    """
    values = dict(flatten(config))
    for field in fields:
        key = FIELD.match(field)[2]
        if not any(f"{name}.".startswith(f"{key}.") for name in values):
            raise unknown_key(key, values)
    flag_values, command = flags.FlagValues(), ["cliptail", *fields]
    config_flags.DEFINE_config_dict("config", config, flag_values=flag_values, sys_argv=command)
    try:
        flag_values(command)
    except flags.Error as error:
        raise flag_error(str(error), values) from None
    return flag_values.config


def describe_config_file(file: Path) -> str:
    """The docstring of a config file, and of the module that explains the arguments it shares with other files."""
    text = docstring(file)
    match = SHARED_ARGUMENTS.search(text)
    return f"{text}\n\n{match[1]}:\n\n{docstring(PACKAGE.parent / match[1])}" if match else text


def failure(cause: BaseException, file: Path) -> str:
    """Where and why a config file fails, without the list of all fields in ml_collections' message for an unknown one."""
    lines = [
        frame.lineno for frame in traceback.extract_tb(cause.__traceback__) if Path(frame.filename) == file.absolute()
    ]
    place = f", line {lines[-1]}," if lines else ""
    detail = cause.args[0] if cause.args else ""
    if isinstance(detail, KeyError):  # the cause of an AttributeError
        detail = detail.args[0]
    reason = str(detail) if isinstance(cause, KeyError | AttributeError) else str(cause)  # a KeyError quotes its text
    if missing_field := MISSING_FIELD.fullmatch(reason.strip()):
        return f"{place} reads an unknown field '{missing_field[1]}' (did you mean {missing_field[2]}?)"
    if unknown_field := UNKNOWN_FIELD.match(reason):
        hint = did_you_mean(unknown_field[1], names := re.findall(r"'(\w+)': ", unknown_field[2]))
        choice = f"; there are {', '.join(names)}" if len(names) <= MAX_LISTED else ""
        return f"{place} sets an unknown field '{unknown_field[1]}'{hint}{choice} (a loss of yours: {configs_folder() / 'study/own.md'})"
    if isinstance(cause, SystemExit):
        return f"{place} ends the program: leave out its call of sys.exit"
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
    logging.use_absl_handler()  # a process that absl did not start has another handler
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
