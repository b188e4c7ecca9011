"""Functions take what they need, not whole configs: their signatures show their dependencies, and notebooks can call them.

Also: the tests check annotations, and the page of guarantees names tests that exist.
"""

import ast
import re
from pathlib import Path

import jaxtyping
import numpy as np
import pytest

from cliptail_jax.metrics.groups import group_means

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cliptail_jax"


def whole_config_functions(tree: ast.AST) -> list[str]:
    """The names of functions with a parameter `config` or `study` that is annotated as a ConfigDict."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [
        function.name
        for function in functions
        for argument in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
        if argument.arg in ("config", "study")
        and argument.annotation is not None
        and "ConfigDict" in ast.unparse(argument.annotation)
    ]


def test_few_functions_take_a_whole_config():
    """The main programs and the objectives unpack the config."""
    assert whole_config_functions(ast.parse("def f(config: ConfigDict | None): ...\ndef g(data: ConfigDict): ...")) == [
        "f"
    ]
    found = [
        f"{path.relative_to(PACKAGE)}:{name}"
        for path in PACKAGE.rglob("*.py")
        for name in whole_config_functions(ast.parse(path.read_text()))
    ]
    assert len(found) <= 40, sorted(found)


def test_a_function_of_the_package_refuses_an_array_of_another_shape():
    with pytest.raises(jaxtyping.TypeCheckError, match="accuracy"):
        group_means(np.array([3, 2, 1]), np.array([0.5, 0.25]))


def test_every_guarantee_has_its_test():
    page = (ROOT / "cliptail_jax/runs/README.md").read_text().partition("## Limits")[0]
    named = set(re.findall(r"`(test_\w+)`", page))
    defined = {
        name
        for path in ROOT.glob("tests/**/test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M)
    }
    assert len(named) > 20 and named <= defined, sorted(named - defined)
    rows = [
        line for line in page.splitlines() if line.startswith("| ") and not line.startswith(("| guarantee", "| ---"))
    ]
    assert all("`test_" in row for row in rows)
