"""Reads the evaluations of one seed's trained runs, and computes their transfer."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from cliptail_jax.host.errors import Failures, UserError
from cliptail_jax.metrics.measures import ClassResults
from cliptail_jax.results.run import SEED, Run
from cliptail_jax.results.study import Runs
from cliptail_jax.study.configuration import RunConfigs
from cliptail_jax.study.places import Place, are_chips, whole_machine
from cliptail_jax.study.pool import call_at_places
from cliptail_jax.transfer.command import transfer_and_report
from cliptail_jax.transfer.configuration import TransferConfig
from cliptail_jax.transfer.program import TransferFailed


def read_runs(configs: RunConfigs, workdir: Path) -> tuple[Runs, Failures]:
    """The trained runs of one seed, and the reasons why others cannot be read."""
    runs, failures = {}, {}
    for name, config in configs.items():
        try:
            runs[name] = read_trained(workdir / name, config.eval.sets)
        except UserError as error:  # a damaged file
            failures[name] = str(error)
            tqdm.write(f"error: {name}: {error}")
    return runs, failures


def read_trained(workdir: Path, eval_sets: tuple[str, ...]) -> Run:
    """A run that was trained on the classes of its evaluation sets. Raises UserError if a file is damaged."""
    seed = workdir.parent.name
    run = Run(workdir, seed=seed if SEED.fullmatch(seed) else "", eval_sets=eval_sets)
    run.check()
    _ = run.images, run.log, run.sets
    for eval_set in eval_sets:
        results = run.evaluated_on(eval_set).results
        if isinstance(results, ClassResults) and not results.groups:
            raise UserError(f"{workdir} was not trained on the classes of {eval_set}: a study compares runs on theirs")
    return run


def transfer_runs(
    config: TransferConfig, runs: Runs, workdir: Path, places: Sequence[Place] = ()
) -> tuple[Runs, Failures]:
    """Transfer the runs that the config names, or all. Returns the runs with the results, and the failures.

    If this process leaves its chips to `places`, another process computes the transfer.
    """
    directories = {name: str(workdir / name) for name in runs if name in (config.models or runs)}
    if not directories:
        return runs, {}
    call = (dataclasses.replace(config, models=tuple(directories.values())), workdir / "transfer")
    failures: Failures = {}
    try:
        if are_chips(places):
            ((_, results),) = call_at_places(transfer_and_report, {"transfer": call}, [whole_machine()])
        else:
            results = transfer_and_report(*call)
    except TransferFailed as error:
        results, failures = error.results, {f"transfer: {part}": why for part, why in error.failures.items()}
    except UserError as error:
        results, failures = [], {"transfer": str(error)}
    transferred_runs = {
        name: runs[name].replace(transfers=[result for result in results if result["model"] == directory])
        for name, directory in directories.items()
    }
    return {**runs, **transferred_runs}, failures
