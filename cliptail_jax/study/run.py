"""Train the runs of a study with all their seeds, measure them, test the claims, and report."""

import time
from collections.abc import Mapping
from pathlib import Path

import jax
from ml_collections import ConfigDict
from tqdm import tqdm

from cliptail_jax.config.fields import plain
from cliptail_jax.errors import UserError
from cliptail_jax.objectives import FIELDS, validate
from cliptail_jax.parallel.distributed import broadcast_from_first
from cliptail_jax.runs import is_finished
from cliptail_jax.study.claims import check_claims, correct_for_number, evaluate_claim
from cliptail_jax.study.cores import cores_for
from cliptail_jax.study.kinds import kinds_of
from cliptail_jax.study.launch import train_commands
from cliptail_jax.study.report import write_report
from cliptail_jax.study.sheets import check_figures, draw_figures
from cliptail_jax.study.stated_claims import changes_of_claims
from cliptail_jax.study.study_page import StudyPage
from cliptail_jax.study.trained_run import Runs, TrainedRun
from cliptail_jax.study.training import Configs, Failures, train_runs
from cliptail_jax.transfer import configuration as transfer_configuration
from cliptail_jax.transfer.program import TransferFailed, transfer


def run_study(
    study: ConfigDict, workdir: Path, overwrite: bool = False, budget: float = 0, jobs: int | None = 1
) -> None:
    """Train the runs that are not yet trained, then write report.md, report.json, figures/ and the page report.html.

    Args:
        study: the config of the study.
        workdir: its directory.
        overwrite: whether to replace runs of other configs in `workdir`.
        budget: if not 0, further seeds are only started if they are expected to finish within so many minutes.
        jobs: how many runs train at the same time, each on one core of the CPU; with None, as many as there are cores. With
            1, and wherever there are accelerators, they train one after the other. Others than 1 start processes that import
            the main module, so that a script needs its main guard.

    Raises:
        UserError: the study has a mistake; or, after everything else has been done, some part of it failed.
    """
    check_study(study)
    cores = cores_for(jobs)
    if budget and "seeds" not in study:
        raise UserError("--budget chooses how many seeds fit: this study's config has no seeds")
    started, longest = time.perf_counter(), 0.0
    replicates = configs_by_seed(study)
    directories = [str(Path(seed) / run) for by_seed in replicates for seed in by_seed for run in study.runs]
    first_configs, _ = next(iter(replicates[0].values()))
    changes = changes_of_claims(study.claims, first_configs, workdir, directories)
    page = StudyPage(study.title, workdir, directories)
    page.start()
    commands = commands_of(study, workdir / next(iter(replicates[0])))
    seeds: dict[str, Runs] = {}
    trained: list[list[Runs]] = []  # by replicate
    failures: Failures = {}
    for by_seed in replicates:
        began = time.perf_counter()
        fits = not budget or began - started + longest <= 60 * budget
        # The runs of a mirrored pair together, which take equally long.
        configs = {str(Path(seed) / run): by_seed[seed][0][run] for run in study.runs for seed in by_seed}
        finished = (is_finished(workdir / name, plain(config), FIELDS) for name, config in configs.items())
        if seeds and not broadcast_from_first(fits or all(finished)):
            another = "another" if len(by_seed) == 1 else "another pair"
            tqdm.write(f"{len(seeds)} of {study.seeds} seeds: {another} takes some {longest / 60:.0f} minutes")
            break
        train_runs(configs, workdir, overwrite, cores, failures, page.after_run)
        for seed, (of_seed, transfer_config) in by_seed.items():
            succeeded = {run: config for run, config in of_seed.items() if str(Path(seed) / run) not in failures}
            seeds[seed], failed = measure_runs(succeeded, transfer_config, workdir / seed)
            failures |= {str(Path(seed) / what): why for what, why in failed.items()}
        trained.append([seeds[seed] for seed in by_seed])
        # Finished runs took their time in an earlier call.
        in_training = sum(run.seconds for runs in trained[-1] for run in runs.values())
        in_training /= min(len(cores), len(configs)) or 1
        longest = max(longest, in_training, time.perf_counter() - began)
        if jax.process_index() == 0:
            seconds = time.perf_counter() - started
            text, not_drawn = report(study, seeds, trained, changes, failures, seconds, commands, workdir)
            page.write()
    if jax.process_index() == 0:
        tqdm.write(f"\n{text}\nThis report: {workdir}/report.md, and to look further into it {page.address}")
        failures |= not_drawn
    if failures:
        names = [str(Path(name) / run) for name in seeds for run in study.runs]
        what = f"{len(failures)} of {len(names)} runs" if set(failures) <= set(names) else "parts of the study"
        raise UserError(f"{what} failed: {', '.join(failures)}")


