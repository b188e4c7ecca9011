"""Prints the files of tests that depend on what has changed since main, one a line; `scripts/test.sh --changed` runs them.

A module depends on what it imports, within functions too, as grimp's import graph has it. This adds to the graph:

- Tests depend on the fixtures that they name, and a fixture on what it imports.
- Tests and scripts depend on modules that their strings name: `cliptail_jax.jobs.train`, `configs/clip.py`, `clip:data=cifar10`.
- A module that imports others by name depends on all modules of its package.

A file that is not a module changes the modules whose strings have its name or ending or, if there are none, name its folder.
pyproject.toml, tests/conftest.py and files that no string names change all tests.
"""

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath
from unittest import mock

import grimp

ROOT = Path(__file__).parents[1]
PACKAGES = ("cliptail_jax", "configs", "scripts", "tests")
CHANGE_ALL = ("pyproject.toml", "tests/conftest.py")
IMPORTS_BY_NAME = re.compile(r"\b(import_module|pkgutil|runpy)\b")
LOADS_BY_NAME = re.compile(r"\b(import_module|load_config|find_config)\b")


def main() -> None:
    dependencies = Dependencies()
    tests = dependencies.tests_of(changed_files())
    total = len(dependencies.tests)
    print(f"{len(tests)} of {total} files of tests depend on what has changed since main", file=sys.stderr)
    print("\n".join(tests), end="")


