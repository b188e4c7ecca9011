"""Trains the runs of a study with all their seeds, measures them, tests the claims, and reports."""

import dataclasses
import re
import shlex
import shutil
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
from tqdm import tqdm

from cliptail_jax.claims.best import best_run
from cliptail_jax.claims.borrowed import borrow_variances
from cliptail_jax.claims.judge import evaluate_study
from cliptail_jax.claims.verdicts import ClaimResult
from cliptail_jax.config.fields import plain
from cliptail_jax.datasets.build import needs_no_raw_data
from cliptail_jax.datasets.folder import require_prepared
from cliptail_jax.experiments.kinds import labels_of
from cliptail_jax.host.errors import Failures, UserError, did_you_mean
from cliptail_jax.host.files import read_json
from cliptail_jax.host.outputs import check_directory
from cliptail_jax.host.text import shortened_list
from cliptail_jax.objectives import FIELDS
from cliptail_jax.parallel.distributed import broadcast_from_first
from cliptail_jax.report.forecasts import compared_table
from cliptail_jax.report.lead import lead_of_study
from cliptail_jax.report.page import PAGE
from cliptail_jax.report.study import write_report
from cliptail_jax.report.summary import summary
from cliptail_jax.results.directory import matches
from cliptail_jax.results.group import groups_of
from cliptail_jax.results.run import Run
from cliptail_jax.results.study import FILE as STUDY
from cliptail_jax.results.study import Runs, Study, read_study
from cliptail_jax.runs.console import last_lines
from cliptail_jax.runs.directory import difference_to, is_finished
from cliptail_jax.runs.files import last_step, read_config
from cliptail_jax.runs.on_dask import run_on_dask
from cliptail_jax.runs.provenance import command, without_flags
from cliptail_jax.study import stated_claims
from cliptail_jax.study.configuration import ReplicateConfigs, RunConfigs, StudyConfig, queue_of
from cliptail_jax.study.launch import STUDY_FLAGS, part_commands
from cliptail_jax.study.measure import read_runs, transfer_runs
from cliptail_jax.study.places import Place, leave_chips
from cliptail_jax.study.sheets import draw_figures
from cliptail_jax.study.stated_claims import changes_of_claims
from cliptail_jax.study.study_page import StudyPage
from cliptail_jax.study.training import train_runs

MAX_NAMES = 5  # the most runs that a line names as not trained


class OpenedStudy(NamedTuple):
    """A study in its own directory.

    Attributes:
        config: its config.
        workdir: its directory.
        study: its runs and claims, for the page.
        page: its page.
        start_time: the time at which it was opened, by `time.perf_counter`.
    """

    config: StudyConfig
    workdir: Path
    study: Study
    page: StudyPage
    start_time: float


def run_study(
    config: StudyConfig, workdir: Path, overwrite: bool = False, budget: float = 0, places: Sequence[Place] = ()
) -> None:
    """Train the runs that are not yet trained, then write report.md, report.json, figures/ and the page report.html.

    Args:
        config: the config of the study.
        workdir: its directory.
        overwrite: whether to replace runs of other configs in `workdir`.
        budget: if not 0, further seeds start only if they are expected to finish within this number of minutes.
        places: the places, from `find_places`, where runs train at the same time. Their processes import the main module, so
            a script needs `if __name__ == "__main__"`. Without places, runs train one after the other in this process.

    Raises:
        UserError: `workdir` contains other results; or a part of the study has failed, which is raised at the end.

    Example:
        config = load_config("quickstart")
        config.data_dir = "/data"
        run_study(typed_study(config), Path("runs/quickstart"), places=find_places())
    """
    if budget and not config.seeds:
        raise UserError("--budget chooses how many seeds fit: this study's config has no seeds")
    check_data(config.queue, workdir)
    with leave_chips(places):
        opened_study = open_study(config, workdir, overwrite)
        failures: Failures = {}
        opened_study.page.start()
        for part in in_budget(config.replicates, workdir, budget, len(places)) if budget else [config.queue]:
            train_runs(part, workdir, overwrite, places, failures, opened_study.page.after_run, config.queue)
        report_study(opened_study, failures, places)


def check_data(queue: RunConfigs, workdir: Path) -> None:
    """Raise UserError if all unfinished runs train on data sets that must be prepared first, as each of them would."""
    unfinished_runs = [run for name, run in queue.items() if last_step(workdir / name) is None]
    errors = []
    for name, data_dir in dict.fromkeys((run.data.name, run.data.data_dir) for run in unfinished_runs):
        if needs_no_raw_data(name):
            return
        try:
            require_prepared(name, data_dir)
            return
        except UserError as error:
            errors.append(error)
    if errors:
        raise errors[0]


def train_parts(
    opened_study: OpenedStudy, names: Sequence[str], overwrite: bool = False, places: Sequence[Place] = ()
) -> None:
    """Train some runs of a study without writing a report. Any number of processes can do so at the same time.

    `names` are names of runs, such as 'clip', of their directories, such as 'seed_0/clip', or patterns, such as
    'seed_0/*'. Other arguments and errors as for `run_study`.
    """
    queue, failures = opened_study.config.queue, {}
    run_names = matching(names, queue)
    part = {name: queue[name] for name in run_names}
    check_data(part, opened_study.workdir)
    train_runs(part, opened_study.workdir, overwrite, places, failures, queue=queue)
    if len(run_names) == 1 and failures:  # a launcher may show only the last line
        raise UserError(*failures.values())
    raise_failures(failures, run_names)


