"""Names of commands and flags, and the docstrings and constants of files that are not imported."""

import ast
import contextlib
import re
from pathlib import Path
from typing import Any

MODULE = re.compile(r"python -m cliptail_jax\.(?:\w+\.)*(\w+)(?: --config=configs/(?:study/)?(\w+)\.py)?")


def current_command(text: str) -> str:
    """The command `cliptail NAME CONFIG` for an earlier version's `python -m cliptail_jax.NAME --config=configs/CONFIG.py`."""
    return MODULE.sub(lambda command: " ".join(["cliptail", *filter(None, command.groups())]), text)


def with_underscores(flag: str) -> str:
    """The name of a flag as programs define it, '--max_pairs' for '--max-pairs'."""
    return re.sub("(?<!^)(?<!^-)-", "_", flag)


def docstring(file: Path) -> str:
    """The docstring of a Python file, which is not imported."""
    return ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""


def literals(file: Path) -> dict[str, Any]:
    """The constants of a Python file, which is not imported: the literals that are assigned to names."""
    constants = {}
    for statement in ast.parse(file.read_text(encoding="utf-8")).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                with contextlib.suppress(ValueError):
                    constants[name] = ast.literal_eval(value)
    return constants
