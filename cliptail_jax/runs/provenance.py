"""The origin of a run's numbers besides its config and data: software, hardware, commit and command."""

import ast
import functools
import importlib.metadata
import importlib.util
import os
import shlex
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from cliptail_jax.host.commands import with_underscores
from cliptail_jax.host.files import digest_of, digest_of_file

PACKAGES = ("cliptail_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")
# Flags that no word with a value follows.
BOOLEAN_FLAGS = ("--report", "--noreport", "--with_published", "--until_decided")
CLONE = Path(__file__).parents[2]


def provenance() -> dict[str, Any]:
    """The software, hardware, commit and command for config.json; an unknown commit or command is left out."""
    texts = {"commit": commit(CLONE), "command": command()}
    return {"software": software(), "hardware": hardware()} | {name: text for name, text in texts.items() if text}


def objective_digest(objective: str) -> str:
    """The digest of the files of a user's objective, 'FILE.py:CLASS' or 'MODULE:CLASS'; '' for the package's objectives.

    They are its file, and those of the same folder, the current folder or the same package that import statements in it name,
    directly or not, also statements in functions. A module whose name is computed is not among them.
    """
    origin = objective.rpartition(":")[0]
    path = origin if origin.endswith(".py") else origin and importlib.util.find_spec(origin).origin
    if not path:
        return ""
    package = "" if origin.endswith(".py") else origin.rpartition(".")[0]
    digests = [digest_of_file(file) for file in imported_files(Path(path).absolute(), package)]
    return digests[0] if len(digests) == 1 else digest_of([digest.encode() for digest in digests])


def imported_files(file: Path, package: str) -> list[Path]:
    """A Python file, and the files of the user's modules that it and these import, in the order of the code.

    Modules of other packages, such as JAX, are not the user's. Relative imports are those of a file in `package`.
    """
    folders = (file.parent, Path.cwd())
    library = Path(os.__file__).parent  # Python's own, which is below the current folder if that is /
    top = package.partition(".")[0]
    files, queue = [], [(file, package)]
    while queue:
        path, parent = queue.pop(0)
        if path in files:
            continue
        files.append(path)
        for name in imported_names(path.read_text(encoding="utf-8"), parent):
            module, first = file_of(name), name.partition(".")[0]
            if module is None or first == __name__.partition(".")[0]:
                continue
            is_near = any(folder in module.parents for folder in folders)
            is_installed = "site-packages" in module.parts or library in module.parents
            if first == top or is_near and not is_installed:
                queue.append((module, name if module.name == "__init__.py" else name.rpartition(".")[0]))
    return files


def file_of(name: str) -> Path | None:
    """The Python file of a module, whether or not it has been imported yet; None if it has none. No code is run."""
    if origin := getattr(sys.modules.get(name), "__file__", None):
        return Path(origin) if origin.endswith(".py") else None
    stem = name.replace(".", "/")
    candidates = (Path(folder, f"{stem}{end}").absolute() for folder in sys.path for end in ("/__init__.py", ".py"))
    return next((path for path in candidates if path.is_file()), None)


def imported_names(code: str, package: str) -> list[str]:
    """The full names of the packages and modules that code imports, and of what it imports from them, which may be modules, too."""
    names = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join(filter(None, [*parents, node.module]))
            names += [f"{module}.{alias.name}" for alias in node.names]
    return [".".join(name.split(".")[:parts]) for name in names for parts in range(1, name.count(".") + 2)]


def software() -> dict[str, str]:
    return {"python": sys.version.split()[0]} | {name: importlib.metadata.version(name) for name in PACKAGES}


def hardware() -> dict[str, Any]:
    """Kind and number of devices, the number of processes, and the number of cores that this process may use."""
    import jax  # here, since readers of results do not need it

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    device = jax.devices()[0].device_kind
    return {"device": device, "devices": jax.device_count(), "processes": jax.process_count(), "cores": cores}


@functools.cache
def commit(clone: Path) -> str:
    """The commit of a clone, with '-dirty' if files have changed; '' for a folder that is no clone, or without git."""
    return git(clone, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


@functools.cache
def history(clone: Path) -> frozenset[str]:
    """All commits up to that of a clone; empty for other folders, for a shallow clone, or without git."""
    shallow = git(clone, "rev-parse", "--is-shallow-repository") != "false"
    return frozenset() if shallow else frozenset(git(clone, "rev-list", "HEAD").split())


def git(clone: Path, *arguments: str) -> str:
    """The output of a git command on a clone; '' for other folders, or if git fails."""
    if not (clone / ".git").exists():  # a folder of installed packages may be inside the clone of another project
        return ""
    try:
        words = ["git", "-C", str(clone), *arguments]
        return subprocess.run(words, capture_output=True, text=True, timeout=30, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def command() -> str:
    """The command line of this program; '' for a program of another package, as in a notebook."""
    arguments = sys.orig_argv[1:]
    if Path(*arguments[:1]).name == "cliptail":
        return shlex.join(["cliptail", *arguments[1:]])
    start = arguments.index("-m") + 1 if "-m" in arguments else len(arguments)  # options of Python may be before it
    return shlex.join(["cliptail", *arguments[start + 1 :]]) if arguments[start : start + 1] == ["cliptail_jax"] else ""


def without_flags(line: str, names: Collection[str]) -> str:
    """A command line without the flags of these names, such as '--max_pairs' for both spellings, and without their values."""
    remaining_words, words = [], iter(shlex.split(line))
    for word in words:
        flag, equals, _ = word.partition("=")
        flag = with_underscores(f"--{flag.lstrip('-')}" if flag.startswith("-") else flag)  # one dash is accepted, too
        if flag not in names:
            remaining_words.append(word)
        elif not equals and flag not in BOOLEAN_FLAGS:
            next(words, None)  # its value
    return shlex.join(remaining_words)