def report(
    study: ConfigDict,
    seeds: dict[str, Runs],
    replicates: list[list[Runs]],
    changes: Mapping[str, str],
    failures: Failures,
    seconds: float,
    commands: Mapping[str, str],
    workdir: Path,
) -> tuple[str, Failures]:
    """Test the claims, draw the figures and write the report on what has been trained.

    Returns the report's text, and why figures could not be drawn. `replicates` has the runs of `seeds`, those of a mirrored
    pair together.
    """
    results = correct_for_number([evaluate_claim(claim, replicates) for claim in study.claims.values()])
    drawn, not_drawn = draw_figures(study.get("figures", {}), seeds, workdir)
    is_complete = len(seeds) == study.get("seeds", 1)
    text = write_report(
        study.title if is_complete else f"{study.title}, {len(seeds)} of {study.seeds} seeds",
        seeds,
        kinds_of(replicates),
        failures | not_drawn,
        dict(zip(study.claims, results)),
        changes,
        study.get("path", ()),
        drawn,
        seconds,
        commands,
        workdir,
    )
    return text, not_drawn


def configs_by_seed(study: ConfigDict) -> list[dict[str, tuple[Configs, ConfigDict | None]]]:
    """The configs of the runs and of the transfer for each seed, by the name of its directory: '' without seeds.

    Seeds that belong together are in one dict: a counterbalanced study has pairs, whose second runs have the same seed as
    the first, and the reversed order of class frequencies.

    Raises:
        UserError: the seed of a run does not refer to that of the study.
    """
    if "seeds" not in study:
        return [{"": resolved(study)}]
    counterbalanced = study.get("counterbalanced", False)
    first, by_seed = study.seed, []
    for seed in range(first, first + study.seeds // (2 if counterbalanced else 1)):
        study.seed = seed
        configs, transfer_config = resolved(study)
        by_seed.append({f"seed_{seed}": (configs, transfer_config)})
        if fixed := [name for name, config in configs.items() if config.seed != seed]:
            raise UserError(
                f"run '{fixed[0]}': its seed does not refer to the study's, so all {study.seeds} are the same"
            )
        if counterbalanced:
            mirrored, transfer_config = resolved(study)
            for config in mirrored.values():
                config.data.profile.mirrored = True
            by_seed[-1][f"seed_{seed}_mirrored"] = mirrored, transfer_config
    study.seed = first
    return by_seed


def resolved(study: ConfigDict) -> tuple[Configs, ConfigDict | None]:
    """Copies of the configs of the runs and of the transfer, in which references have their present values."""
    configs = {name: config.copy_and_resolve_references() for name, config in study.runs.items()}
    return configs, study.transfer.copy_and_resolve_references() if "transfer" in study else None


def measure_runs(configs: Configs, transfer_config: ConfigDict | None, workdir: Path) -> tuple[Runs, Failures]:
    """Read and transfer the trained runs of one seed. Returns them, and what failed."""
    failures: Failures = {}
    runs: Runs = {}
    for name, config in configs.items():
        try:
            run = TrainedRun.read(workdir / name, config.eval.sets)
            for on in config.eval.sets:
                run.evaluation(on)
            runs[name] = run
        except UserError as error:  # a damaged file
            failures[name] = str(error)
            tqdm.write(f"error: {name}: {error}")
    if transfer_config and runs:
        failures |= transfer_runs(transfer_config, runs, workdir)
    return runs, failures


def commands_of(study: ConfigDict, workdir: Path) -> dict[str, str]:
    """The commands that train the runs one by one, if they have config strings whose files are here."""
    strings = study.get("strings", {})
    files = {string.partition(":")[0] for string in strings.values()}
    return train_commands(study, workdir) if strings and all(Path(file).exists() for file in files) else {}


def transfer_runs(config: ConfigDict, runs: Runs, workdir: Path) -> Failures:
    """Transfer the runs that the config names, or all, and add the results to the runs. Returns what failed."""
    directories = {str(workdir / name): run for name, run in runs.items() if name in (config.models or runs)}
    config.models = tuple(directories)
    failures: Failures = {}
    try:
        results = transfer(config, workdir / "transfer")
    except TransferFailed as error:
        results, failures = error.results, {f"transfer: {what}": why for what, why in error.failures.items()}
    except UserError as error:
        results, failures = [], {"transfer": str(error)}
    for directory, run in directories.items():
        run.transfer_results = [result for result in results if result["model"] == directory]
    return failures


def check_study(study: ConfigDict) -> None:
    """Raise a UserError that names a mistake in the study, its runs, its transfer, its claims or its figures."""
    for key in ("title", "runs", "claims"):
        if key not in study:
            raise UserError(f"a study's config has title, runs and claims, as in configs/study; this one has no {key}")
    if "seeds" in study:
        if type(study.seeds) is not int or study.seeds < 1:
            raise UserError(f"config key 'seeds' is {study.seeds!r}; it must be a positive whole number")
        if "seed" not in study:
            raise UserError("a study of several seeds has a field 'seed', which the seed of each run refers to")
    if type(study.get("counterbalanced", False)) is not bool:
        raise UserError(f"config key 'counterbalanced' is {study.counterbalanced!r}; it must be True or False")
    if study.get("counterbalanced", False):
        check_counterbalanced(study)
    for name, config in study.runs.items():
        try:
            validate(config)
        except UserError as error:
            raise UserError(f"run '{name}': {error}") from None
        if not config.eval.sets and "transfer" not in study:
            raise UserError(f"run '{name}': eval.sets is empty, but a study compares evaluations")
    if "transfer" in study:
        check_transfer(study.transfer, tuple(study.runs))
    if unknown := [name for name in study.get("path", ()) if name not in study.runs]:
        raise UserError(f"path names the run '{unknown[0]}'; the study has {', '.join(study.runs)}")
    eval_sets = {name: config.eval.sets for name, config in study.runs.items()}
    check_claims(study.claims, eval_sets, study.get("transfer"))
    check_figures(study.get("figures", {}), tuple(study.runs))


def check_counterbalanced(study: ConfigDict) -> None:
    """Raise a UserError if the runs of a study cannot be trained in mirrored pairs."""
    if study.get("seeds", 1) % 2:
        raise UserError(
            f"a counterbalanced study trains pairs of runs, but its config key 'seeds' is {study.get('seeds')}: set it to "
            "an even number"
        )
    for name, config in study.runs.items():
        if not config.data.profile.name:
            raise UserError(
                f"run '{name}': a counterbalanced study reverses the profile of each run, and this one has none: set its "
                "data.profile.name, or counterbalanced=False"
            )
        if config.data.profile.mirrored:  # the runs of a comparison would be mirrored against each other
            raise UserError(
                f"run '{name}': data.profile.mirrored is set by the study, which is counterbalanced: leave it at False"
            )


def check_transfer(config: ConfigDict, runs: tuple[str, ...]) -> None:
    """Raise a UserError that names a mistake in the transfer of a study of these runs."""
    if unknown := set(config.models) - set(runs):
        raise UserError(f"transfer.models names the run '{min(unknown)}'; the study has {', '.join(runs)}")
    config = config.copy_and_resolve_references()
    config.models = config.models or runs
    try:
        transfer_configuration.validate(config)
    except UserError as error:
        raise UserError(f"transfer: {error}") from None
