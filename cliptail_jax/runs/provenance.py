"""The origin of a run's numbers besides its config and data: software, hardware, commit and command."""

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
from cliptail_jax.host.files import digest_of_file

PACKAGES = ("cliptail_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")
# Flags that no word with a value follows.
BOOLEAN_FLAGS = ("--report", "--noreport", "--with_published", "--until_decided")
CLONE = Path(__file__).parents[2]


def provenance() -> dict[str, Any]:
    """The software, hardware, commit and command for config.json; an unknown commit or command is left out."""
    texts = {"commit": commit(CLONE), "command": command()}
    return {"software": software(), "hardware": hardware()} | {name: text for name, text in texts.items() if text}


def objective_digest(objective: str) -> str:
    """The digest of the file of a user's objective, 'FILE.py:CLASS' or 'MODULE:CLASS'; '' for the package's objectives."""
    origin = objective.rpartition(":")[0]
    path = origin if origin.endswith(".py") else origin and importlib.util.find_spec(origin).origin
    return digest_of_file(Path(path)) if path else ""


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
