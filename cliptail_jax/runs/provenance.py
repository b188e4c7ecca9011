"""What a run's numbers come from besides its config and data: software, hardware, the package's commit, the command."""

import functools
import importlib.metadata
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax

PACKAGES = ("cliptail_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")
CLONE = Path(__file__).parents[2]


def provenance() -> dict[str, Any]:
    """The parts of config.json that say where a run was trained, and with what; without those that are not known."""
    known = {"commit": commit(CLONE), "command": command()}
    return {"software": software(), "hardware": hardware()} | {name: text for name, text in known.items() if text}


def software() -> dict[str, str]:
    return {"python": sys.version.split()[0]} | {name: importlib.metadata.version(name) for name in PACKAGES}


def hardware() -> dict[str, Any]:
    """Kind and number of devices, the number of processes, and of cores that this one may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    device = jax.devices()[0].device_kind
    return {"device": device, "devices": jax.device_count(), "processes": jax.process_count(), "cores": cores}


@functools.cache
def commit(clone: Path) -> str:
    """The commit of a clone, followed by '-dirty' if files of it are changed; '' if it is no clone, or there is no git."""
    if not (clone / ".git").exists():  # a folder of installed packages may lie in the clone of something else
        return ""
    describe = ["git", "-C", str(clone), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(describe, capture_output=True, text=True, timeout=30, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def command() -> str:
    """The command that this program was started with; '' if it is none of the package, as in a notebook."""
    arguments = sys.orig_argv
    if "-m" not in arguments[:-1]:
        return ""
    start = arguments.index("-m")
    return shlex.join(["python", *arguments[start:]]) if arguments[start + 1].startswith("cliptail_jax.") else ""
