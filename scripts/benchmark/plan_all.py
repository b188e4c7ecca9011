"""Plans of the study's training steps, and of open_clip commands, on usual slices and hosts: plans.tsv, some in scripts/README.md.

    python scripts/benchmark/plan_all.py [--on=v5e-16,h100x8] [--again]

Compiles the plans that `plans.tsv` lacks, in minutes each, and rewrites that file and the table in `scripts/README.md`. Each
plan is saved at once. Without `--on`, it plans for all topologies whose compiler is installed. To add a step, give it a name
and the arguments of `cliptail plan` in PROGRAMS.
"""

import argparse
import csv
import io
import json
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from cliptail_jax.host.files import write_text
from cliptail_jax.host.text import tsv
from cliptail_jax.planning.bounds import binding
from cliptail_jax.planning.topologies import find_topology
from cliptail_jax.report.layout import markdown, text_table

PLANS, PAGE = Path(__file__).with_name("plans.tsv"), Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- written by benchmark/plan_all.py -->", "<!-- end -->"
# The rows that the page shows.
TYPICAL = (
    "SL, v5e-16",
    "CLIP, v5e-16",
    "CLIP, h100x8",
    "CLIP ViT-B-16, h100x8",
    "DINO, v5e-16",
    "open_clip ViT-B-32, v5e-16",
)
TOPOLOGIES = ("v4-32", "v5e-16", "v6e-8", "h100x8")
# The catalogue's steps that differ by more than 4 %. Of LAIONet, as many pairs as ImageNet-Captions has.
LAIONET = "data=laionet,n=448896"
VIT = "--config.model.image.name=ViT-B-16 --config.model.image.output_dim=512"
SIGLIP = "--config.model.image.name=ViT-B-16-SigLIP --config.model.image.output_dim=768 --config.model.text.width=768"
SIGLIP += " --config.model.text.heads=12 --config.model.text.context_length=64 --config.model.text.vocab_size=32000"
# A command of open_clip: 256 pairs for each chip, 32 epochs of 3 million.
CC3M = "--train-data cc3m.tar --train-num-samples 3000000 --batch-size 256 --lr 5e-4 --wd 0.1 --warmup 2000 --epochs 32"
PROGRAMS = {
    "SL": "sup:data=imagenet_captions",
    "SL, batch 1,024": "sup:data=imagenet_captions,batch_size=1024,vocabulary=50,sampling=linear",
    "CLIP": "clip:data=imagenet_captions",
    "bag of words": "clip:data=imagenet_captions,loss=words",
    "CLIP, frozen text tower": "clip:data=imagenet_captions,text=frozen",
    "CLIP, frozen RoBERTa": f"clip:{LAIONET},text=roberta",
    "DINO": f"dino:{LAIONET}",
    "CLIP ViT-B-16": f"clip:data=imagenet_captions {VIT}",
    "CLIP ViT-B-16, batch 4,096": f"clip:data=imagenet_captions,batch_size=4096 {VIT}",
    "SigLIP ViT-B-16": f"clip:data=imagenet_captions,loss=sigmoid {SIGLIP}",
    "SL ViT-B-16, batch 1,024": f"sup:data=imagenet_captions,batch_size=1024 {VIT}",
    "DINO ViT-S-16": f"dino:{LAIONET} --config.model.image.name=ViT-S-16 --config.model.image.output_dim=384",
    "evaluation": "sup:data=imagenet_captions",
    "open_clip ViT-B-32": f"open_clip -- --model ViT-B-32 {CC3M}",
    "open_clip ViT-B-16": f"open_clip -- --model ViT-B-16 {CC3M}",
}


