"""The type checker that jaxtyping's import hook applies to the package in the tests.

It checks the annotations that have shapes. The others are left out: objects of a test may take the place of configs, data
sets and models.
"""

import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jaxtyping
from beartype import BeartypeConf, beartype

_checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
_jaxtyped = jaxtyping.jaxtyped


def jaxtyped_if_shaped(**options) -> Callable:
    """jaxtyping's decorator, but functions whose annotations have no shapes stay as they are, and as fast."""
    decorate = _jaxtyped(**options)
    return lambda of: decorate(of) if isinstance(of, type) or shaped_hints(of) else of


jaxtyping.jaxtyped = jaxtyped_if_shaped  # the import hook applies it


def check(function: Callable) -> Callable:
    """The function with its arrays' types and shapes checked."""
    with_shapes = shaped_hints(function)
    if not with_shapes:
        return function
    function.__annotations__ = with_shapes
    return _checked(function)


def shaped_hints(function: Callable) -> dict[str, Any]:
    """The annotations of a function that have shapes."""
    return {name: hint for name, hint in getattr(function, "__annotations__", {}).items() if has_shape(hint)}


def modules_with_shapes() -> list[str]:
    """The names of the package's modules whose annotations have shapes."""
    root = Path(__file__).parents[1]
    paths = root.glob("cliptail_jax/**/*.py")
    shaped = [path for path in paths if "from jaxtyping import" in path.read_text(encoding="utf-8")]
    names = (".".join(path.relative_to(root).with_suffix("").parts) for path in shaped)
    return [name.removesuffix(".__init__") for name in names]


def has_shape(hint: Any) -> bool:
    """Whether an annotation is of an array with a shape, or contains one."""
    if isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(map(has_shape, typing.get_args(hint)))
