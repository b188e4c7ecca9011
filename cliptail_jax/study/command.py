"""Runs, reports or launches a study as the flags of `cliptail study` say."""

import argparse
import contextlib
import tempfile
from collections.abc import Iterator, Sequence

import jax

from cliptail_jax.claims.power import design_of
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import is_remote, work_path
from cliptail_jax.host.interrupts import ignore_closed_terminal, remove_at_end
from cliptail_jax.host.outputs import check_writable_folder
from cliptail_jax.parallel import distributed
from cliptail_jax.report.power import power_table
from cliptail_jax.runs.lock import sole_writer
from cliptail_jax.runs.provenance import command
from cliptail_jax.study import launch, stopping
from cliptail_jax.study.configuration import typed_study
from cliptail_jax.study.places import find_places, leave_chips
from cliptail_jax.study.published import add_published
from cliptail_jax.study.run import matching, open_study, report_study, run_study, train_on_dask, train_parts


def study_command(options: argparse.Namespace, names: Sequence[str]) -> None:
    """Do what the flags of `cliptail study` say; `names` are the runs of --only, or none."""
    config = options.config
    if options.power:
        study = typed_study(config)
        statistics = {claim.statistic for claim in study.claims.values()}
        design = design_of(study.first.runs.values(), study.counterbalanced)
        print(power_table(design, statistics, bool(study.variances_from)))
        return
    if not options.workdir:
        raise UserError("--workdir is missing: name the directory of the results, as --workdir=runs/study")
    only_prints = options.launch == "print"  # and neither writes to the directory nor reads a bucket
    workdir = None if only_prints and is_remote(options.workdir) else work_path(options.workdir)
    if not only_prints:
        check_writable_folder(workdir)
    is_until_decided = options.until_decided is not None
    max_pairs = stopping.most_pairs(workdir, is_until_decided, options.max_pairs) if workdir else 0
    study = typed_study(config)
    if max_pairs:
        if "seeds" in options.given_fields:
            raise UserError(
                "--config.seeds sets a fixed number of seeds, but --until_decided adds them one by one: leave it out, and give "
                "--max_pairs in the first call to limit them"
            )
        config.seeds = stopping.seeds_of(study, max_pairs, workdir)
        study = typed_study(config)
    keys = stopping.claims_named(options.until_decided, study.claims) if max_pairs else []
    parts = matching(names, study.queue)
    if only_prints:
        print("\n".join([*launch.part_commands(command(), parts).values(), launch.report_command(command())]))
        return
    if options.launch == "slurm":
        launch.check_slurm(workdir)  # before files are written
        if options.with_published:
            add_published(study, options.config_name, workdir)
        open_study(study, workdir, options.overwrite, max_pairs)
        launch.submit_to_slurm(command(), parts, workdir, options.sbatch)
        return
    ignore_closed_terminal()
    distributed.initialize()
    trains_here = options.runner == "here" and not options.report
    places = find_places(options.jobs, len(parts)) if trains_here else []
    # With --only, each run is locked alone.
    with leave_chips(places), contextlib.nullcontext() if names else sole_writer(workdir), compile_once():
        if options.with_published:
            add_published(study, options.config_name, workdir)
        if options.runner == "dask":
            train_on_dask(open_study(study, workdir, max_replicates=max_pairs), names, options.scheduler)
        elif names:
            train_parts(open_study(study, workdir, options.overwrite, max_pairs), names, options.overwrite, places)
        elif options.report:
            opened_study = open_study(study, workdir, options.overwrite, max_pairs)
            stopping.report_begun(opened_study) if max_pairs else report_study(opened_study)
        elif max_pairs:
            stopping.run_until_decided(study, workdir, keys, options.overwrite, options.budget or 0, places)
        else:
            run_study(study, workdir, options.overwrite, options.budget or 0, places)


@contextlib.contextmanager
def compile_once() -> Iterator[None]:
    """In this context, JAX compiles the steps of a run once for all of its seeds.

    JAX keeps them in its cache on disk: the user's, or else a temporary folder.
    """
    with tempfile.TemporaryDirectory(prefix="compiled-") as folder, remove_at_end(folder):
        if not jax.config.jax_compilation_cache_dir:
            jax.config.update("jax_compilation_cache_dir", folder)
        yield