def changed_files() -> list[str]:
    """The files that differ from the commit where this branch left main, committed or not."""

    def git(*command: str) -> list[str]:
        return subprocess.run(["git", *command], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.split()

    files = git("diff", "--name-only", "--no-renames", *git("merge-base", "HEAD", "main"))
    return files + git("ls-files", "--others", "--exclude-standard")


class Dependencies:
    """Which modules of the clone depend on which. A fixture is a module, such as `tests.conftest.sup_config`."""

    def __init__(self) -> None:
        with mock.patch("sys.path", [str(ROOT)]):  # of no other clone, which may be the one that is installed
            self._graph = grimp.build_graph(*PACKAGES, cache_dir=None)
        self._sources = {module: source_of(module) for module in self._graph.modules}
        self.tests = {module for module in self._sources if module.rpartition(".")[2].startswith("test_")}
        conftests = [module for module in self._sources if module.endswith(".conftest")]
        for fixture in [fixture for conftest in conftests for fixture in self._separate_fixtures(conftest)]:
            self._add_users(fixture)
        for module, source in self._sources.items():
            if not module.startswith("cliptail_jax"):
                self._add(module, self._named_modules(module))
            elif IMPORTS_BY_NAME.search(source):
                package = module if self._graph.find_children(module) else module.rpartition(".")[0]
                self._add(module, self._graph.find_descendants(package))

    def tests_of(self, files: Iterable[str]) -> list[str]:
        """The files of tests that depend on these files. Paths are relative to the clone."""
        modules = {module for path in files for module in self._modules_of(path)}
        dependents = modules.union(*map(self._graph.find_downstream_modules, modules))
        return sorted(f"{module.replace('.', '/')}.py" for module in dependents & self.tests)

    def _modules_of(self, path: str) -> set[str]:
        """The modules that are changed with a file."""
        if path in CHANGE_ALL:
            return self.tests
        file = PurePath(path)
        if file.suffix == ".py":
            module = ".".join(file.with_suffix("").parts).removesuffix(".__init__")
            changed_modules = {module} if module in self._sources else self._importers_of_missing(module)
            return changed_modules & self._sources.keys() | {test for test in self.tests if self._names(test, file)}
        readers = [m for m in self._sources if path.startswith("cliptail_jax/") or not m.startswith("cliptail_jax")]
        dependents = {module for module in readers if self._names(module, file)}
        folder = file.parent.name or path
        return dependents or {module for module in readers if folder in self._strings(module)} or self.tests

    def _importers_of_missing(self, module: str) -> set[str]:
        """The package of a module that has been deleted, and modules that still import it."""
        package, _, name = module.rpartition(".")
        imports = re.compile(rf"\b{module}\b|from {package} import (.*|\([^)]*)\b{name}\b")
        return {package} | {importer for importer, source in self._sources.items() if imports.search(source)}

    def _names(self, module: str, file: PurePath) -> bool:
        """Whether a string of a module is the ending of a file, or the end of its path with * for any name."""
        ending = file.suffix or file.name
        paths = [string.lstrip("/") for string in self._strings(module) if string.endswith(ending)]
        return any(path == ending or file.match(path) for path in paths)

    def _named_modules(self, module: str) -> Iterator[str]:
        """What may be modules that a module's strings name, and those that notebooks name if it reads notebooks."""
        strings = self._strings(module)
        if ".ipynb" in strings:
            strings = strings | {path.read_text(encoding="utf-8") for path in ROOT.glob("colab/*.ipynb")}
        loads_by_name = LOADS_BY_NAME.search(self._sources[module])
        short_name = re.compile(r"(\w+)" if loads_by_name else r"(?:--config=)?(\w+):")
        for string in strings:
            for name in re.findall(r"\w+(?:\.\w+)+", string.replace("/", ".")):
                yield from (f"cliptail_jax.{name}", f"{name}.__main__", name)
                while "." in name:
                    yield (name := name.rpartition(".")[0])  # of an attribute, or a path with .py
            if short := short_name.match(string):
                yield from (f"{folder}.{short[1]}" for folder in ("configs", "configs.study", "scripts.benchmark"))

    @functools.cache
    def _strings(self, module: str) -> set[str]:
        """The strings of a module but for its docstrings."""
        nodes = list(ast.walk(ast.parse(self._sources[module])))
        docstrings = {node.value for node in nodes if isinstance(node, ast.Expr)}
        constants = [node.value for node in nodes if isinstance(node, ast.Constant) and node not in docstrings]
        return {value for value in constants if isinstance(value, str)}

    def _separate_fixtures(self, conftest: str) -> list[str]:
        """Make the functions of a conftest.py modules that depend on what is outside of functions; their names.

        What it imports from other modules of tests may be fixtures, too.
        """
        tree = ast.parse(self._sources[conftest])
        fixtures = {f"{conftest}.{node.name}": node for node in tree.body if isinstance(node, ast.FunctionDef)}
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.module.startswith("tests."):
                fixtures |= {f"{conftest}.{alias.name}": node for alias in node.names}
        tree.body = [node for node in tree.body if node not in fixtures.values()]
        for module in self._graph.find_modules_directly_imported_by(conftest):
            self._graph.remove_import(importer=conftest, imported=module)
        for module, part in {conftest: tree, **fixtures}.items():
            self._sources[module] = ast.unparse(part)
            self._add(module, {conftest, *imports_of(part)})
        return list(fixtures)

    def _add_users(self, fixture: str) -> None:
        """Make the modules below a fixture's folder that name it depend on it, or all tests if it is for all."""
        folder, _, name = fixture.rpartition("conftest.")
        for_all = name.startswith("pytest_") or "autouse=True" in self._sources[fixture]
        for module, source in self._sources.items():
            if module.startswith(folder) and (for_all and module in self.tests or re.search(rf"\b{name}\b", source)):
                self._add(module, {fixture})

    def _add(self, module: str, imports: Iterable[str]) -> None:
        for other in {*imports} & self._sources.keys() - {module, *PACKAGES}:
            self._graph.add_import(importer=module, imported=other)


def source_of(module: str) -> str:
    """The text of a module; "" of a folder without __init__.py. A module may have the name of a folder beside it."""
    path = ROOT.joinpath(*module.split("."))
    file = path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"
    return file.read_text(encoding="utf-8") if file.exists() else ""


def imports_of(tree: ast.AST) -> Iterator[str]:
    """What may be modules that a part of a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


if __name__ == "__main__":
    main()
