"""Train the runs of a study, test its claims, and report:

    python -m cliptail_jax.study --config=configs/study/quickstart.py --workdir=runs/quickstart

The same command continues an interrupted study; finished runs are not repeated. On a CPU, as many runs train at the same
time as there are cores, each on one. With accelerators, each trains on one chip if there are at least as many runs as
chips; those for which one chip is too small follow, on all of them. `--jobs=1` trains them one after the other, on all
cores or chips.

A study with a field `seeds` trains its runs with that many seeds, in seed_0/, seed_1/, ...; the seeds count up from
`seed`, which every run refers to. With `counterbalanced`, they are mirrored pairs, in seed_0/, seed_0_mirrored/, ... A
study with a field `transfer`, a config of cliptail_jax.transfer, also measures the transfer of its runs.

Any number of processes, on any machines that see the work directory, can train parts of a study at the same time: each takes
runs that no other one has. `--only=seed_0/clip` trains this run alone, and writes no report. Names and patterns of runs or
their directories can be repeated or joined by commas. `--report` writes the report from the runs that are trained, and prints
which are missing, which is no error.

With `--until_decided`, claims are tested after each pair from the second one on, at levels that keep the probability of a
false verdict in any of these tests at 5 %. The directory keeps the rule, and later calls follow it.

With `--with_published`, the published runs of the study are copied to the work directory, where they count as finished. For
example, `quickstart --with_published --config.seeds=4` adds a pair to the published one, and tests the claims on both.
"""

import contextlib
import math
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict

from cliptail_jax.config.fields import flatten
from cliptail_jax.config.files import known_configs
from cliptail_jax.config.program import (
    config_named,
    define_config,
    define_runner,
    run_with_config,
    with_config_flag,
)
from cliptail_jax.host.errors import UserError, command_line
from cliptail_jax.host.files import is_remote, work_path
from cliptail_jax.host.interrupts import exit_on_signal, ignore_closed_terminal, remove_at_end

FIELDS = """\
title: Title of the report.
runs: A training config for each run, by the run's name.
claims: Claims, by a short name of each, with the runs that they compare (cliptail_jax.claims.verdicts).
figures: Sheets of the paper's figures, by the figure's name (cliptail_jax.study.sheets). Optional.
transfer: A config of cliptail_jax.transfer; its `models` are runs of the study, by default all. Optional.
path: Names of runs that are steps of a path, for a figure with arrows from each to the next. Optional.
baseline: A run. The report begins with the best of the others, by mean accuracy over classes, against it. Optional.
then: A command that goes on with the best run, by the same measure: the report replaces BEST in it by its name. Optional.
seed, seeds: The first seed and the number of seeds. Optional.
counterbalanced: Whether seeds are mirrored pairs: the second run of a pair has the seed of the first and the reversed
    order of class frequencies (data.profile.mirrored). Optional."""


def main(config: ConfigDict, workdir: Path) -> None:
    # These import jax, which --help does not need.
    from cliptail_jax.parallel import distributed
    from cliptail_jax.runs.lock import sole_writer
    from cliptail_jax.runs.provenance import command
    from cliptail_jax.study import launch, stopping
    from cliptail_jax.study.configuration import typed_study
    from cliptail_jax.study.places import find_places, leave_chips
    from cliptail_jax.study.published import add_published
    from cliptail_jax.study.run import matching, open_study, report_study, run_study, train_on_dask, train_parts

    options = flags.FLAGS
    names = [name for value in options.only for name in value.split(",")]
    check_options(names)
    if options.power:
        from cliptail_jax.claims.power import design_of
        from cliptail_jax.report.power import power_table

        study = typed_study(config)
        statistics = {claim.statistic for claim in study.claims.values()}
        design = design_of(study.first.runs.values(), study.counterbalanced)
        print(power_table(design, statistics, bool(study.variances_from)))
        return
    if workdir is None and not is_remote(options.workdir):  # --launch=print writes nothing there, and reads no bucket
        workdir = work_path(options.workdir)
    most = stopping.most_pairs(workdir, is_until_decided(), options.max_pairs) if workdir else 0
    study = typed_study(config)
    if most:
        if any(re.match(r"--?config\.seeds\b", argument) for argument in sys.argv):
            raise UserError(
                "--config.seeds sets a fixed number of seeds, but --until_decided adds them one by one: leave it out, and give "
                "--max_pairs in the first call to limit them"
            )
        config.seeds = stopping.seeds_of(study, most, workdir)
        study = typed_study(config)
    keys = stopping.claims_named(options.until_decided, study.claims) if most else []
    chosen = matching(names, study.queue)
    if options.launch == "print":
        print("\n".join([*launch.part_commands(command(), chosen).values(), launch.report_command(command())]))
        return
    if options.launch == "slurm":
        if options.with_published:
            add_published(study, config_name(), workdir)
        open_study(study, workdir, options.overwrite, most)
        launch.submit_to_slurm(command(), chosen, workdir, options.sbatch)
        return
    exit_on_signal()
    ignore_closed_terminal()
    distributed.initialize()
    here = options.runner == "here" and not options.report
    places = find_places(options.jobs, len(chosen)) if here else []
    # Parts are locked one by one.
    with leave_chips(places), contextlib.nullcontext() if names else sole_writer(workdir), compile_once():
        if options.with_published:
            add_published(study, config_name(), workdir)
        if options.runner == "dask":
            train_on_dask(open_study(study, workdir, most=most), names, options.scheduler)
        elif names:
            train_parts(open_study(study, workdir, options.overwrite, most), names, options.overwrite, places)
        elif options.report:
            opened = open_study(study, workdir, options.overwrite, most)
            stopping.report_begun(opened) if most else report_study(opened)
        elif most:
            stopping.run_until_decided(study, workdir, keys, options.overwrite, options.budget or 0, places)
        else:
            run_study(study, workdir, options.overwrite, options.budget or 0, places)


