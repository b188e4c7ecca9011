"""Checks that a restructuring changes no number: per-step losses and evaluations of tiny runs, bit for bit.

    python scripts/check_same_numbers.py record numbers.json     # before the change
    python scripts/check_same_numbers.py compare numbers.json    # after it, on the same machine

Each of seven kinds of run takes ten steps on one device and on four virtual ones: SL with a sampled vocabulary, CLIP,
CLIP with accumulated gradients, DINO, SL with a frozen head, CLIP with a ViT, and CLIP with that run's text tower,
exported and frozen. Runs are started by the command line, so that only commands and config fields must stay the same.

`compare` prints the largest relative difference of each run and exits with status 1 where one exceeds `--tolerance`.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
DEVICES = (1, 4)
SHARED = (
    "--config.total_steps=10",
    "--config.batch_size=32",
    "--config.log_every_steps=1",
    "--config.data.fraction=0.2",
    "--config.eval.batch_size=400",
)
EVALUATED = ("--config.eval.neural_collapse",)
RUNS = {
    "sl_sampled": ("sup", "--config.vocabulary.size=20", "--config.vocabulary.sampling=sqrt", *EVALUATED),
    "clip": ("clip", *EVALUATED),
    "clip_accumulated": ("clip", "--config.accumulate_steps=2", "--config.batch_norm.group_size=4"),
    "dino": ("dino", "--config.dino.prototypes=64", "--config.vocabulary.size=32"),
    "sl_frozen_head": (
        "sup",
        "--config.head.init={workdir}/head.npy",
        "--config.head.freeze",
        "--config.model.image.name=modified_resnet",
        "--config.model.image.layers=(1,1,1,1)",
        "--config.model.image.width=8",
        "--config.model.image.heads=4",
    ),
    "clip_vit": (
        "clip",
        "--config.model.image.name=vit",
        "--config.model.image.layers=(2,)",
        "--config.model.image.width=32",
        "--config.model.image.heads=2",
        "--config.model.image.patch_size=8",
    ),
    "clip_frozen_text": ("clip", "--config.text.init={workdir}/exported", "--config.text.freeze"),
}


def run(workdir: Path, devices: int, program: str, *arguments: str) -> None:
    """Runs a program of the package on so many virtual devices. Raises SystemExit with its output where it fails."""
    environment = os.environ | {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "JAX_PLATFORMS": "cpu",
        "XDG_CACHE_HOME": str(workdir / "cache"),
    }
    command = [
        sys.executable,
        "-m",
        "cliptail_jax",
        program,
        *(argument.format(workdir=workdir) for argument in arguments),
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def numbers_of(run_directory: Path) -> dict[str, float]:
    """Everything that a run has measured but speeds and times, by name."""
    numbers = {}
    for line in (run_directory / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        numbers |= {f"step {record['step']} {key}": value for key, value in record.items() if "second" not in key}
    for summary in sorted(run_directory.glob("eval/*/summary.jsonl")):
        for line in summary.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            for key, value in record.items():
                if isinstance(value, int | float):
                    numbers[f"evaluation {summary.parent.name} at {record['step']} {key}"] = value
                elif key.endswith("_interval"):
                    numbers |= {f"evaluation {summary.parent.name} {key} {end}": v for end, v in zip("ab", value)}
    for arrays in sorted(run_directory.glob("eval/*/latest.npz")):
        with np.load(arrays) as file:
            weights = {name: np.arange(1, file[name].size + 1) for name in file}
            numbers |= {
                f"evaluation {arrays.parent.name} {name}": float(np.nansum(file[name].ravel() * weights[name]))
                for name in file
            }
    return numbers


def measure(data_dir: str) -> Iterator[tuple[str, dict[str, float]]]:
    """The names of all runs, and the numbers of each."""
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder)
        np.save(workdir / "head.npy", np.random.default_rng(0).normal(size=(100, 48)).astype(np.float32))
        for name, (config, *overrides) in RUNS.items():
            for devices in DEVICES:
                directory = workdir / f"{name}_{devices}"
                arguments = (
                    f"{config}:data=glyphs_lt",
                    f"--workdir={directory}",
                    *SHARED,
                    *overrides,
                )
                run(workdir, devices, "train", *arguments, f"--config.data.data_dir={data_dir}")
                yield directory.name, numbers_of(directory)
            if name == "clip_vit":
                arguments = (f"--workdir={workdir}/clip_vit_1", f"--output={workdir}/exported")
                run(workdir, 1, "export", *arguments)


def difference(old_numbers: dict[str, float], numbers: dict[str, float]) -> tuple[float, str]:
    """The largest relative difference and what differs so; infinite where a number is in one of them only."""
    if keys := old_numbers.keys() ^ numbers.keys():
        return math.inf, f"{min(keys)} (and {len(keys) - 1} more) on one side only"
    worst = 0.0, ""
    for name, value in old_numbers.items():
        other = numbers[name]
        if value == other or (math.isnan(value) and math.isnan(other)):
            continue
        relative = abs(value - other) / max(abs(value), abs(other))
        worst = max(worst, (math.inf if math.isnan(relative) else relative, name))
    return worst


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("record", "compare"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--data_dir", default=str(Path.home() / "tensorflow_datasets"), help="of the glyphs data set")
    parser.add_argument("--tolerance", type=float, default=0.0, help="largest relative difference that passes")
    arguments = parser.parse_args()
    old_numbers = json.loads(arguments.file.read_text(encoding="utf-8")) if arguments.action == "compare" else {}
    numbers_of_runs, exceeds = {}, False
    for name, numbers in measure(arguments.data_dir):
        numbers_of_runs[name] = numbers
        if arguments.action == "record":
            print(f"{name}: {len(numbers)} numbers", flush=True)
            continue
        relative, key = difference(old_numbers[name], numbers)
        exceeds |= relative > arguments.tolerance
        print(f"{name}: " + (f"differs by {relative:.1e} in {key}" if relative else "the same numbers"), flush=True)
    if arguments.action == "record":
        arguments.file.write_text(json.dumps(numbers_of_runs, indent=1))
    return int(exceeds)


if __name__ == "__main__":
    sys.exit(main())