def plan(program: str, topology: str) -> dict | None:
    """The line of `plan --json`; None if the compiler is not installed, or crashes."""
    config, *flags = PROGRAMS[program].split(" -- ")  # those of open_clip
    options = [f"--on={topology}", "--config.model.dtype=bfloat16", "--json"]
    options += ["--evaluation"] if program == "evaluation" else []
    if flags:
        options += ["--plan", f"--gpus={find_topology(topology).chips}", "--", *shlex.split(flags[0])]
    command = [Path(sys.executable).with_name("cliptail"), *([] if flags else ["plan"]), *config.split(), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        return json.loads(done.stdout)
    if "crashes on this program" in done.stderr or "compiler cannot be loaded" in done.stderr:
        tqdm.write(f"{program}: {done.stderr.strip()}")
        return None
    sys.exit(done.stderr)


COLUMNS = (
    "step", "on", "chips", "peak_gb", "chip_gb", "tflop", "hbm_gb", "hbm_gb_without_cache", "collectives", "collectives_mb",
    "ms_arithmetic", "ms_hbm", "ms_links", "images_per_second", "mfu_percent", "hours", "chip_hours", "versions",
)  # fmt: skip


def row(program: str, numbers: Mapping) -> dict[str, str]:
    """A plan as a row of the table: numbers of a chip and step. A step that does not fit has only its memory."""
    cells = {
        "step": program,
        "on": numbers["topology"],
        "chips": f"{numbers['chips']}",
        "peak_gb": f"{numbers['peak_bytes'] / 1e9:.3g}",
        "chip_gb": f"{numbers['chip_memory_bytes'] / 1e9:.3g}",
        "versions": ", ".join(f"{name} {version}" for name, version in numbers["versions"].items()),
    }
    if not numbers["fits"]:
        return cells
    collectives, times = numbers["collectives"].values(), numbers["step_seconds"]
    seconds = binding(times)[1]
    hours = seconds * numbers["total_steps"] / 3600
    cells |= {
        "tflop": f"{numbers['flops'] / 1e12:.3g}",
        "hbm_gb": f"{numbers['hbm_bytes'] / 1e9:.3g}",
        "collectives": f"{sum(x['count'] for x in collectives)}",
        "collectives_mb": f"{sum(x['bytes'] for x in collectives) / 1e6:.3g}",
        "ms_arithmetic": f"{1000 * times['compute']:.3g}",
        "ms_hbm": f"{1000 * times['memory']:.3g}",
        "ms_links": f"{1000 * times['interconnect']:.3g}",
        "images_per_second": f"{numbers['batch_size'] / seconds:.0f}",
        "mfu_percent": f"{100 * times['compute'] / seconds:.0f}",
    }
    if "hbm_bytes_uncached" in numbers:  # of GPUs
        cells["hbm_gb_without_cache"] = f"{numbers['hbm_bytes_uncached'] / 1e9:.3g}"
    return cells | ({"hours": f"{hours:.2g}", "chip_hours": f"{hours * numbers['chips']:.2g}"} if hours else {})


def read_plans() -> dict[str, dict[str, str]]:
    """The rows of plans.tsv by step and topology."""
    text = PLANS.read_text(encoding="utf-8") if PLANS.exists() else ""
    return {f"{row['step']}, {row['on']}": row for row in csv.DictReader(io.StringIO(text), delimiter="\t")}


def write_plans(plans: Mapping[str, dict[str, str]]) -> None:
    rows = [plans[key] for program in PROGRAMS for topology in TOPOLOGIES if (key := f"{program}, {topology}") in plans]
    write_text(PLANS, tsv(COLUMNS, ([row.get(column, "") for column in COLUMNS] for row in rows)))


def table(plans: Mapping[str, dict[str, str]]) -> str:
    """The typical plans in Markdown."""
    header = ["step", "on", "peak memory, GB", "ms by arithmetic / HBM / links", "images/s", "hours, chip-hours"]
    rows = []
    for typical in (plans[key] for key in TYPICAL if key in plans):
        cells = [typical["step"], typical["on"], f"{typical['peak_gb']} of {typical['chip_gb']}"]
        cells += [" / ".join(typical[f"ms_{kind}"] for kind in ("arithmetic", "hbm", "links"))]
        rows.append([*cells, f"{int(typical['images_per_second']):,}", f"{typical['hours']}, {typical['chip_hours']}"])
    return "\n".join(markdown(text_table(header, rows)))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--on", default=",".join(TOPOLOGIES), help="slices and hosts, separated by commas")
    parser.add_argument("--again", action="store_true", help="plan again what is in plans.tsv")
    options = parser.parse_args(arguments)
    plans = read_plans()
    pairs = [(program, find_topology(topology).name) for topology in options.on.split(",") for program in PROGRAMS]
    for program, topology in (progress := tqdm(pairs, disable=None)):
        progress.set_postfix_str(f"{program} on {topology}")
        key = f"{program}, {topology}"
        if (options.again or key not in plans) and (numbers := plan(program, topology)):
            plans[key] = row(program, numbers)
            write_plans(plans)
    head, _, tail = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    write_text(PAGE, f"{head}{BEGIN}\n\n{table(plans)}\n\n{END}{tail.partition(END)[2]}")


if __name__ == "__main__":
    main()