def config_name() -> str:
    """The short name of the config file on the command line."""
    return Path(config_named(with_config_flag(sys.argv)).partition(":")[0]).stem


def check_options(names: list[str]) -> None:
    """Raises UserError for flags that exclude each other; `names` are those of --only."""
    options = flags.FLAGS
    if names and options.report:
        raise UserError("--only trains runs and writes no report, and --report trains none: give one of them")
    if options.budget is not None and not 0 < options.budget < math.inf:
        raise UserError("--budget must be a positive number of minutes; without it, there is no limit")
    if options.budget and (names or options.report or options.launch != "here"):
        raise UserError("--budget is for the whole study: leave it out with --only, --report and --launch")
    if is_until_decided() and (names or options.report or options.launch != "here" or options.runner != "here"):
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


def is_until_decided() -> bool:
    return flags.FLAGS.until_decided not in (None, "false")


@contextlib.contextmanager
def compile_once() -> Iterator[None]:
    """Compiles the programs of a run once for all of its seeds.

    JAX's own cache of programs on disk serves it, in a temporary folder unless the user has given one.
    """
    import jax

    with tempfile.TemporaryDirectory(prefix="compiled-") as folder, remove_at_end(folder):
        if not jax.config.jax_compilation_cache_dir:
            jax.config.update("jax_compilation_cache_dir", folder)
        yield


def describe_fields(study: ConfigDict | None) -> str:
    """The fields of a study, all those of its first run, and those in which its other runs differ from that."""
    from cliptail_jax.objectives import describe_config  # slow to import

    if study is None:
        return f"{FIELDS}\n\nThe fields of a run, runs.NAME:\n\n{describe_config()}"
    (first, config), *others = study.runs.items()
    values = dict(flatten(config))
    lines = [FIELDS, "", *(f"{key} = {value!r}" for key, value in flatten(study) if not key.startswith("runs."))]
    lines += ["", f"runs.{first}:", "", describe_config(config)]
    for name, other in others:
        lines += ["", f"runs.{name}, where it differs from runs.{first}:", ""]
        lines += [f"{key} = {value!r}" for key, value in flatten(other) if values.get(key) != value]
    return "\n".join(lines)


@command_line
def list_runs(arguments: list[str]) -> None:
    if others := [argument for argument in arguments if argument != "--list"]:
        raise UserError(f"--list takes no other argument: leave out '{others[0]}'")
    from cliptail_jax.report.catalogue import page

    print(page(), end="")


if __name__ == "__main__":
    flags.DEFINE_enum(
        "launch",
        "here",
        ["here", "print", "slurm"],
        "Train here, print a command for each run, or submit them to SLURM",
    )
    define_runner()
    flags.DEFINE_multi_string("sbatch", [], "An option of sbatch, such as --sbatch=--time=1-0; may be repeated")
    flags.DEFINE_multi_string("only", [], "Train these runs alone, and write no report: names or patterns, as seed_0/*")
    flags.DEFINE_bool("report", False, "Train nothing, and write the report from the runs that are trained")
    flags.DEFINE_bool("overwrite", False, "Replace runs of other configs in the work directory")
    flags.DEFINE_bool(
        "with_published", False, "Continue from the published runs of this config, which are not trained again"
    )
    flags.DEFINE_float(
        "budget", None, "Minutes: start no further seed that would not finish in time; by default, there is no limit"
    )
    text = "Add pairs, or seeds, until all claims are decided, or with =KEY,KEY these ones"
    flags.DEFINE_flag(flags.Flag(flags.ArgumentParser(), None, "until_decided", None, text, boolean=True))
    flags.DEFINE_integer("max_pairs", None, "The largest number of pairs, or seeds, of --until_decided; by default 5")
    flags.DEFINE_bool("power", False, "Print which differences some pairs decide, by published variances, and exit")
    flags.DEFINE_integer(
        "jobs",
        None,
        "Runs that train at the same time, each on one core or chip; by default, as many as there are",
        lower_bound=1,
    )
    flags.DEFINE_bool(
        "list", False, "Print all runs of the paper, from which configs/study/paper.py makes studies, and exit"
    )
    if "--list" in sys.argv:
        sys.exit(list_runs(sys.argv[1:]))
    define_config(*(name for name, file in known_configs().items() if file.parent.name == "study"))
    run_with_config(main, describe_fields, workdir_required="--power" not in sys.argv)
