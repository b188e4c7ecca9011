"""Which tests `scripts/test.sh --changed` selects, in a small clone."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "changed_tests.py"
FILES = {
    "pyproject.toml": "",
    "README.md": "",
    "cliptail_jax/__init__.py": "",
    "cliptail_jax/low.py": "TABLE = 'table.tsv'",
    "cliptail_jax/high.py": "def imports_low():\n    from cliptail_jax import low",
    "cliptail_jax/program.py": "import cliptail_jax.high",
    "cliptail_jax/kinds/__init__.py": "import pkgutil",
    "cliptail_jax/kinds/one.py": "",
    "cliptail_jax/table.tsv": "",
    "configs/small.py": "from cliptail_jax import kinds",
    "scripts/start.sh": "",
    "tests/conftest.py": "import pytest\nfrom tests.shared import shared\n"
    "@pytest.fixture\ndef high():\n    from cliptail_jax import high\n    return high",
    "tests/shared.py": "from cliptail_jax import low",
    "tests/helper.py": "from cliptail_jax import low",
    "tests/test_direct.py": "import cliptail_jax.low",
    "tests/test_helped.py": "from tests import helper",
    "tests/test_fixture.py": "def test(high): pass",
    "tests/test_imported.py": "def test(shared): pass",
    "tests/test_command.py": "COMMAND = ['python', '-m', 'cliptail_jax.program', '--config=small:x']",
    "tests/test_late.py": "from cliptail_jax.kinds import (\n    deleted,\n    one,\n)",
    "tests/test_scripts.py": "FOLDER = 'scripts'",
    "tests/test_pages.py": "NAME = 'README.md'",
}
SELECTED = {
    "cliptail_jax/low.py": "command direct fixture helped imported",
    "cliptail_jax/table.tsv": "command direct fixture helped imported",
    "cliptail_jax/high.py": "command fixture",
    "cliptail_jax/program.py": "command",
    "cliptail_jax/kinds/one.py": "command late",
    "configs/small.py": "command",
    "cliptail_jax/kinds/deleted.py": "command late",
    "tests/helper.py": "helped",
    "tests/shared.py": "imported",
    "tests/test_direct.py": "direct",
    "scripts/start.sh": "scripts",
    "README.md": "pages",
    "LICENSE": "command direct fixture helped imported late pages scripts",
    "pyproject.toml": "command direct fixture helped imported late pages scripts",
    "tests/conftest.py": "command direct fixture helped imported late pages scripts",
}


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone of a small project; a function that runs a program there."""
    folder = tmp_path_factory.mktemp("clone")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    shutil.copy(SCRIPT, folder / "scripts")

    def run(*command):
        environment = {**os.environ, "PYTHONPATH": "scripts", "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)

    run("git", "init", "--quiet", "--initial-branch=main")
    run("git", "add", ".")
    run("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message=first")
    return folder, run


def test_a_changed_file_selects_the_tests_that_depend_on_it(clone):
    ask = "import changed_tests, json, sys; of = changed_tests.Dependencies().tests_of; "
    ask += "print(json.dumps({path: of([path]) for path in sys.argv[1:]}))"
    found = json.loads(clone[1](sys.executable, "-c", ask, *SELECTED).stdout)
    assert found == {path: [f"tests/test_{name}.py" for name in names.split()] for path, names in SELECTED.items()}


def test_changed_files_are_those_that_differ_from_main_committed_or_not(clone):
    folder, run = clone
    program = [sys.executable, "scripts/changed_tests.py"]
    unchanged = run(*program)
    assert unchanged.stdout == ""
    assert unchanged.stderr == "0 of 8 files of tests depend on what has changed since main\n"
    run("git", "checkout", "--quiet", "-b", "work")
    (folder / "tests/helper.py").write_text("", encoding="utf-8")
    run("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--all", "--message=second")
    (folder / "README.md").write_text("changed", encoding="utf-8")
    (folder / "tests/test_new.py").write_text("", encoding="utf-8")
    assert run(*program).stdout.split() == [f"tests/test_{name}.py" for name in ("helped", "new", "pages")]
