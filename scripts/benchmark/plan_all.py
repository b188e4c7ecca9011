"""Plans of the study's training steps on slices and hosts of the usual sizes: the table in scripts/README.md.

    python scripts/benchmark/plan_all.py [--on=v5e-16,h100x8] [--again]

Compiles the plans that `scripts/plans.json` lacks, in minutes each, and rewrites that file and the table in
`scripts/README.md`. Each plan is saved at once. Without `--on`, it plans for all topologies whose compiler is
installed.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from cliptail_jax.files import write_json, write_text
from cliptail_jax.planning.bounds import binding
from cliptail_jax.planning.gpus import GPUS
from cliptail_jax.planning.report import size
from cliptail_jax.planning.topologies import find_topology
from cliptail_jax.runs.tables import markdown_table

SCRIPTS = Path(__file__).parents[1]
PLANS, PAGE = SCRIPTS / "plans.json", SCRIPTS / "README.md"
BEGIN, END = "<!-- written by benchmark/plan_all.py -->", "<!-- end -->"
MAIN = ("SL on v5e-16", "CLIP on v5e-16", "DINO on v5e-16")  # shown; all rows are folded below
COMPILERS = ("libtpu", "jax-cuda12-pjrt")  # of TPUs and of GPUs
ON = ("v4-32", "v5e-16", "v6e-8", "h100x8")
# The catalogue's steps that differ by more than 4 %. Of LAIONet, as many pairs as ImageNet-Captions has.
LAIONET = "data=laionet,n=448896"
VIT = "--config.model.image.name=ViT-B-16 --config.model.image.output_dim=512"
SIGLIP = "--config.model.image.name=ViT-B-16-SigLIP --config.model.image.output_dim=768 --config.model.text.width=768"
SIGLIP += " --config.model.text.heads=12 --config.model.text.context_length=64 --config.model.text.vocab_size=32000"
PROGRAMS = {
    "SL": "configs/sup.py:data=imagenet_captions",
    "SL, batch 1,024": "configs/sup.py:data=imagenet_captions,batch_size=1024,vocabulary=50,sampling=linear",
    "CLIP": "configs/clip.py:data=imagenet_captions",
    "bag of words": "configs/clip.py:data=imagenet_captions,loss=words",
    "CLIP, frozen text tower": "configs/clip.py:data=imagenet_captions,text=frozen",
    "CLIP, frozen RoBERTa": f"configs/clip.py:{LAIONET},text=roberta",
    "DINO": f"configs/dino.py:{LAIONET}",
    "CLIP ViT-B-16": f"configs/clip.py:data=imagenet_captions {VIT}",
    "CLIP ViT-B-16, batch 4,096": f"configs/clip.py:data=imagenet_captions,batch_size=4096 {VIT}",
    "SigLIP ViT-B-16": f"configs/clip.py:data=imagenet_captions,loss=sigmoid {SIGLIP}",
    "SL ViT-B-16, batch 1,024": f"configs/sup.py:data=imagenet_captions,batch_size=1024 {VIT}",
    "DINO ViT-S-16": f"configs/dino.py:{LAIONET} --config.model.image.name=ViT-S-16 --config.model.image.output_dim=384",
    "evaluation": "configs/sup.py:data=imagenet_captions",
}


def plan(program: str, topology: str) -> dict | None:
    """The line of `plan --json`; None if the compiler is not installed, or crashes."""
    flags = (*f"--config={PROGRAMS[program]}".split(), f"--on={topology}", "--config.model.dtype=bfloat16", "--json")
    flags += ("--evaluation",) if program == "evaluation" else ()
    done = subprocess.run([sys.executable, "-m", "cliptail_jax.plan", *flags], capture_output=True, text=True)
    if done.returncode == 0:
        return json.loads(done.stdout)
    if "crashes on this program" in done.stderr or "compiler cannot be loaded" in done.stderr:
        tqdm.write(f"{program}: {done.stderr.strip()}")
        return None
    sys.exit(done.stderr)


def row(program: str, found: dict) -> list[str]:
    """A plan as a row of the table."""
    memory = f"{found['peak_bytes'] / 1e9:.3g} of {found['chip_memory_bytes'] / 1e9:.3g}"
    cells = [program, found["topology"], str(found["chips"]), memory + ("" if found["fits"] else ", **does not fit**")]
    compiler = f"{(name := compiler_of(found))} {found['versions'][name]}"
    if not found["fits"]:
        return cells + [""] * 6 + [compiler]
    shared = found["collectives"].values()
    kind, seconds = binding(found["step_seconds"])
    times = (1000 * found["step_seconds"][of] for of in ("compute", "memory", "interconnect"))
    hours = seconds * found["total_steps"] / 3600
    return cells + [
        f"{found['flops'] / 1e12:.3g}",
        " / ".join(f"{found[key] / 1e9:.3g}" for key in ("hbm_bytes", "hbm_bytes_uncached") if key in found),
        f"{sum(x['count'] for x in shared)}, {size(sum(x['bytes'] for x in shared))}",
        " / ".join(f"{time:.3g}" for time in times),
        f"{found['batch_size'] / seconds:,.0f}, {found['step_seconds']['compute'] / seconds:.0%}",
        f"{hours:.2g}, {hours * found['chips']:.2g}" if hours else "",
        compiler,
    ]


def compiler_of(found: dict) -> str:
    """The package of the compiler, which need not be the same version for all rows."""
    return COMPILERS[found["topology"].startswith(tuple(GPUS))]


HEADER = [
    "step", "on", "chips", "peak memory, GB", "TFLOP", "HBM traffic, GB (GPUs: with / without cache)", "collectives",
    "ms by arithmetic / HBM / links", "images/s, MFU at the bound", "hours, chip-hours of the run", "compiler",
]  # fmt: skip


def table(plans: dict[str, dict]) -> str:
    """The main plans, and all plans folded, in Markdown, with versions and missing plans."""
    keys = {f"{program} on {on}": program for program in PROGRAMS for on in ON}
    rows = {key: row(program, plans[key]) for key, program in keys.items() if key in plans}
    versions = {
        f"{name} {version}"
        for found in plans.values()
        for name, version in found["versions"].items()
        if name not in COMPILERS
    }
    lines = [*markdown_table([HEADER, *(rows[key] for key in MAIN if key in rows)]), ""]
    lines += [f"<details><summary>All {len(rows)} plans</summary>", "", *markdown_table([HEADER, *rows.values()]), ""]
    lines += ["</details>", "", f"Compiled with {', '.join(sorted(versions))}."]
    missing = [key for key in keys if key not in plans]
    return "\n".join(lines + ([f"Still to be compiled: {'; '.join(missing)}."] if missing else []))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--on", default=",".join(ON), help="slices and hosts, separated by commas")
    parser.add_argument("--again", action="store_true", help="plan again what is in scripts/plans.json")
    options = parser.parse_args(arguments)
    plans = json.loads(PLANS.read_text(encoding="utf-8")) if PLANS.exists() else {}
    wanted = [(program, find_topology(on).name) for on in options.on.split(",") for program in PROGRAMS]
    for program, on in (progress := tqdm(wanted, disable=None)):
        progress.set_postfix_str(f"{program} on {on}")
        key = f"{program} on {on}"
        if (options.again or key not in plans) and (found := plan(program, on)):
            plans[key] = found
            write_json(PLANS, plans)
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    write_text(PAGE, f"{before}{BEGIN}\n\n{table(plans)}\n\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
