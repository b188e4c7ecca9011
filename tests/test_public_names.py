"""The functions that the package itself has, and the examples in their docstrings."""

import doctest
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import cliptail_jax

ROOT = Path(__file__).parents[1]


@pytest.fixture
def example_folder(trained_run, tmp_path, monkeypatch):
    """The working directory, in which runs/clip is a run."""
    shutil.copytree(trained_run("clip")[1], tmp_path / "runs/clip")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", cliptail_jax.__all__)
def test_the_example_of_a_public_function_gives_what_its_docstring_shows(example_folder, name):
    if name == "load_results":
        pytest.importorskip("pandas")
    (example,) = doctest.DocTestFinder(recurse=False).find(getattr(cliptail_jax, name), name, globs={})
    assert example.examples
    shown = []
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example, out=shown.append)
    assert not shown, "".join(shown)


def test_the_version_is_written_in_one_place_and_its_changes_are_listed():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    changes = (ROOT / "cliptail_jax/runs/README.md").read_text(encoding="utf-8").partition("## Changes by version")[2]
    assert f"**{version}**" in changes
    assert version not in (ROOT / "CITATION.cff").read_text(encoding="utf-8").replace("cff-version: 1.2.0", "")


def test_importing_the_package_imports_only_what_sets_up_the_compiler():
    listed = "import sys, cliptail_jax; print(*(name for name in sys.modules if name.startswith('cliptail_jax.')))"
    imported = subprocess.run([sys.executable, "-c", listed], capture_output=True, text=True, check=True).stdout.split()
    assert imported == ["cliptail_jax.host", "cliptail_jax.host.compiler"]
    assert set(cliptail_jax.__all__) <= set(dir(cliptail_jax))


def test_type_checkers_see_the_public_functions():
    stub = (ROOT / "cliptail_jax/__init__.pyi").read_text(encoding="utf-8")
    assert sorted(re.findall(r"import (\w+) as \1", stub)) == sorted(cliptail_jax.__all__)
