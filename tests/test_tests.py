"""Tests share modules of helpers, whose full names show in the import graph which tests depend on them."""

import ast
from pathlib import Path

from scripts.changed_tests import imports_of

TESTS = Path(__file__).parent


def test_tests_import_from_no_test_and_helpers_by_their_full_names():
    imported = {path: set(imports_of(ast.parse(path.read_text("utf-8")))) for path in TESTS.rglob("*.py")}
    names = {path.stem for path in imported}
    found = [
        f"{path.relative_to(TESTS)} imports {name}"
        for path, modules in imported.items()
        for name in modules
        if ".test_" in f".{name}" or name.partition(".")[0] in names
    ]
    assert len(imported) > 100 and not found
