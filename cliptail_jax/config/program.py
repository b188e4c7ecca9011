"""How the main programs start: flags, config file, and user errors as one line."""

import ast
import importlib.util
import re
import sys
from collections.abc import Callable

from absl import app, flags, logging
from etils import epath
from ml_collections import ConfigDict, config_flags

from cliptail_jax.config.training import check_value, flatten, unknown_key
from cliptail_jax.errors import UserError
from cliptail_jax.files import work_path


def run_with_config(main: Callable[[ConfigDict, epath.Path | None], None], workdir_required: bool = True) -> None:
    """Run `main(config, workdir)` from --config and --workdir. A user's mistake ends in one line and exit status 2."""
    config_flag = config_flags.DEFINE_config_file("config", None, "Config file, as FILE or FILE:key=value,key=value")
    workdir_flag = flags.DEFINE_string("workdir", None, "Directory of the run, also as gs://BUCKET/NAME")

    def parse(argv: list[str]) -> list[str]:
        try:
            rest = flags.FLAGS(argv)
            if rest[1:]:
                raise UserError(f"unknown argument '{rest[1]}'")
            if config_flag.value is None:
                raise UserError("--config is missing: give a config file, as --config=configs/clip.py:data=glyphs_lt")
            if workdir_required and not workdir_flag.value:
                raise UserError("--workdir is missing: name the directory of the run, as --workdir=runs/clip")
            config_flag.value.items()  # a missing file is only noticed when the config is read
            return rest
        except UserError as error:
            stop(error)
        except (
            flags.Error,
            AttributeError,
            KeyError,
            TypeError,
            ValueError,
            OSError,
            SyntaxError,
            ImportError,
        ) as error:
            stop(explain(error, argv))

    def start(argv: list[str]) -> None:
        logging.set_verbosity(logging.WARNING)  # the libraries' own progress is not the user's
        try:
            main(config_flag.value, workdir_flag.value and work_path(workdir_flag.value))
        except UserError as error:
            stop(error)
        except KeyboardInterrupt:
            print("\ninterrupted; the same command goes on from the last checkpoint", file=sys.stderr)
            sys.exit(130)

    app.run(start, flags_parser=parse)


def stop(error: Exception) -> None:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)


def explain(error: Exception, argv: list[str]) -> UserError:
    """What a failure to read the config means for the user: which file, or which override, and why."""
    joined = re.search(r"(?:^|\s)--?config[=\s](\S+)", " ".join(argv))
    given = joined.group(1) if joined else ""
    path, _, arguments = given.partition(":")
    if not path:
        return UserError(f"{error}")
    try:
        config = read_config(path, arguments)
    except UserError as user_error:
        return user_error
    except FileNotFoundError:
        return UserError(f"config file '{path}' does not exist")
    except Exception as cause:  # whatever a config file's own code raises
        return UserError(f"config file '{given}' fails with {type(cause).__name__}: {cause}")
    known = dict(flatten(config))
    for argument in argv:
        key, _, value = argument.lstrip("-").removeprefix("no").partition("=")
        key = key.removeprefix("config.")
        if not re.match(r"--?(no)?config\.", argument):
            continue
        if key not in known:
            return unknown_key(key, known)
        if not isinstance(known[key], str):
            try:
                check_value(key, _literal(value), known[key])
            except UserError as user_error:
                return user_error
    return UserError(f"{error}")


def read_config(path: str, arguments: str) -> ConfigDict:
    spec = importlib.util.spec_from_file_location("config", path)
    if spec is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config(arguments) if arguments else module.get_config()


def _literal(text: str):
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return {"true": True, "false": False}.get(text.lower(), text)
