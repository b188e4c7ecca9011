"""Functions take what they need, not whole configs: their signatures show their dependencies, and notebooks can call them."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "cliptail_jax"


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
