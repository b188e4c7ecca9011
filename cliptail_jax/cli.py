"""The command `cliptail`, whose subcommands are the programs of the package:

    cliptail train clip:data=glyphs_lt --workdir=runs/clip

`cliptail NAME --help` explains a program, and `python -m cliptail_jax.NAME` runs it, too. For shell completion, put
`eval "$(register-python-argcomplete cliptail)"` into its start-up file.
"""

import argparse
import os
import runpy
import sys
from collections.abc import Iterator

import cliptail_jax
from cliptail_jax.config.files import known_configs
from cliptail_jax.errors import did_you_mean, exit_on_broken_pipe

# By name: the module, whether it takes a config, and what it does.
PROGRAMS = {
    "train": ("train", True, "train one model"),
    "open_clip": ("open_clip", False, "train from a command line of open_clip: cliptail open_clip -- FLAGS"),
    "evaluate": ("evaluate", True, "evaluate a run, or published models zero-shot"),
    "predict": ("predict", False, "predict the classes of images with a run or a published model"),
    "transfer": ("transfer", True, "measure features by linear probes, few-shot episodes and fine-tuning"),
    "study": ("study", True, "train the runs of a study, test its claims, and report"),
    "measure": ("predictions.measure", False, "measure predictions of any model: accuracy, bias, logit adjustment"),
    "report": ("report", False, "write the interactive page on a study or on runs"),
    "collect": ("collect", False, "plan which images to collect, and predict what they bring"),
    "figures": ("figures", False, "draw a figure of the paper"),
    "plan": ("plan", True, "compile a training step for TPUs and GPUs: does it fit, how fast is it?"),
    "build": ("datasets.build", False, "prepare a data set"),
    "describe": ("curation.describe", True, "show which records and captions a config selects"),
    "count": ("concepts.count", False, "count class frequencies in a caption corpus"),
    "laion": ("curation.laion", False, "build LAIONet from LAION-400M"),
    "make_head": ("pretrained.make_head", False, "compute class embeddings with a published text tower"),
    "export": ("pretrained.export", False, "export a run to a folder that open_clip loads"),
}


def main() -> None:
    if "_ARGCOMPLETE" in os.environ:
        complete()
    options = argparse.ArgumentParser(
        "cliptail", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--version", action="version", version=f"%(prog)s {cliptail_jax.__version__}")
    options.add_argument("program", help="one of those below")
    options.epilog = "\n".join(["programs:", *(f"  {name:<10} {what}" for name, (_, _, what) in PROGRAMS.items())])
    with exit_on_broken_pipe():
        name = options.parse_args(sys.argv[1:2]).program
    if name not in PROGRAMS:
        print(f"error: there is no program '{name}'{did_you_mean(name, PROGRAMS)}; --help lists them", file=sys.stderr)
        sys.exit(2)
    cliptail_jax.prepare_program()
    sys.argv[:2] = [f"cliptail {name}"]
    module = "open_clip.plan" if (name, *sys.argv[1:2]) == ("plan", "open_clip") else PROGRAMS[name][0]
    runpy.run_module(f"cliptail_jax.{module}", run_name="__main__", alter_sys=True)


def complete() -> None:
    """Print the shell's completions of the line with argcomplete, and exit."""
    import argcomplete

    parser = argparse.ArgumentParser("cliptail")
    programs = parser.add_subparsers()
    for name, (_, takes_config, what) in PROGRAMS.items():
        program = programs.add_parser(name, help=what)
        if takes_config:
            configs = [c for c, file in known_configs().items() if (file.parent.name == "study") == (name == "study")]
            program.add_argument("config").completer = argcomplete.completers.ChoicesCompleter(configs)
            for flag in ("--config", "--workdir", *(config_flags() if "--config." in os.environ["COMP_LINE"] else ())):
                program.add_argument(flag)
    argcomplete.autocomplete(parser)


def config_flags() -> Iterator[str]:
    """A flag for each field of a training config."""
    from cliptail_jax.objectives import FIELDS  # slow to import

    return (f"--config.{field.key}" for field in FIELDS)