def train_on_dask(opened_study: OpenedStudy, names: Sequence[str], scheduler: str) -> None:
    """Train the runs of a study on a Dask cluster, then report.

    `names` are those of `train_parts`. If there are any, only their runs are trained, and nothing is reported.

    Raises UserError as `run_study` and `run_on_dask` do.
    """
    run_names = matching(names, opened_study.config.queue)
    failures = run_on_dask(part_commands(command(), run_names), opened_study.workdir, scheduler)
    if names:
        raise_failures(failures, run_names)
    else:
        report_study(opened_study, failures)


def open_study(config: StudyConfig, workdir: Path, overwrite: bool = False, max_replicates: int = 0) -> OpenedStudy:
    """Open the directory of a study. In an empty directory, record the claims before any run.

    `max_replicates` is the largest number of pairs or seeds of a study that adds some until claims are decided, else 0.

    Raises UserError if `workdir` contains other results, or, without `overwrite`, another study or runs of other configs.
    """
    start_time = time.perf_counter()
    if read_config(workdir) is not None:
        raise UserError(f"{workdir} contains a run: choose another --workdir")
    check_directory(workdir, ("report.md", "report.json", PAGE), (stated_claims.FILE, STUDY), overwrite)
    if not overwrite:
        check_same_study(config.queue, workdir)
        check_unchanged(config.queue, workdir)
    names = tuple(config.first.runs)
    if config.variances_from:
        borrow_variances(config.variances_from)  # an error now, and not after the training
    study = Study(
        config.title,
        names,
        [list(replicate) for replicate in config.replicates],
        config.claims,
        changes_of_claims(config, workdir),
        without_flags(command(), STUDY_FLAGS),
        part_commands(command(), names),
        baseline=config.baseline,
        next_command=shlex.join([*shlex.split(config.next_command), *changed_fields(command())])
        if config.next_command
        else "",
        max_replicates=max_replicates,
        variances_from=config.variances_from,
        names=config.names,
    )
    return OpenedStudy(config, workdir, study, StudyPage(study, workdir), start_time)


def changed_fields(line: str) -> list[str]:
    """The words of a command line that change fields of its config."""
    return [word for word in shlex.split(line) if re.match(r"--?config\.", word)]


def matching(names: Sequence[str], directories: Collection[str]) -> list[str]:
    """The directories that match names or patterns, with or without their seed; all if there are no names.

    Raises UserError for a name without a match.
    """
    selection: set[str] = set() if names else set(directories)
    for name in names:
        matched_names = {path for path in directories if matches(path, [name]) or matches(Path(path).name, [name])}
        if not matched_names:
            hint = did_you_mean(name, list(dict.fromkeys([*directories, *(Path(path).name for path in directories)])))
            raise UserError(f"--only={name} is not a run of this study{hint}: --launch=print lists them")
        selection |= matched_names
    return [directory for directory in directories if directory in selection]


def check_same_study(queue: RunConfigs, workdir: Path) -> None:
    """Raise UserError if `workdir` has another study: one with a run that this study lacks, and without one of its runs."""
    study = read_study(workdir)
    if study:
        names = {*queue}
        earlier_names = {
            str(Path(seed) / name) for seeds in study.replicates for seed in seeds or [""] for name in study.runs
        }
    else:  # parts of a study were trained or submitted
        names = {Path(name).name for name in queue}
        earlier_names = {*(read_json(workdir / stated_claims.FILE, stated_claims.ClaimsFile) or {}).get("recipes", ())}
    new_name, lost_name = min(names - earlier_names, default=""), min(earlier_names - names, default="")
    if new_name and lost_name:
        title = f"the study '{study.title}'" if study else "another study"
        raise UserError(
            f"{workdir} contains {title}, which has a run {lost_name} and no {new_name}: choose another --workdir, or pass "
            "--overwrite to write this one there"
        )


def check_unchanged(queue: RunConfigs, workdir: Path) -> None:
    """Raise UserError for the first run in `workdir` with another config. The study does not change."""
    for name, config in queue.items():
        if difference := difference_to(workdir / name, plain(config), FIELDS):
            raise UserError(
                f"{workdir / name} contains the run of another config ({difference}): choose another --workdir, go back to "
                "that config, or pass --overwrite to replace the run"
            )


