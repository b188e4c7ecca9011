"""Train the runs of a study, test its claims, and report:

    cliptail study quickstart --workdir=runs/quickstart

The same command continues an interrupted study; finished runs are not repeated. On a CPU, as many runs train at the same
time as there are cores, each on one. With accelerators, each trains on one chip if there are at least as many runs as
chips; those for which one chip is too small follow, on all of them. `--jobs=1` trains them one after the other, on all
cores or chips.

A study with a field `seeds` trains its runs with that many seeds, which count up from its field `seed`. Each seed has a
directory: with `seed` 4, seed_4/, seed_5/, ...; or seed_4/, seed_4_mirrored/, ... with `counterbalanced`, where they are
mirrored pairs. A study with a field `transfer`, a config as of configs/transfer.py, also measures the transfer of its runs.

Any number of processes, on any machines that see the work directory, can train parts of a study at the same time: each takes
runs that no other one has. `--only=seed_4/clip` trains this run alone, and writes no report. Names and patterns of runs or
their directories, which `--launch=print` lists, can be repeated or joined by commas. `--report` writes the report from the
runs that are trained, and prints which are missing.

With `--until_decided`, claims are tested after each pair from the second one on, at levels that keep the probability of a
false verdict in any of these tests at 5 %. The directory keeps the rule, and later calls follow it.

With `--with_published`, the published runs of the study are copied to the work directory, where they count as finished. For
example, `quickstart --with_published --config.seeds=4` adds a pair to the published one, and tests the claims on both.
"""

import argparse
import math

from ml_collections import ConfigDict

from cliptail_jax.config.fields import flatten
from cliptail_jax.config.files import known_configs
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.interrupts import exit_on_signal
from cliptail_jax.programs.command_line import add_runner, add_workdir, check_runner, non_negative

CONFIGS = tuple(name for name, file in known_configs().items() if file.parent.name == "study")


def add_flags(parser: argparse.ArgumentParser) -> None:
    add_workdir(parser)
    parser.add_argument(
        "--launch",
        default="here",
        choices=("here", "print", "slurm"),
        help="train here, print a command for each run, or submit them to SLURM",
    )
    add_runner(parser)
    for flag, purpose in {
        "sbatch": "an option of sbatch, such as --sbatch=--time=1-0; may be repeated",
        "only": "train these runs alone, and write no report: names or patterns, as seed_4/*; may be repeated",
    }.items():
        parser.add_argument(f"--{flag}", action="append", default=[], help=purpose)
    for flag, purpose in {
        "report": "train nothing, and write the report from the runs that are trained",
        "overwrite": "replace runs of other configs in the work directory",
        "with_published": "continue from the published runs of this config, which are not trained again",
        "power": "print which differences some pairs decide, by published variances, and exit",
        "list": "print all runs of the paper, from which configs/study/paper.py makes studies, and exit",
    }.items():
        parser.add_argument(f"--{flag}", action="store_true", help=purpose)
    parser.add_argument(
        "--budget",
        type=float,
        help="minutes: start no further seed that would not finish in time; by default, there is no limit",
    )
    parser.add_argument(
        "--until_decided",
        nargs="?",
        const="",
        metavar="KEYS",
        help="add pairs, or seeds, until all claims are decided, or with =KEY,KEY these ones",
    )
    parser.add_argument(
        "--max_pairs", type=int, help="the largest number of pairs, or seeds, of --until_decided; by default 5"
    )
    parser.add_argument(
        "--jobs",
        type=non_negative(int, 1),
        help="runs that train at the same time, each on one core or chip; by default, as many as there are",
    )


def main(options: argparse.Namespace) -> None:
    if options.list:
        if options.config_name:
            raise UserError(f"--list takes no other argument: leave out '{options.config_name}'")
        from cliptail_jax.report.catalogue import page

        return print(page(), end="")
    exit_on_signal()
    names = [name for value in options.only for name in value.split(",")]
    check_options(options, names)
    from cliptail_jax.study.command import study_command  # slow to import

    study_command(options, names)


def check_options(options: argparse.Namespace, names: list[str]) -> None:
    """Raise UserError for flags that exclude each other; `names` are those of --only."""
    check_runner(options)
    if names and options.report:
        raise UserError("--only trains runs and writes no report, and --report trains none: give one of them")
    if options.budget is not None and not 0 < options.budget < math.inf:
        raise UserError("--budget must be a positive number of minutes; without it, there is no limit")
    if options.budget and (names or options.report or options.launch != "here"):
        raise UserError("--budget is for the whole study: leave it out with --only, --report and --launch")
    if options.until_decided is not None and (
        names or options.report or options.launch != "here" or options.runner != "here"
    ):
        raise UserError(
            "--until_decided is for the whole study: leave it out with --only, --report, --launch and --runner, which follow "
            "the rule of the directory"
        )
    if options.launch != "here" and (options.report or options.runner != "here"):
        raise UserError(f"--launch={options.launch} trains nothing here: leave out --report and --runner")
    if options.runner == "dask" and (options.report or options.budget or options.jobs or options.overwrite):
        raise UserError(
            "--runner=dask trains runs as workers become free: leave out --report, --budget, --jobs and --overwrite"
        )
    if options.sbatch and options.launch != "slurm":
        raise UserError("--sbatch needs --launch=slurm: add it")


def describe_config(study: ConfigDict | None) -> str:
    """The fields of a study, all those of its first run, and those in which its other runs differ from that."""
    # These are slow to import.
    from cliptail_jax.objectives import describe_config
    from cliptail_jax.study.check import FIELDS

    meanings = "\n".join(f"{field}: {meaning}" for field, meaning in FIELDS.items())
    if study is None:
        return f"{meanings}\n\nThe fields of a run, runs.NAME:\n\n{describe_config()}"
    (first, config), *other_runs = study.runs.items()
    values = dict(flatten(config))
    lines = [meanings, "", *(f"{key} = {value!r}" for key, value in flatten(study) if not key.startswith("runs."))]
    lines += ["", f"runs.{first}:", "", describe_config(config)]
    for name, other in other_runs:
        lines += ["", f"runs.{name}, where it differs from runs.{first}:", ""]
        lines += [f"{key} = {value!r}" for key, value in flatten(other) if values.get(key) != value]
    return "\n".join(lines)
