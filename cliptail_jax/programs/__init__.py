"""The command `cliptail`, whose programs are the modules of this package:

    cliptail train clip:data=glyphs_lt --workdir=runs/clip

`cliptail NAME --help` explains a program. `python -m cliptail_jax NAME` runs it, too. For shell completion, put
`eval "$(register-python-argcomplete cliptail)"` into the start-up file of your shell.
"""

import atexit
import gc
import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from cliptail_jax.host.accelerators import leave_out_cuda, leave_out_libtpu
from cliptail_jax.host.errors import UserError, did_you_mean, exit_status
from cliptail_jax.host.interrupts import exit_despite_threads, exit_on_signal, raise_on_ctrl_c
from cliptail_jax.host.memory import keep_freed_memory
from cliptail_jax.host.printing import checked_output

# A program is a module here, whose docstring is its help and begins with its purpose in a line, with
#     add_flags(parser)    which adds its flags to an argparse.ArgumentParser
#     main(options)        which runs it, and imports what is slow to import
#     CONFIGS              the names of its configs, if it takes one, which is then `options.config`
#     describe_config      optional, with CONFIGS: returns the text of --help_config for a config of its own kind
#     default_config       optional, with CONFIGS: returns the config if none is given
#     set_environment      optional, with CONFIGS: sets variables that JAX reads when it is imported, as configs import it
#     TAKES_OTHERS         True if it passes flags on to another program, which are then `options.extra_arguments`
# The modules are read, since importing all of them is slow.
SOURCES = {file.stem: file.read_text(encoding="utf-8") for file in sorted(Path(__file__).parent.glob("[!_]*.py"))}
PROGRAMS = {name: source.partition("\n")[0].strip('":.') for name, source in SOURCES.items() if "\ndef main(" in source}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program that the command line names. Returns its exit status."""
    if "_ARGCOMPLETE" in os.environ:
        complete()
    prepare_process()
    with checked_output():
        if not current_folder_exists():
            print("error: the current folder was deleted: change to one that exists", file=sys.stderr)
            return 2
        arguments = sys.argv[1:] if arguments is None else arguments
        status = exit_status(lambda: run(arguments), has_config=any(map(takes_config, arguments[:1])))
    if status == 2:
        exit_despite_threads(status)
    return status


def current_folder_exists() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def takes_config(program: str) -> bool:
    return "\nCONFIGS = " in SOURCES.get(program, "")


def prepare_process() -> None:
    """Set what must be set before slow imports."""
    atexit.register(gc.freeze)  # else Python visits all that was imported once more when it ends, for most of a second
    exit_on_signal()
    keep_freed_memory()
    os.environ["MPLBACKEND"] = "agg"  # pictures are files; Jupyter sets a backend that this environment may lack
    leave_out_libtpu()
    leave_out_cuda()
    if sys.stdout is not None:
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr, for characters that the encoding lacks


def run(arguments: Sequence[str]) -> None:
    """Run a program. Raises UserError if there is none of this name, or for a wrong argument."""
    name, *arguments = arguments or ["--help"]
    if name in ("-h", "--help"):
        from cliptail_jax.report.layout import label_lines  # which other commands do not need to start

        usage = ["usage: cliptail [--help] [--version] PROGRAM ...", "", __doc__.strip(), "", "programs:"]
        print("\n".join([*usage, *label_lines(PROGRAMS.items(), indent=2)]))
    elif name == "--version":
        import cliptail_jax

        print(f"cliptail {cliptail_jax.__version__}")
    elif name not in PROGRAMS:
        raise UserError(f"there is no program '{name}'{did_you_mean(name, PROGRAMS)}; --help lists them")
    else:
        from cliptail_jax.programs.command_line import parse  # slow to import

        program = importlib.import_module(f"{__name__}.{name}")
        options = parse(name, program, arguments)
        raise_on_ctrl_c()  # for programs that clean up; during imports, Ctrl-C ends the process at once
        program.main(options)


def complete() -> None:
    """Print the shell's completions of the line with argcomplete, and exit."""
    import argparse

    import argcomplete

    parser = argparse.ArgumentParser("cliptail")
    subparsers = parser.add_subparsers()
    for name, purpose in PROGRAMS.items():
        program, subparser = importlib.import_module(f"{__name__}.{name}"), subparsers.add_parser(name, help=purpose)
        program.add_flags(subparser)
        if configs := getattr(program, "CONFIGS", ()):
            subparser.add_argument("config").completer = argcomplete.completers.ChoicesCompleter(configs)
            for flag in ("--config", *(config_flags() if "--config." in os.environ["COMP_LINE"] else ())):
                subparser.add_argument(flag)
    argcomplete.autocomplete(parser)


def config_flags() -> Iterator[str]:
    """A flag for each field of a training config."""
    from cliptail_jax.objectives import FIELDS  # slow to import

    return (f"--config.{field.key}" for field in FIELDS)
