"""Functions take what they need, not whole configs: their signatures show their dependencies, and notebooks can call them.

Also: a type name has one meaning, and the tests check annotations.
"""

import ast
import collections
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
from beartype.roar import BeartypeCallHintParamViolation
from ml_collections import ConfigDict

from cliptail_jax.metrics.groups import group_means
from cliptail_jax.parallel.sharding import make_mesh

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cliptail_jax"


def untyped_annotations(tree: ast.AST) -> list[str]:
    """The annotations of arguments, results, attributes and variables that contain ConfigDict, with what they annotate."""
    nodes = list(ast.walk(tree))
    annotated = [node for node in nodes if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation]
    found = [ast.unparse(node) for node in annotated if "ConfigDict" in ast.unparse(node.annotation)]
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef) and node.returns]
    return found + [f"{node.name}()" for node in functions if "ConfigDict" in ast.unparse(node.returns)]


def test_few_functions_take_untyped_configs():
    """Programs turn their config into typed sections once; below them, functions take sections or values."""
    source = "def f(config: ConfigDict | None): ...\ndef g(data: Data) -> ConfigDict: ..."
    assert untyped_annotations(ast.parse(source)) == ["config: ConfigDict | None", "g()"]
    found = [
        f"{path.relative_to(PACKAGE)}: {annotation}"
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] not in ("config", "experiments", "configs")
        for annotation in untyped_annotations(ast.parse(path.read_text()))
    ]
    assert len(found) <= 15, sorted(found)


def test_a_type_name_has_one_meaning():
    """Classes, and aliases of types, have names of their own in the whole package."""
    defined = collections.defaultdict(list)
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(tree := ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                defined[node.name].append(path)
        targets = [node.targets[0].id for node in tree.body if is_alias(node)]
        for name in targets:
            defined[name].append(path)
    several = {name: [str(path.relative_to(ROOT)) for path in paths] for name, paths in defined.items() if paths[1:]}
    assert not several


def is_alias(node: ast.stmt) -> bool:
    """Whether a statement assigns to a name in CapWords, as aliases of types have."""
    if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
        return False
    name = node.targets[0].id
    return name[0].isupper() and not name.isupper()


def test_a_function_of_the_package_refuses_an_untyped_section():
    with pytest.raises(BeartypeCallHintParamViolation, match="axes"):
        make_mesh(ConfigDict({"data": 1, "fsdp": 1}))


def test_a_function_of_the_package_refuses_an_array_of_another_shape():
    with pytest.raises(jaxtyping.TypeCheckError, match="accuracy"):
        group_means(np.array([3, 2, 1]), np.array([0.5, 0.25]))