def in_budget(replicates: Sequence[ReplicateConfigs], workdir: Path, minutes: float, jobs: int) -> Iterator[RunConfigs]:
    """Yield the runs of one seed or mirrored pair at a time, as long as the next is expected to finish within the minutes."""
    first_start, longest = time.perf_counter(), 0.0
    for number, replicate in enumerate(replicates):
        start, configs = time.perf_counter(), queue_of([replicate])
        fits = not number or start - first_start + longest <= 60 * minutes
        if not broadcast_from_first(fits or len(trained_of(configs, workdir)) == len(configs)):
            begun_seeds, all_seeds = (sum(map(len, part)) for part in (replicates[:number], replicates))
            unit = "another" if len(replicate) == 1 else "another pair"
            tqdm.write(f"{begun_seeds} of {all_seeds} seeds: {unit} takes some {longest / 60:.0f} minutes")
            return
        yield configs
        # Runs that an earlier call finished took no time in this one, but have recorded it.
        training_seconds = sum(Run(workdir / name).seconds or 0 for name in trained_of(configs, workdir))
        longest = max(longest, training_seconds / (min(jobs, len(configs)) or 1), time.perf_counter() - start)


def report_study(
    opened_study: OpenedStudy, failures: Mapping[str, str] = {}, places: Sequence[Place] = ()
) -> Mapping[str, ClaimResult]:
    """Measure the trained runs, test the claims, write the report and the page, and print a summary and the missing runs.

    `failures` are the reasons why runs were not trained. Returns the tests of the claims, in the first process. Raises
    UserError at the end if a part of the study failed.
    """
    workdir, failures = opened_study.workdir, dict(failures)
    replicates: list[dict[str, Runs]] = []  # by replicate and seed
    missing_runs: list[str] = []
    claims: Mapping[str, ClaimResult] = {}
    for replicate in opened_study.config.replicates:
        replicates.append({})
        for seed, (configs, transfer_config) in replicate.items():
            remaining_configs = {
                name: config for name, config in configs.items() if str(Path(seed) / name) not in failures
            }
            trained_configs = trained_of(remaining_configs, workdir / seed)
            missing_runs += [str(Path(seed) / name) for name in remaining_configs if name not in trained_configs]
            runs, seed_failures = read_runs(trained_configs, workdir / seed)
            if transfer_config and runs:
                runs, transfer_failures = transfer_runs(transfer_config, runs, workdir / seed, places)
                seed_failures |= transfer_failures
            replicates[-1][seed] = runs
            failures |= {str(Path(seed) / part): why for part, why in seed_failures.items()}
    queue, study = opened_study.config.queue, opened_study.study
    if len(missing_runs) == len(queue):
        raise UserError(f"no run of this study is trained in {workdir}: there is nothing to report")
    if jax.process_index() == 0 and (
        any(map(any, map(dict.values, replicates))) or not (workdir / "report.md").exists()
    ):
        if missing_runs:
            finished_runs = sum(len(runs) for seeds in replicates for runs in seeds.values())
            study = dataclasses.replace(study, title=f"{study.title}, {finished_runs} of {len(queue)} runs")
        text, claims, figure_failures = write(opened_study._replace(study=study), replicates, failures)
        tqdm.write(f"\n{text}\n\n{last_lines(workdir / 'report.md', opened_study.page.address)}")
        failures |= figure_failures
    if missing_runs:
        tqdm.write(
            f"{len(missing_runs)} of {len(queue)} runs are not trained: {shortened_list(missing_runs, MAX_NAMES)}"
        )
    raise_failures(failures, queue)
    return claims


def write(
    opened_study: OpenedStudy, replicates: Sequence[Mapping[str, Runs]], failures: Failures
) -> tuple[str, Mapping[str, ClaimResult], Failures]:
    """Test the claims, draw the figures, and write the report and the page.

    `replicates` has the runs so far by replicate and seed. Returns a summary for a terminal, the tests of the claims, and the
    reasons why figures could not be drawn.
    """
    by_replicate = [list(replicate.values()) for replicate in replicates if any(replicate.values())]
    seeds = {seed: runs for replicate in replicates for seed, runs in replicate.items() if runs}
    config, workdir, groups = (
        opened_study.config,
        opened_study.workdir,
        groups_of(by_replicate, labels_of(opened_study.study.runs, opened_study.study.names)),
    )
    seconds = time.perf_counter() - opened_study.start_time
    claims, best = evaluate_study(opened_study.study, by_replicate), best_run(opened_study.study, by_replicate)
    lead = lead_of_study(opened_study.study, by_replicate, best)
    figure_names, figure_failures = draw_figures(config.figures, seeds, workdir)
    study = dataclasses.replace(opened_study.study, failures=failures | figure_failures)
    forecasts = compared_table(workdir, groups.values())
    write_report(study, seeds, groups, claims, lead, forecasts, config.path, figure_names, seconds, workdir)
    opened_study.page.write_report(study, claims, best)
    text = summary(study, groups, claims, lead, forecasts, shutil.get_terminal_size().columns)
    return text, claims, figure_failures


def trained_of(configs: RunConfigs, workdir: Path) -> RunConfigs:
    """The configs of the trained runs."""
    return {name: config for name, config in configs.items() if is_finished(workdir / name, plain(config), FIELDS)}


def raise_failures(failures: Failures, runs: Collection[str]) -> None:
    """Raise UserError that names the failed parts, if there are any; `runs` are all runs."""
    if failures:
        subject = f"{len(failures)} of {len(runs)} runs" if set(failures) <= set(runs) else "parts of the study"
        raise UserError(f"{subject} failed: {', '.join(failures)}")
