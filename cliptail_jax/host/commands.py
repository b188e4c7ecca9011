"""What help says: the commands as users start them, `cliptail NAME` or `python -m cliptail_jax.NAME`, and docstrings."""

import argparse
import ast
import contextlib
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

from cliptail_jax.printing import one_line

MODULE = re.compile(r"python -m cliptail_jax\.(?:\w+\.)*(\w+)(?: --config=configs/(?:study/)?(\w+)\.py)?")


def is_installed_command() -> bool:
    """Whether this program was started as `cliptail NAME`, not as `python -m cliptail_jax.NAME`."""
    return [Path(argument).name for argument in sys.orig_argv[1:2]] == ["cliptail"]


def as_started(text: str) -> str:
    """A text whose commands, written as `python -m cliptail_jax.NAME`, are those of the user: `cliptail NAME`, if typed so."""
    if not is_installed_command():
        return text
    return MODULE.sub(lambda command: " ".join(["cliptail", *filter(None, command.groups())]), text)


class ProgramParser(argparse.ArgumentParser):
    """A parser whose errors are printable."""

    def error(self, message: str) -> NoReturn:
        super().error(one_line(message))


def program_parser(module: str, description: str, **options: Any) -> argparse.ArgumentParser:
    """The parser of a program of the package, with its docstring as it stands. `options` are further ones of argparse."""
    return ProgramParser(
        prog=as_started(f"python -m cliptail_jax.{module}"),
        description=as_started(description),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        **options,
    )


def with_underscores(flag: str) -> str:
    """The name of a flag as absl has it, '--max_pairs' for '--max-pairs'."""
    return re.sub("(?<!^)(?<!^-)-", "_", flag)


def docstring(file: Path) -> str:
    """The docstring of a Python file, which is not imported."""
    return ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""


def literals(file: Path) -> dict[str, Any]:
    """The constants of a Python file, which is not imported: those that are assigned to a name as a literal."""
    found = {}
    for statement in ast.parse(file.read_text(encoding="utf-8")).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                with contextlib.suppress(ValueError):
                    found[name] = ast.literal_eval(value)
    return found
