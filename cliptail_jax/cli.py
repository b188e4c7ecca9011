"""The command `cliptail`, whose subcommands are the programs of the package:

    cliptail train clip:data=glyphs_lt --workdir=runs/clip

`cliptail NAME --help` explains a program, and `python -m cliptail_jax.NAME` runs it, too.
"""

import argparse
import runpy
import sys

from cliptail_jax.interrupts import exit_on_signal
from cliptail_jax.parallel.host_memory import keep_freed_memory

# By name: the module, and what it does.
PROGRAMS = {
    "train": ("train", "train one model"),
    "evaluate": ("evaluate", "evaluate a run, or published models zero-shot"),
    "transfer": ("transfer", "measure features by linear probes, few-shot episodes and fine-tuning"),
    "study": ("study", "train the runs of a study, test its claims, and report"),
    "report": ("report", "write the interactive page on a study or on runs"),
    "figures": ("figures", "draw a figure of the paper"),
    "plan": ("plan", "compile a training step for TPUs and GPUs: does it fit, how fast is it?"),
    "build": ("datasets.build", "prepare a data set"),
    "describe": ("curation.describe", "show which records and captions a config selects"),
    "count": ("concepts.count", "count class frequencies in a caption corpus"),
    "laion": ("curation.laion", "build LAIONet from LAION-400M"),
    "make_head": ("pretrained.make_head", "compute class embeddings with a published text tower"),
    "export": ("pretrained.export", "export a run to a folder that open_clip loads"),
}


def main() -> None:
    options = argparse.ArgumentParser(
        "cliptail", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("program", choices=PROGRAMS, metavar="program", help="one of those below")
    options.epilog = "\n".join(["programs:", *(f"  {name:<10} {what}" for name, (_, what) in PROGRAMS.items())])
    name = options.parse_args(sys.argv[1:2]).program
    exit_on_signal()
    keep_freed_memory()
    sys.argv[:2] = [f"cliptail {name}"]
    runpy.run_module(f"cliptail_jax.{PROGRAMS[name][0]}", run_name="__main__", alter_sys=True)
