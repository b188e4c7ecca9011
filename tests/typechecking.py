"""The type checker that jaxtyping's import hook applies to the package in the tests.

It checks the annotations that have shapes, and those of config sections. The others are left out: objects of a test may take
the place of data sets and models.
"""

import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype

from cliptail_jax.config.fields import Section

_checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
_jaxtyped = jaxtyping.jaxtyped


def jaxtyped_if_shaped(**options) -> Callable:
    """jaxtyping's decorator, but functions whose annotations have no shapes are checked without it, or not at all."""
    decorate = _jaxtyped(**options)
    return lambda of: decorate(of) if isinstance(of, type) or hints(of, has_shape) else check(of)


jaxtyping.jaxtyped = jaxtyped_if_shaped  # the import hook applies it


def check(function: Callable) -> Callable:
    """The function with its arrays' types and shapes checked, and its config sections."""
    to_check = hints(function, has_shape) | hints(function, is_section)
    if not to_check:
        return function
    function.__annotations__ = to_check
    return _checked(function)


def hints(function: Callable, are_checked: Callable[[Any], bool]) -> dict[str, Any]:
    """The annotations of a function that are checked."""
    return {name: hint for name, hint in getattr(function, "__annotations__", {}).items() if are_checked(hint)}


def checked_modules() -> list[str]:
    """The names of the package's modules whose annotations have shapes or config sections."""
    root = Path(__file__).parents[1]
    texts = {path: path.read_text(encoding="utf-8") for path in root.glob("cliptail_jax/**/*.py")}
    imports = ("from jaxtyping import", "from cliptail_jax.config.", "configuration import")
    checked = [path for path, text in texts.items() if any(line in text for line in imports)]
    names = (".".join(path.relative_to(root).with_suffix("").parts) for path in checked)
    return [name.removesuffix(".__init__") for name in names]


def has_shape(hint: Any) -> bool:
    """Whether an annotation is of an array with a shape, or contains one."""
    if isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(map(has_shape, typing.get_args(hint)))


def is_section(hint: Any) -> bool:
    """Whether an annotation is a section of the config."""
    return isinstance(hint, type) and issubclass(hint, Section)
